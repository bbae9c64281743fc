"""Observations of a forecast: a mesh with every certificate in it, from which a test leaves out or changes parts."""

from datetime import datetime, timedelta
from functools import cache

from meshpki.components.spire_authorities import Authority, Slots
from meshpki.forecast.observation import Listener, Observation, Svid
from meshpki.pki.certificate import Certificate
from meshpki.pki.renewal import Renewal
from meshpki.verify.places import PlaceKind
from meshpki.verify.pods import Workload
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR, TRUST_DOMAIN

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@cache
def certificate(start: timedelta, end: timedelta, *, ca: bool = False) -> Certificate:
    """A certificate with a validity around AT."""
    shape = made.ROOT if ca else made.SVID
    return made.root(shape.but(not_before=AT + start, not_after=AT + end)).certificate


def svid(name: str, left: timedelta, *, node: str = "node-1", life: timedelta = HOUR, from_spire: bool = True) -> Svid:
    """What a pod of a workload holds, with some time left of its life."""
    held = certificate(left - life, left)
    return Svid(Workload("bookinfo", "Deployment", name), node, held, held.not_after, from_spire)


def slots(active: datetime, prepared: datetime | None = None, *, old: str = "") -> Slots:
    """What a spire-server lists: the ends of its CAs; `old` is the root that the one before lay under."""
    return Slots(
        Authority("a", "root", active),
        Authority("b", "root", prepared) if prepared else None,
        Authority("c", old, AT) if old else None,
    )


def seen(**changes: object) -> Observation:
    """A mesh an hour after SPIRE's CA of a day was made; its SVIDs live an hour."""
    whole: dict[str, object] = {
        "at": AT,
        "trust_domain": TRUST_DOMAIN,
        "roots": (made.mesh_root().certificate,),
        "anchors": (made.mesh_root().certificate,),
        "cacerts": certificate(-5 * DAY, 55 * DAY, ca=True),
        "cacerts_renewal": Renewal("cert-manager", AT + 40 * DAY),
        "spire_ca": certificate(-HOUR, 23 * HOUR, ca=True),
        "listeners": (
            Listener(PlaceKind.SPIRE_SERVER, "spire-server/spire-server-0", certificate(-HOUR / 6, HOUR), AT + HOUR),
            Listener(PlaceKind.ISTIOD, "istio-system/istiod-1", certificate(-5 * DAY, 3650 * DAY), AT + 55 * DAY),
        ),
        "svids": (
            svid("reviews-v1", 50 * MINUTE),
            svid("reviews-v1", 40 * MINUTE, node="node-2"),
            svid("details-v1", 45 * MINUTE),
        ),
    }
    return Observation(**{**whole, **changes})  # type: ignore[arg-type]  # the table's rows are checked by running them
