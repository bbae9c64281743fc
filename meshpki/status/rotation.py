"""Where a root rotation stands: its stage, who is left, what happens by itself next, and the next safe command."""

from dataclasses import dataclass

from meshpki.cluster.client import Reader
from meshpki.components.trust import PIN, Pin, istiod_certificate, pinned, root_name
from meshpki.errors import MeshpkiError
from meshpki.rotate import compromise, journey
from meshpki.rotate.clocks import Deadline, deadlines
from meshpki.settings import Settings

_PERHAPS = "none under way, but perhaps connections of an old root to close"


@dataclass(frozen=True)
class RotationStatus:
    """A rotation under way; `stage` is empty and `reason` says why where it could not be seen."""

    way: str
    stage: str = ""
    left: tuple[str, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    next_commands: tuple[str, ...] = ()
    reason: str = ""


def rotation(reader: Reader, settings: Settings) -> RotationStatus | None:
    """The rotation that is under way, None where none is; asks spire-server by exec only if so."""
    try:
        pin = pinned(reader)
    except MeshpkiError as error:
        return RotationStatus(f"unknown from {PIN}", reason=_said(error))
    if pin is None:
        return None
    try:
        return _draining(reader, settings) if len(pin.roots) == 1 else _under_way(reader, settings, pin)
    except MeshpkiError as error:
        way = f"two roots in {PIN}" if len(pin.roots) > 1 else _PERHAPS
        return RotationStatus(way, reason=_said(error))


def _under_way(reader: Reader, settings: Settings, pin: Pin) -> RotationStatus | None:
    here = journey.standing(reader, settings)
    if here is None:
        return None
    cacerts = reader.get(istiod_certificate(settings))
    return RotationStatus(
        f"{pin.roots[1].subject} -> {pin.roots[0].subject}",
        here.stage.name,
        here.left,
        deadlines((one.slots for one in here.facts.spire), settings.spire.ca_ttl, cacerts),
        _next(here),
    )


def _said(error: MeshpkiError) -> str:
    return f"{error.what} ({error.code}){f'; {error.remedy}' if error.remedy else ''}"


def _next(here: journey.Standing) -> tuple[str, ...]:
    if here.backward and not here.only_forth:
        return ("meshpki rotate root --abort",)
    forward = here.past_return or here.compromised or here.only_forth
    return ("meshpki rotate root",) if forward else ("meshpki rotate root", "meshpki rotate root --abort")


def _draining(reader: Reader, settings: Settings) -> RotationStatus | None:
    """A compromised root is trusted nowhere any more, but connections may be open that it let in."""
    generation = compromise.owed(reader, settings)
    if generation is None:
        return None
    left = compromise.remaining(reader, settings, generation)
    return RotationStatus(f"away from {root_name(generation)}", compromise.DRAIN, left, (), ("meshpki rotate root",))
