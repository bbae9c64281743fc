"""Every clock of the tree: what happens to a certificate next, when, and who sees to it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from meshpki.forecast.observation import Listener, Observation, Svid
from meshpki.forecast.signing import signing, taint_deadline
from meshpki.pki import renewal
from meshpki.pki.certificate import Certificate
from meshpki.pki.renewal import ISTIOD, NOBODY, OWNER, SPIRE_SERVER, Renewal
from meshpki.verify.places import PlaceKind


class Event(StrEnum):
    """What a clock strikes for."""

    RENEWED = "renewed"
    MADE = "next one made"
    USED = "next one used"
    ROTATE = "to be rotated"
    TAINT = "last moment to taint"
    ENDS = "ends"


@dataclass(frozen=True)
class Clock:
    """One event of a certificate, or of the `holders` certificates of a workload, the earliest of which counts (UTC).

    `ends` is when the certificate is of no use any more, its CA's end included, if the event never comes.
    """

    name: str
    event: Event
    by: str
    at: datetime
    ends: datetime
    overdue: bool = False
    holders: int = 1


def clocks(seen: Observation) -> tuple[Clock, ...]:
    """The clocks of an observation, the one that strikes first being the first."""
    found = (*_roots(seen), *_cacerts(seen), *_spire(seen), *_listeners(seen), *_svids(seen))
    return tuple(sorted(found, key=lambda one: (one.at, one.name, one.event)))


def rotate_by(root: Certificate, seen: Observation) -> datetime | None:
    """The moment from which on a CA is issued that outlives its root; None where no CA was seen.

    cert-manager caps no CA by its issuer's end (cert-manager/cert-manager#2478).
    """
    below = [one.not_after - one.not_before for one in (seen.cacerts, seen.spire_ca) if one]
    return root.not_after - max(below) if below else None


def svid_of(one: Svid) -> str:
    """How an SVID is called: by its workload."""
    return f"SVID {one.workload.namespace}/{one.workload.name}"


def _roots(seen: Observation) -> Iterator[Clock]:
    by = OWNER if seen.chain else NOBODY
    for root in (*seen.roots, *seen.chain[:-1]):
        name, last = f"{'root' if root.self_signed else 'CA'} {root.subject}", rotate_by(root, seen)
        if last:
            yield Clock(name, Event.ROTATE, by, last, root.not_after, overdue=last <= seen.at)
        yield Clock(name, Event.ENDS, by, root.not_after, root.not_after, overdue=root.not_after <= seen.at)


def _cacerts(seen: Observation) -> Iterator[Clock]:
    if seen.cacerts:
        yield from _renewed("istiod's CA (cacerts)", seen.cacerts_renewal, seen.cacerts.not_after, seen)


def _spire(seen: Observation) -> Iterator[Clock]:
    plan = signing(seen)
    if plan is None:
        return
    holder, ends = ("SPIRE CA, prepared", plan.prepared) if plan.prepared else ("SPIRE CA", plan.active)
    holder = holder if plan.certain else "SPIRE CA, if it has none yet"
    yield Clock(holder, Event.MADE, SPIRE_SERVER, plan.mint, ends)
    late = Renewal(SPIRE_SERVER, plan.activates).overdue(plan.active, seen.at)
    yield Clock("SPIRE CA", Event.USED, SPIRE_SERVER, plan.activates, plan.active, late)
    taint = taint_deadline(seen)
    if taint:
        yield Clock("root of SPIRE's CA before this one", Event.TAINT, NOBODY, taint, plan.ends)


def _listeners(seen: Observation) -> Iterator[Clock]:
    for one in seen.listeners:
        yield from _renewed(*_served(one, seen), one.ends, seen)


def _served(one: Listener, seen: Observation) -> tuple[str, Renewal]:
    if one.kind is PlaceKind.SPIRE_SERVER:
        return f"server {one.name}", renewal.of_spire_server(one.certificate)
    return f"server {one.name}", renewal.of_istiod(seen.cacerts_renewal)


def _svids(seen: Observation) -> Iterator[Clock]:
    """One for a workload: that of the pod whose certificate is renewed first."""
    for _, group in groupby(sorted(seen.svids, key=lambda one: one.workload), lambda one: one.workload):
        held = list(group)
        first = min(held, key=lambda one: _svid_renewal(one).at or one.ends)
        ends = min(one.ends for one in held)
        for clock in _renewed(svid_of(first), _svid_renewal(first), ends, seen):
            yield replace(clock, holders=len(held))


def _svid_renewal(one: Svid) -> Renewal:
    planned = renewal.of_svid(one.certificate)
    # half of a life as well: Istio 1.29, SECRET_GRACE_PERIOD_RATIO in security/pkg/nodeagent/cache/secretcache.go
    return planned if one.from_spire else replace(planned, by=ISTIOD)


def _renewed(name: str, planned: Renewal | None, ends: datetime, seen: Observation) -> Iterator[Clock]:
    """A renewal, or the end where nobody tells when that is renewed."""
    if planned is None or planned.at is None:
        yield Clock(name, Event.ENDS, planned.by if planned else "not known", ends, ends, overdue=ends <= seen.at)
    else:
        yield Clock(name, Event.RENEWED, planned.by, planned.at, ends, planned.overdue(ends, seen.at))
