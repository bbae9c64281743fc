"""When a certificate is renewed, and by whom: what SPIRE makes of a validity, and when that is overdue."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.pki.certificate import Certificate

CERT_MANAGER, SPIRE_SERVER, SPIRE_AGENT, ISTIOD = "cert-manager", "spire-server", "SPIRE agent", "istiod"
NOBODY = "nothing by itself: meshpki rotate root"
OWNER = "its owner, outside the mesh: meshpki explain MPK-284"

# pkg/server/ca/manager/slot.go at v1.15: preparationThreshold, keyActivationThreshold and their caps
_PREPARED, _PREPARED_AT_MOST = 2, timedelta(days=30)
_ACTIVATED, _ACTIVATED_AT_MOST = 6, timedelta(days=7)
_HALF = 2
# agents spread their renewals over a tenth of half a life to either side (pkg/common/rotationutil/rotationutil.go)
_SPREAD = 10
# of what is left at the planned moment; SPIRE's agents spread their renewals over 10 % of half a life
_GRACE = 5


@dataclass(frozen=True)
class Renewal:
    """What puts another certificate in this one's place, and at which moment (UTC).

    `at` is None where no clock but an event decides, which `by` then names, or where nothing renews it. `prepared`
    is when its successor is made, where that is earlier than its use.
    """

    by: str
    at: datetime | None = None
    prepared: datetime | None = None

    def overdue(self, not_after: datetime, at: datetime) -> bool:
        """Whether the moment passed, and a fifth of the time that was left then."""
        return self.at is not None and at > self.at + (not_after - self.at) / _GRACE


def of_spire_ca(certificate: Certificate) -> Renewal:
    """spire-server makes its next CA at half of the life (30 days before the end at most), and signs with it later.

    It changes to the next one when a sixth is left (7 days at most); SPIRE counts from its own issuing moment, which
    cert-manager's not before equals within a second.
    """
    return of_spire_life(certificate.not_after, certificate.not_after - certificate.not_before)


def of_spire_life(not_after: datetime, life: timedelta) -> Renewal:
    """The same of a CA that is known by its end and its life alone."""
    return Renewal(
        SPIRE_SERVER,
        not_after - min(life / _ACTIVATED, _ACTIVATED_AT_MOST),
        not_after - min(life / _PREPARED, _PREPARED_AT_MOST),
    )


def of_svid(certificate: Certificate) -> Renewal:
    """The agent renews an X.509-SVID at half of its life, give or take a tenth of that.

    Source: SPIRE v1.15, pkg/common/rotationutil/rotationutil.go.
    """
    return _at_half(certificate, SPIRE_AGENT)


def latest_of_svid(certificate: Certificate) -> datetime:
    """The latest moment at which an agent that runs has renewed an X.509-SVID."""
    half = (certificate.not_after - certificate.not_before) / _HALF
    return certificate.not_before + half + half / _SPREAD


def of_spire_server(certificate: Certificate) -> Renewal:
    """spire-server renews its own X.509-SVID at half of its life (pkg/server/svid/rotator.go at v1.15)."""
    return _at_half(certificate, SPIRE_SERVER)


def of_istiod(ca: Renewal | None) -> Renewal:
    """The serving certificate of istiod is signed anew whenever `cacerts` changes, and at no other time.

    Source: Istio 1.29, pilot/pkg/bootstrap/certcontroller.go, updateRootCertAndGenKeyCert.
    """
    return Renewal(f"{ISTIOD} with cacerts", ca.at if ca else None)


def of_root() -> Renewal:
    """A trust anchor is never renewed: another one takes its place in a rotation."""
    return Renewal(NOBODY)


def of_existing() -> Renewal:
    """A CA that the user brought, and those above it."""
    return Renewal(OWNER)


def _at_half(certificate: Certificate, by: str) -> Renewal:
    life = certificate.not_after - certificate.not_before
    return Renewal(by, certificate.not_before + life / _HALF)
