"""SPIFFE IDs, read strictly: nothing is folded, trimmed or guessed."""

import re
from dataclasses import dataclass

from meshpki.errors import MeshpkiError

ID_LIMIT = 2048
TRUST_DOMAIN_LIMIT = 255

_SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


class MalformedIdError(MeshpkiError):
    """Text that is no SPIFFE ID; the rule it breaks is named."""

    def __init__(self, what: str) -> None:
        """Say which rule is broken."""
        super().__init__("MPK-321", what, remedy="let SPIRE issue the identity from a ClusterSPIFFEID template")


@dataclass(frozen=True, order=True)
class SpiffeId:
    """A trust domain and a path; an empty path names the trust domain itself (SPIFFE-ID section 2)."""

    trust_domain: str
    path: str = ""

    def __str__(self) -> str:
        """As it stands in a certificate."""
        return f"{_SCHEME}{self.trust_domain}{self.path}"


def parse(text: str) -> SpiffeId:
    """Read a SPIFFE ID (SPIFFE-ID sections 2 and 2.3); raises MalformedIdError with the rule that is broken."""
    if len(text.encode(errors="replace")) > ID_LIMIT:
        raise MalformedIdError(f"is longer than {ID_LIMIT} bytes")
    if not text.startswith(_SCHEME):
        raise MalformedIdError(f"does not begin with {_SCHEME}")
    trust_domain, slash, path = text.removeprefix(_SCHEME).partition("/")
    if not _TRUST_DOMAIN.fullmatch(trust_domain) or len(trust_domain) > TRUST_DOMAIN_LIMIT:
        raise MalformedIdError("has a trust domain that is not 1 to 255 of a-z 0-9 . _ -")
    if slash and not all(map(_segment, path.split("/"))):
        raise MalformedIdError("has a path segment that is empty, a dot, two dots, or not of A-Z a-z 0-9 . _ -")
    return SpiffeId(trust_domain, slash + path)


def of_service_account(trust_domain: str, namespace: str, service_account: str) -> SpiffeId:
    """The identity that a mesh gives a ServiceAccount (Istio's form, and our ClusterSPIFFEIDs')."""
    return SpiffeId(trust_domain, f"/ns/{namespace}/sa/{service_account}")


def _segment(text: str) -> bool:
    return text not in (".", "..") and _SEGMENT.fullmatch(text) is not None
