"""The clocks that run on their own while a root rotation does: what would renew a CA by itself, and when."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.cluster.manifest import Object
from meshpki.components.renewal import read_time
from meshpki.components.spire_authorities import Authority, Slots
from meshpki.pki.renewal import of_spire_life
from meshpki.settings.durations import moment

# A stage that begins before it may not be through by then.
_SOON = timedelta(seconds=30)


@dataclass(frozen=True)
class Deadline:
    """Something that happens by itself at a moment (UTC)."""

    at: datetime
    what: str

    def __str__(self) -> str:
        """As it is told."""
        return f"{self.what} at {moment(self.at)}"


def deadlines(slots: Iterable[Slots], ca_ttl: timedelta, cacerts: Object | None) -> tuple[Deadline, ...]:
    """What comes by itself, the next first: SPIRE's next preparation and activation, the renewal of `cacerts`."""
    found = [one for each in slots for one in _of_spire(each, ca_ttl)]
    renewal = read_time((cacerts or {}).get("status", {}).get("renewalTime"))
    if renewal:
        found.append(Deadline(renewal, "cert-manager renews cacerts by itself"))
    return tuple(sorted(found, key=lambda one: one.at))


def imminent(due: Iterable[Deadline], at: datetime, ends: datetime | None = None) -> str:
    """What happens by itself in the midst of a rotation that is to end at a moment, in words; empty where nothing does.

    One that takes longer than planned, or of which no end is known, is in the midst of a stage for some time.
    """
    until = max(at + _SOON, ends or at)
    return "; ".join(str(one) for one in due if at <= one.at <= until)


def _of_spire(slots: Slots, ca_ttl: timedelta) -> Iterator[Deadline]:
    active: Authority | None = slots.active
    if active is None:
        return
    planned = of_spire_life(active.expires, ca_ttl)
    if slots.prepared is None and planned.prepared:
        yield Deadline(planned.prepared, "SPIRE prepares its next CA by itself")
    if planned.at:
        yield Deadline(planned.at, "SPIRE activates its next CA by itself")
