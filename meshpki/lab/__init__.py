"""A real throw-away cluster with the upstream components, on this machine. Imported by the command line only."""
