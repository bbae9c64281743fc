"""Rotation: every CA of the mesh replaced while traffic flows, by the engine that installs."""
