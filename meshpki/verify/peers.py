"""Peer topology: can every pod verify every other with the bundle it holds now; decided once for each pair of groups."""

from dataclasses import dataclass

from meshpki.cluster.manifest import Ref
from meshpki.pki.verdict import Finding, Result


@dataclass(frozen=True)
class PeerGroup:
    """Pods that present a chain through the same CAs and trust the same anchors (SHA-256, lower-case hex)."""

    cas: tuple[str, ...]
    anchors: frozenset[str]
    pods: tuple[Ref, ...]


@dataclass(frozen=True)
class PeerVerdict:
    """Whether `verifier` accepts what `presenter` sends, with the bundle it holds."""

    presenter: PeerGroup
    verifier: PeerGroup
    result: Result
    findings: tuple[Finding, ...] = ()
