"""What must hold before policies decide who gets a certificate: no other approver, and nobody denied unawares."""

from collections.abc import Callable, Sequence
from typing import Protocol

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref, ours, ref_of
from meshpki.components.approval import NAME, POLICY
from meshpki.components.trust import CERT_MANAGER
from meshpki.preflight.surroundings import Problem, foreign
from meshpki.settings import Settings
from meshpki.words import first_of

_SHOWN = 5


class Seen(Protocol):
    """What a look at the cluster saw of approval."""

    @property
    def deployments(self) -> Sequence[Object]:
        """Every Deployment."""

    @property
    def denied(self) -> Sequence[Ref]:
        """Certificates of others whose next request no policy speaks for."""


def would_be_denied(reader: Reader, settings: Settings) -> tuple[Ref, ...]:
    """The Certificates of others; none where policies do not decide, or where others have written some, too."""
    if not settings.approval.policy or any(not ours(one) for one in reader.headers(Query(*POLICY))):
        return ()
    return tuple(ref_of(one) for one in reader.headers(Query(CERT_MANAGER, "Certificate")) if not ours(one))


def other_approver(seen: Seen, settings: Settings) -> Problem | None:
    """An approver-policy that is not ours."""
    if not settings.approval.policy:
        return None
    return foreign(seen.deployments, NAME, "approver-policy")


def denied_unawares(seen: Seen, _settings: Settings) -> Problem | None:
    """Certificates that could not be renewed any more."""
    if not seen.denied:
        return None
    what = f"their next renewal would be denied: {first_of([*map(str, seen.denied)], _SHOWN)}"
    return what, "approval.policy", "write a CertificateRequestPolicy for their issuers"


# Name, code, judgement and what it reads.
APPROVAL_CHECKS: tuple[tuple[str, str, Callable[[Seen, Settings], Problem | None], tuple[str, ...]], ...] = (
    ("approver-policy", "MPK-122", other_approver, ("deployments",)),
    ("approval", "MPK-123", denied_unawares, ("denied",)),
)
