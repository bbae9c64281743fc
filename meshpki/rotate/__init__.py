"""Rotation: every CA of the mesh replaced under live traffic, as plans of the engine that installs."""

# Its field manager: what a rotation changes beside an installation's own fields `up` leaves where it is.
MANAGER = "meshpki-rotate"
