"""What a run that was killed has left half done: a CA that is not rotated through, a namespace that is still there."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Ref, ours
from meshpki.components.probe import NAMESPACE_REF as PROBE
from meshpki.components.spire_authorities import server_set
from meshpki.components.trust import istiod_certificate
from meshpki.errors import MeshpkiError
from meshpki.lease import record
from meshpki.rotate import leaf, mark
from meshpki.rotate.spire_ca import mark_key
from meshpki.settings import Settings

# namespaces that a killed run may leave: the probe's, and that of the throw-away pod
LEFT_BEHIND = (PROBE, leaf.NAMESPACE)


@dataclass(frozen=True)
class Unfinished:
    """One such thing, and the command that finishes it or takes it away."""

    state: str
    command: str


def unfinished(reader: Reader, settings: Settings, at: datetime) -> tuple[Unfinished, ...]:
    """What is half done at a moment (UTC); of what may not be read nothing is said."""
    return (*_rotations(reader, settings), *_namespaces(reader, at))


def _rotations(reader: Reader, settings: Settings) -> Iterator[Unfinished]:
    """Marked is also what a run of now is at; the same command is refused then, as that run holds the Lease."""
    certificate = _read(reader, istiod_certificate(settings))
    if certificate and mark.read(certificate):
        yield Unfinished("a rotation of istiod's CA was begun and is not through", "meshpki rotate istiod-ca")
    servers = _read(reader, server_set(settings))
    prefix = mark_key("")
    begun = sorted(key.removeprefix(prefix) for key in _annotations(servers) if key.startswith(prefix))
    if begun:
        state = f"a rotation of SPIRE's CA was begun on {', '.join(begun)} and is not through"
        yield Unfinished(state, "meshpki rotate spire-ca")


def _namespaces(reader: Reader, at: datetime) -> Iterator[Unfinished]:
    """While a run holds the Lease they may be in use."""
    try:
        lease = reader.get(record.LEASE)
    except MeshpkiError:
        return
    if lease and record.read(lease).stale_at >= at:
        return
    for ref in LEFT_BEHIND:
        live = _read(reader, ref)
        if live and ours(live) and "deletionTimestamp" not in live["metadata"]:
            yield Unfinished(f"a run that was killed has left {ref} behind", f"kubectl delete namespace {ref.name}")


def _read(reader: Reader, ref: Ref) -> Object | None:
    try:
        return reader.metadata(ref)
    except MeshpkiError:
        return None


def _annotations(live: Object | None) -> dict[str, str]:
    return (live or {}).get("metadata", {}).get("annotations") or {}
