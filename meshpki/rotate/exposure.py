"""What somebody who knows the key of a CA can still do after it was replaced, and until when: nobody can revoke it.

Proxies ask for no revocation list, and check of a peer its chain and its trust domain alone; with an upstream authority
SPIRE does not taint or revoke a CA of its own (pkg/server/api/localauthority/v1 at v1.15).
"""

from dataclasses import dataclass
from datetime import datetime

_MINT = "sign a certificate for any identity of the trust domain, and every proxy accepts it"
_HELD = "keep open, after that too, each connection that was accepted: a new certificate closes none"
SOONER = "only a new root ends it sooner: meshpki rotate root --compromised"


@dataclass(frozen=True)
class Exposure:
    """What is left to an attacker until the CA of before ends by itself (UTC)."""

    until: datetime
    can: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """As people read it."""
        told = (f"whoever has the old key can, until {self.until:%FT%TZ}:", *(f"  - {one}" for one in self.can))
        return (*told, SOONER)


def of_istiod_ca(until: datetime) -> Exposure:
    """Of `cacerts`, which lies under the same root as SPIRE's CA: for a proxy one is as good as the other."""
    xds = "pass for istiod: towards proxies (configuration, certificates) and the API server (webhooks)"
    return Exposure(until, (_MINT, xds, _HELD))


def of_spire_ca(until: datetime) -> Exposure:
    """Of a CA of SPIRE's own."""
    return Exposure(until, (_MINT, "pass for spire-server towards its agents", _HELD))
