"""The backends of the root CA."""
