"""Removing the mesh: what is ours is found by its labels, and taken away in the reverse of the order it came in."""
