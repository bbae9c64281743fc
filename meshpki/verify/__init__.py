"""Verify: whether every identity of the mesh chains to the pinned root, judged from what each Envoy really holds."""

from meshpki.verify.mesh import WIDTH, Requirements, verify
from meshpki.verify.report import Report, unjudged
from meshpki.verify.scope import Scope

__all__ = ["WIDTH", "Report", "Requirements", "Scope", "unjudged", "verify"]
