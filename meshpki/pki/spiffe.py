"""SPIFFE IDs, read strictly: nothing is folded, trimmed or guessed."""

import re
from dataclasses import dataclass

from meshpki.errors import MeshpkiError

ID_LIMIT = 2048
TRUST_DOMAIN_LIMIT = 255

_SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_PRINTABLE = re.compile(r"[!-~]*")
# what other URIs may have: query, fragment and percent-encoding; in the authority also user info and port
_FOREIGN = re.compile(r"[?#%]")
_FOREIGN_AUTHORITY = re.compile(r"[@:?#%]")


class MalformedIdError(MeshpkiError):
    """Text that is no SPIFFE ID; `rule` is the number of the one it breaks, 2 to 5 of `chain.judge`."""

    def __init__(self, rule: int, what: str) -> None:
        """Say which rule is broken."""
        super().__init__("MPK-321", what, remedy="let SPIRE issue the identity from a ClusterSPIFFEID template")
        self.rule = rule


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
    if not _PRINTABLE.fullmatch(text):
        raise MalformedIdError(5, "has a character that is not printable ASCII")
    if len(text) > ID_LIMIT:
        raise MalformedIdError(3, f"is longer than {ID_LIMIT} bytes")
    if not text.startswith(_SCHEME):
        raise MalformedIdError(2, f"does not begin with {_SCHEME}")
    trust_domain, slash, path = text.removeprefix(_SCHEME).partition("/")
    _check_trust_domain(trust_domain)
    if slash:
        _check_path(path)
    return SpiffeId(trust_domain, slash + path)


def of_service_account(trust_domain: str, namespace: str, service_account: str) -> SpiffeId:
    """The identity that a mesh gives a ServiceAccount (Istio's form, and our ClusterSPIFFEIDs')."""
    return SpiffeId(trust_domain, f"/ns/{namespace}/sa/{service_account}")


def _check_trust_domain(text: str) -> None:
    if not text or _FOREIGN_AUTHORITY.search(text):
        raise MalformedIdError(2, "has no trust domain, or one with user info, port, query, fragment or an escape")
    if not _TRUST_DOMAIN.fullmatch(text) or len(text) > TRUST_DOMAIN_LIMIT:
        raise MalformedIdError(3, "has a trust domain that is not 1 to 255 of a-z 0-9 . _ -")


def _check_path(text: str) -> None:
    if _FOREIGN.search(text):
        raise MalformedIdError(2, "has a path with a query, a fragment or an escape")
    if not all(map(_segment, text.split("/"))):
        raise MalformedIdError(4, "has a path segment that is empty, a dot, two dots, or not of A-Z a-z 0-9 . _ -")


def _segment(text: str) -> bool:
    return text not in (".", "..") and _SEGMENT.fullmatch(text) is not None
