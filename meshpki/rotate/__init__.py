"""Rotation: every CA of the mesh replaced under live traffic, as plans of the engine that installs."""
