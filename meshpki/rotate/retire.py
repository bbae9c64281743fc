"""Retiring a root: the key of a generation that the mesh has left is destroyed, by name and for good."""

import threading
from functools import partial

from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.cluster.manifest import Ref
from meshpki.components.trust import Pin, pinned, root_certificate, root_name
from meshpki.errors import PreconditionError
from meshpki.rotate.acts import RETIRED
from meshpki.rotate.generations import listed, numbered, orphans
from meshpki.rotate.patience import Patience
from meshpki.settings import Settings


def retirable(reader: Reader, settings: Settings) -> dict[str, Ref]:
    """The Certificates of the generations that the mesh has left, by their names.

    So are those whose Certificate is gone and whose key is still there, but for the one that is pinned.
    """
    left = {
        number for number, one in numbered(listed(reader, settings)) if RETIRED in (one["metadata"].get("labels") or {})
    }
    numbers = sorted(left | (orphans(reader, settings) - _pinned(reader)))
    return {root_name(number): root_certificate(settings, number) for number in numbers}


def checked(reader: Reader, settings: Settings, pin: Pin, name: str) -> Ref:
    """The Certificate of the generation to retire; raises PreconditionError (MPK-444) unless the mesh has left it.

    While two roots are pinned none is retired: the one that was left may have to be entered again.
    """
    if len(pin.roots) > 1:
        what = "a root rotation is under way: the key that it may have to go back to is kept"
        raise PreconditionError("MPK-444", what, remedy="finish it first: meshpki rotate root, or --abort")
    known = retirable(reader, settings)
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        what = f"{name} is no root that the mesh has left"
        raise PreconditionError("MPK-444", what, remedy=f"those that can be retired: {there}")
    return known[name]


def retire(cluster: Cluster, certificate: Ref, clock: Clock) -> tuple[Ref, ...]:
    """Destroy a generation: its Certificate first, or cert-manager would make another key; then the Secret, unread.

    Goes on for a minute where a later try may succeed; raises ClusterError. What was there is returned.
    """
    patience, gone = Patience(clock, threading.Event()), dict[Ref, None]()

    def destroy(ref: Ref) -> None:
        if cluster.metadata(ref) is not None:
            gone[ref] = None  # before the act, whose answer may be lost
            cluster.delete(ref)

    for ref in (certificate, Ref("v1", "Secret", certificate.namespace, certificate.name)):
        patience.insist(partial(destroy, ref))
    return tuple(gone)


def _pinned(reader: Reader) -> frozenset[int]:
    pin = pinned(reader)
    return frozenset({pin.generation} if pin else ())
