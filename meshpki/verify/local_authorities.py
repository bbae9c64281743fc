"""SPIRE's own list of its CAs, which it tells to nobody but whoever may run a command beside it."""

import json
from collections.abc import Iterable

from meshpki.cluster.manifest import Object
from meshpki.errors import MeshpkiError
from meshpki.verify.observation import LocalAuthorities

CONTAINER = "spire-server"
ARGV = (
    "/opt/spire/bin/spire-server",
    "localauthority",
    "x509",
    "show",
    "-socketPath",
    "/tmp/spire-server/private/api.sock",  # noqa: S108 - a path in SPIRE's container
    "-output",
    "json",
)
_HEX = frozenset("0123456789abcdef")
_LIMIT = 64 * 1024


class ListingError(MeshpkiError):
    """spire-server answered with something that is no list of its authorities."""

    def __init__(self, what: str) -> None:
        """Say what came instead."""
        super().__init__("MPK-374", what, remedy="look at the version of SPIRE, and run the command by hand")


def parse(answer: str) -> LocalAuthorities:
    """The authority ids of `localauthority x509 show -output json`; raises ListingError.

    Each of `active`, `prepared` and `old` is left out where there is none; an id is the subject key id in hex
    (spire cmd/spire-server/cli/localauthority/x509 and pkg/server/ca/manager/slot.go at v1.15.3).
    """
    if len(answer) > _LIMIT:
        raise ListingError(f"{len(answer)} characters are more than a list of authorities has")
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ListingError("the answer is no JSON") from error
    if not isinstance(content, dict) or not content.keys() & {"active", "prepared", "old"}:
        raise ListingError("the answer lists no authority")
    return LocalAuthorities(_ids(content, "active"), _ids(content, "prepared"), _ids(content, "old"))


def merged(listings: Iterable[LocalAuthorities]) -> LocalAuthorities:
    """The authorities of several servers, each of which has its own."""
    every = tuple(listings)
    return LocalAuthorities(
        frozenset().union(*(one.active for one in every)),
        frozenset().union(*(one.prepared for one in every)),
        frozenset().union(*(one.old for one in every)),
    )


def _ids(content: Object, slot: str) -> frozenset[str]:
    state = content.get(slot)
    if state is None:
        return frozenset()
    found = state.get("authority_id") if isinstance(state, dict) else None
    if not isinstance(found, str) or not found or not _HEX.issuperset(found):
        raise ListingError(f"the {slot} authority has no id in hex")
    return frozenset({found})
