"""The parts of the mesh, each a plain function from settings to a step."""
