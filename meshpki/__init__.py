"""Certificates of a service mesh, from nothing to provably right."""

__version__ = "0.1.0"
