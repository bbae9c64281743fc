"""What somebody who knows the key of a CA can still do after it was replaced, and until when: nobody can revoke it.

Proxies ask for no revocation list, and check of a peer its chain and its trust domain alone; with an upstream authority
SPIRE does not taint or revoke a CA of its own (pkg/server/api/localauthority/v1 at v1.15).
"""

from dataclasses import dataclass
from datetime import datetime

from meshpki.settings.durations import moment

_MINT = "sign a certificate for any identity of the trust domain, and every proxy accepts it"
_HELD = "keep open, after that too, each connection that was accepted: a new certificate closes none"
_XDS = "pass for istiod: towards proxies (configuration, certificates) and the API server (webhooks)"
_SPIRE = "pass for spire-server towards its agents"
SOONER = "only a new root ends it sooner: meshpki rotate root --compromised"
_DRAINED = (
    "that is when this rotation is expected to be through; then every pod of the mesh is replaced, which closes what it"
    " accepted. Whoever pins this root outside the cluster has to drop it by himself"
)


@dataclass(frozen=True)
class Exposure:
    """What is left to an attacker until the CA of before ends by itself (UTC)."""

    until: datetime
    can: tuple[str, ...]
    ends: str = SOONER

    def lines(self) -> tuple[str, ...]:
        """As people read it."""
        told = (f"whoever has the old key can, until {moment(self.until)}:", *(f"  - {one}" for one in self.can))
        return (*told, self.ends)


@dataclass(frozen=True)
class Closing:
    """How soon a compromised root was good for nothing, in seconds from the start; None where it is not so yet.

    `distrusted` is when nobody trusted it any more, `drained` when every connection that was accepted under it was
    closed. Pods `left_behind` did not follow and are cut off; workloads `beyond_reach` have to be replaced by others.
    """

    distrusted: float | None
    drained: float | None
    left_behind: tuple[str, ...] = ()
    beyond_reach: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """As people read it."""
        words = ("the old root is trusted nowhere", "every connection from before is closed")
        said = (
            f"{what} after {seconds:.0f} s" if seconds is not None else f"not yet: {what}"
            for what, seconds in zip(words, (self.distrusted, self.drained), strict=True)
        )
        return (
            "; ".join(said),
            *(f"left behind, and cut off: {one}" for one in self.left_behind),
            *(f"to be replaced by its owner: {one}" for one in self.beyond_reach),
        )


def of_root(until: datetime) -> Exposure:
    """Of the trust anchor, until the end of its rotation, which is only expected (UTC)."""
    return Exposure(until, (_MINT, _XDS, _SPIRE, _HELD), _DRAINED)


def of_istiod_ca(until: datetime) -> Exposure:
    """Of `cacerts`, which lies under the same root as SPIRE's CA: for a proxy one is as good as the other."""
    return Exposure(until, (_MINT, _XDS, _HELD))


def of_spire_ca(until: datetime) -> Exposure:
    """Of a CA of SPIRE's own."""
    return Exposure(until, (_MINT, _SPIRE, _HELD))
