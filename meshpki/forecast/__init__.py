"""Forecast: every clock of the tree, and what fails first if a part stops now. Reads only, and no Secret."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshpki.cluster.client import Reader
from meshpki.components import spire_authorities
from meshpki.components.renewal import cacerts_renewal
from meshpki.components.spire_authorities import Slots
from meshpki.errors import MeshpkiError
from meshpki.forecast.clocks import Clock, clocks
from meshpki.forecast.observation import SPIRE_LIST, Observation, observed
from meshpki.forecast.outages import Outage, outages
from meshpki.settings import Settings
from meshpki.verify.places import Unseen
from meshpki.verify.report import Report

__all__ = ["Forecast", "forecast", "gather"]

_UNASKED = Unseen(SPIRE_LIST, "--authorities, and the right to exec into spire-server")


@dataclass(frozen=True)
class Forecast:
    """What was seen, with what follows from its dates."""

    seen: Observation
    clocks: tuple[Clock, ...]
    outages: tuple[Outage, ...]


def forecast(seen: Observation) -> Forecast:
    """The clocks and outages of an observation."""
    return Forecast(seen, clocks(seen), outages(seen))


def gather(reader: Reader, settings: Settings, report: Report, *, authorities: bool) -> Observation:
    """What a report of verify holds of dates, with cert-manager's own plan for `cacerts`.

    `authorities` has each spire-server asked for its CAs, by exec. What cannot be read stands under `unseen`.
    """
    slots = _slots(reader, settings) if authorities else _UNASKED
    return observed(report, cacerts_renewal(reader, settings), slots)


def _slots(reader: Reader, settings: Settings) -> Sequence[Slots] | Unseen:
    """All servers or none: a silent one may be the one that has prepared its next CA."""
    try:
        listed = [spire_authorities.slots(reader, pod) for pod in spire_authorities.servers(reader, settings)]
    except MeshpkiError as error:
        return Unseen(SPIRE_LIST, error.what)
    return listed or Unseen(SPIRE_LIST, "a spire-server that runs")
