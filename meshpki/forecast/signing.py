"""Until when SPIRE can sign, and when it needs cert-manager for that: its active CA, and the one it has prepared."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.forecast.observation import Observation
from meshpki.pki.renewal import of_spire_life


@dataclass(frozen=True)
class Signing:
    """SPIRE's own clocks (UTC).

    `mint` is when it next asks cert-manager for a CA, at once where that is due and no prepared one is known of.
    `ends` is when the last CA ends that it has, `activates` when it goes over to the next one. `prepared` is the end
    of the next one, None where there is none or it was not seen; `certain` is false where it may be there all the same.
    """

    active: datetime
    activates: datetime
    mint: datetime
    ends: datetime
    prepared: datetime | None = None
    certain: bool = True


def signing(seen: Observation) -> Signing | None:
    """SPIRE's clocks from what was seen of its CA; None where nothing was.

    A server that was asked tells what it really signs with and has prepared. Of several servers, each of which signs
    with a CA of its own, those moments count from which on none is left. SPIRE makes the next CA only while it has
    none (pkg/server/ca/rotator/rotator.go at v1.15), and counts a new one's halves from its making.
    """
    ca = seen.spire_ca
    if ca is None:
        return None
    life = ca.not_after - ca.not_before
    active = _last(seen, "active") or ca.not_after
    plan = of_spire_life(active, life)
    prepared = _last(seen, "prepared")
    following = of_spire_life(prepared, life) if prepared else plan
    mint = following.prepared or seen.at
    certain = seen.slots is not None or mint > seen.at
    return Signing(active, plan.at or active, max(mint, seen.at), prepared or active, prepared, certain)


def taint_deadline(seen: Observation) -> datetime | None:
    """When a root that SPIRE's CA of before lay under must be tainted at the latest; None where there is none.

    The next CA that SPIRE makes takes the place of the one before, and with it goes the right to taint its root
    (spiffe/spire#6198; pkg/server/api/localauthority/v1 at v1.15: only the old authority's root can be tainted).
    """
    left = {
        one.old.upstream
        for one in seen.slots or ()
        if one.old and one.active and one.old.upstream != one.active.upstream
    }
    plan = signing(seen)
    return plan.mint if plan and left else None


def lifetimes(seen: Observation) -> tuple[timedelta, timedelta] | None:
    """The shortest and the longest life of SPIRE's SVIDs, as they were issued; None where there is none."""
    lives = [one.certificate.not_after - one.certificate.not_before for one in seen.svids if one.from_spire]
    return (min(lives), max(lives)) if lives else None


def _last(seen: Observation, slot: str) -> datetime | None:
    listed = (getattr(one, slot) for one in seen.slots or ())
    return max((one.expires for one in listed if one), default=None)
