"""Every certificate of the mesh once, with how long it lasts and what renews it: a Report read the other way round."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from meshpki.components.trust import PIN
from meshpki.pki import renewal
from meshpki.pki.certificate import Certificate
from meshpki.pki.renewal import Renewal
from meshpki.verify.places import PlaceKind, PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict


class Kind(StrEnum):
    """What a certificate is there for, by what it says and where it was seen; whether that is right, verify judges."""

    ROOT = "root"
    OTHER_ROOT = "other root"
    ISTIOD_CA = "istiod CA"
    SPIRE_CA = "SPIRE CA"
    CA = "CA"
    ISTIOD = "istiod"
    SPIRE_SERVER = "spire-server"
    SVID = "SVID"
    LEAF = "leaf"


_AUTHORITIES = frozenset({Kind.ROOT, Kind.OTHER_ROOT, Kind.ISTIOD_CA, Kind.SPIRE_CA, Kind.CA})


@dataclass(frozen=True)
class Held:
    """One certificate; `places` are all that serve it, send it along or keep it as an anchor, the first seen first."""

    certificate: Certificate
    kind: Kind
    places: tuple[str, ...]
    renewal: Renewal | None

    @property
    def is_authority(self) -> bool:
        """Whether it stands among the authorities, and not the leaves."""
        return self.kind in _AUTHORITIES


def inventory(report: Report, known: Mapping[str, Renewal]) -> tuple[Held, ...]:
    """Each distinct certificate of a report, the one with the least time left first.

    `known` are renewals that the cluster told, by SHA-256: that of the newest `cacerts`.
    """
    kinds: dict[str, tuple[Certificate, Kind]] = {}
    places: dict[str, dict[str, None]] = {}
    for certificate, kind, place in _sightings(report):
        kinds.setdefault(certificate.sha256, (certificate, kind))
        places.setdefault(certificate.sha256, {})[place] = None
    for fingerprint, place in _kept(report):
        if fingerprint in places:
            places[fingerprint][place] = None
    held = (
        Held(
            certificate,
            kind,
            tuple(places[sha256]),
            _renewal(certificate, kind, known) if certificate not in report.chain else renewal.of_existing(),
        )
        for sha256, (certificate, kind) in kinds.items()
    )
    return tuple(sorted(held, key=lambda one: (one.certificate.not_after, one.certificate.sha256)))


def _sightings(report: Report) -> Iterator[tuple[Certificate, Kind, str]]:
    """Certificates with what each is, those places first that tell most."""
    for root in report.roots:
        yield root, Kind.ROOT, str(PIN)
    for place in sorted(report.places, key=lambda verdict: verdict.place.kind is not PlaceKind.ISTIOD_CA):
        for number, certificate in enumerate(place.path):
            yield certificate, _of_place(certificate, number, place.place.kind, report), place.name
    for pod in report.pods:
        for number, certificate in enumerate(pod.path):
            yield certificate, _authority(certificate, report) if number else _leaf(certificate), pod.name


def _of_place(certificate: Certificate, number: int, place: PlaceKind, report: Report) -> Kind:
    if place is PlaceKind.ISTIOD_CA and number == 0:
        return Kind.ISTIOD_CA
    return _authority(certificate, report) if number or certificate.is_ca else _leaf(certificate, place)


def _kept(report: Report) -> Iterator[tuple[str, str]]:
    """Fingerprints of anchors, and who keeps them."""
    verdicts: tuple[PlaceVerdict | PodVerdict, ...] = (*report.places, *report.pods)
    for verdict in verdicts:
        for fingerprint in verdict.bundle:
            yield fingerprint, verdict.name


def _authority(certificate: Certificate, report: Report) -> Kind:
    if certificate in report.roots:
        return Kind.ROOT
    if certificate.self_signed:
        return Kind.OTHER_ROOT
    return Kind.SPIRE_CA if f"spiffe://{report.trust_domain}" in certificate.uris else Kind.CA


def _leaf(certificate: Certificate, place: PlaceKind | None = None) -> Kind:
    match place:
        case PlaceKind.ISTIOD:
            return Kind.ISTIOD
        case PlaceKind.SPIRE_SERVER:
            return Kind.SPIRE_SERVER
        case _:
            return Kind.SVID if any(uri.startswith("spiffe://") for uri in certificate.uris) else Kind.LEAF


def _renewal(certificate: Certificate, kind: Kind, known: Mapping[str, Renewal]) -> Renewal | None:
    """None for what nobody is known to renew: a CA of before, a leaf of an unknown kind."""
    match kind:
        case Kind.ROOT:
            return renewal.of_root()
        case Kind.SPIRE_CA:
            return renewal.of_spire_ca(certificate)
        case Kind.SPIRE_SERVER:
            return renewal.of_spire_server(certificate)
        case Kind.SVID:
            return renewal.of_svid(certificate)
        case Kind.ISTIOD:
            return renewal.of_istiod(next(iter(known.values()), None))
        case _:
            return known.get(certificate.sha256)
