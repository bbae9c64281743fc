"""What a forecast is reckoned from: the dates of the certificates that were seen, and who holds each. Plain values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from meshpki.components.spire_authorities import Slots
from meshpki.pki.certificate import Certificate
from meshpki.pki.renewal import Renewal
from meshpki.verify.places import PlaceKind, PlaceVerdict, Unseen
from meshpki.verify.pods import Workload
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict

SPIRE_LIST = "SPIRE's prepared and old CAs"
_SERVING = (PlaceKind.ISTIOD, PlaceKind.SPIRE_SERVER, PlaceKind.ISTIOD_CA)


@dataclass(frozen=True)
class Svid:
    """The certificate in one pod's Envoy; `ends` is the earliest end on its chain (UTC).

    `from_spire` is whether SPIRE's CA signed it: istiod renews the others.
    """

    workload: Workload
    node: str
    certificate: Certificate
    ends: datetime
    from_spire: bool


@dataclass(frozen=True)
class Listener:
    """What one replica of istiod or spire-server serves; `ends` is the earliest end on its chain (UTC)."""

    kind: PlaceKind
    name: str
    certificate: Certificate
    ends: datetime


@dataclass(frozen=True)
class Observation:
    """One look at everything with a date, at a moment (UTC).

    `cacerts` and `spire_ca` are the newest CAs that were seen, None where none was. `slots` are what each
    spire-server lists, None where it was not asked. `anchors` are the pinned roots that a chain leads to. `chain` is
    that of an existing CA, which its owner renews; empty where the root is the mesh's own.
    """

    at: datetime
    trust_domain: str
    roots: tuple[Certificate, ...]
    anchors: tuple[Certificate, ...] = ()
    cacerts: Certificate | None = None
    cacerts_renewal: Renewal | None = None
    spire_ca: Certificate | None = None
    slots: tuple[Slots, ...] | None = None
    listeners: tuple[Listener, ...] = ()
    svids: tuple[Svid, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    chain: tuple[Certificate, ...] = ()

    @property
    def above(self) -> tuple[Certificate, ...]:
        """What every chain of the mesh leads through and to: the roots, and the CAs below an existing one."""
        return (*(self.anchors or self.roots), *self.chain[:-1])

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes on which a pod holds an SVID of SPIRE."""
        return tuple(sorted({one.node for one in self.svids if one.from_spire and one.node}))

    @property
    def empty(self) -> bool:
        """Whether nothing but the pin was seen."""
        return not (self.svids or self.listeners or self.cacerts)


def observed(report: Report, known: Mapping[str, Renewal], slots: Sequence[Slots] | Unseen) -> Observation:
    """What a report of verify holds of dates.

    `known` is the renewal of the newest `cacerts` by its SHA-256 (components/renewal.py); `slots` are what the
    spire-servers list, or why they were not asked.
    """
    verdicts: tuple[PlaceVerdict | PodVerdict, ...] = (*report.places, *report.pods)
    led_to = {one.path[-1].sha256 for one in verdicts if len(one.path) > 1}
    cacerts = _cacerts(report)
    return Observation(
        at=report.at,
        trust_domain=report.trust_domain,
        roots=report.roots,
        anchors=tuple(root for root in report.roots if root.sha256 in led_to),
        cacerts=cacerts,
        cacerts_renewal=known.get(cacerts.sha256) if cacerts else None,
        spire_ca=_spire_ca(report, () if isinstance(slots, Unseen) else slots),
        slots=None if isinstance(slots, Unseen) else tuple(slots),
        listeners=tuple(_listeners(report)),
        svids=tuple(_svids(report)),
        unseen=(*_unseen(report), *((slots,) if isinstance(slots, Unseen) else ())),
        chain=report.chain,
    )


def _cacerts(report: Report) -> Certificate | None:
    """The newest that cert-manager issued; where its requests may not be read, the one that istiod serves with."""
    issued = [one.path[0] for one in _at(report, PlaceKind.ISTIOD_CA)]
    served = [one.path[1] for one in _at(report, PlaceKind.ISTIOD) if len(one.path) > 1]
    return max(issued or served, key=lambda one: one.not_before, default=None)


def _spire_ca(report: Report, slots: Sequence[Slots]) -> Certificate | None:
    """The CA that SPIRE signs with, as spire-server lists it, else the newest one that was seen.

    A server's own certificate is the last to follow, so that those of pods count too; what is called broken does not.
    """
    active = {one.active.authority_id for one in slots if one.active}
    holders: tuple[PlaceVerdict | PodVerdict, ...] = (*_at(report, PlaceKind.SPIRE_SERVER), *report.pods)
    found = {one.path[1]: one.result for one in holders if len(one.path) > 1 and _is_spires(one.path[1], report)}
    listed = [ca for ca in found if active & ca.key_ids]
    sound = [ca for ca, result in found.items() if result != "broken"]
    return max(listed or sound, key=lambda one: one.not_before, default=None)


def _is_spires(issuer: Certificate, report: Report) -> bool:
    return issuer not in report.roots and f"spiffe://{report.trust_domain}" in issuer.uris


def _listeners(report: Report) -> Iterator[Listener]:
    """One for each certificate of a replica: istiod serves the same on both of its ports."""
    seen = set()
    for kind in (PlaceKind.SPIRE_SERVER, PlaceKind.ISTIOD):
        for one in _at(report, kind):
            name, leaf = f"{one.place.ref.namespace}/{one.place.ref.name}", one.path[0]
            if one.expires and (name, leaf.sha256) not in seen:
                seen.add((name, leaf.sha256))
                yield Listener(kind, name, leaf, one.expires)


def _svids(report: Report) -> Iterator[Svid]:
    for one in report.pods:
        if one.path and one.expires:
            spires = len(one.path) < 2 or _is_spires(one.path[1], report)  # noqa: PLR2004 - whose it is shows the issuer
            yield Svid(one.pod.workload, one.pod.node, one.path[0], one.expires, spires)


def _at(report: Report, kind: PlaceKind) -> tuple[PlaceVerdict, ...]:
    return tuple(one for one in report.places if one.place.kind is kind and one.path)


def _unseen(report: Report) -> Iterator[Unseen]:
    for place in report.places:
        if place.place.kind in _SERVING and not place.path:
            yield Unseen(place.name, place.reason or "an answer")
    for pod in report.pods:
        if not pod.path:
            yield Unseen(pod.name, pod.reason or "an answer of its Envoy")
