"""The generations of the trust anchor: which there are, which one comes next, and the way between the pinned two."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus

from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Object, Query
from meshpki.components.trust import CERT_MANAGER, Pin, issued, root_certificate, root_name
from meshpki.errors import PreconditionError
from meshpki.pki.certificate import Certificate
from meshpki.rotate.acts import RETIRED
from meshpki.rotate.facts import Generation, Turn
from meshpki.settings import Settings

_PREFIX = root_name(0).removesuffix("0")


def next_number(pin: Pin, certificates: Iterable[Object], orphaned: Iterable[int] = ()) -> int:
    """The generation to enter next: the least above the pinned one that the mesh has not left before.

    One whose Certificate is there already is one that a run was killed at before it was pinned. One that is `orphaned`
    has a key that was to be destroyed: a Certificate would take it up again.
    """
    retired = {number for number, one in numbered(certificates) if RETIRED in (one["metadata"].get("labels") or {})}
    left = retired.union(orphaned)
    number = pin.generation + 1
    while number in left:
        number += 1
    return number


def numbered(objects: Iterable[Object]) -> Iterator[tuple[int, Object]]:
    """The Certificates, or the Secrets, that are generations of the root, with their numbers."""
    for one in objects:
        digits = one["metadata"]["name"].removeprefix(_PREFIX)
        if one["metadata"]["name"].startswith(_PREFIX) and digits.isascii() and digits.isdecimal():
            yield int(digits), one


def listed(reader: Reader, settings: Settings) -> tuple[Object, ...]:
    """The Certificates among which the generations of the root are."""
    return tuple(reader.list(Query(CERT_MANAGER, "Certificate", settings.namespaces.cert_manager)))


def orphans(reader: Reader, settings: Settings) -> frozenset[int]:
    """The generations whose Secret is there without its Certificate, as a `--retire` leaves one that was stopped.

    By the Secrets' metadata alone. None where they may not be listed: whoever may could read the keys.
    """
    try:
        secrets = reader.headers(Query("v1", "Secret", settings.namespaces.cert_manager))
    except ClusterError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return frozenset()
    # the Certificates after them: each is there before its Secret
    known = {number for number, _ in numbered(listed(reader, settings))}
    return frozenset(number for number, _ in numbered(secrets)) - known


def roots(reader: Reader, settings: Settings) -> Mapping[int, Certificate]:
    """Every generation that is issued, from the status of its CertificateRequest."""
    found = (
        (number, issued(reader, root_certificate(settings, number))[1])
        for number, _ in numbered(listed(reader, settings))
    )
    return {number: chain[0] for number, chain in found if chain}


def turn_of(pin: Pin, known: Mapping[int, Certificate]) -> Turn | None:
    """The way between the two pinned roots, None where one alone is pinned.

    Raises PreconditionError (MPK-437) where the root that is left is the root of no generation, or has another key
    than the Secret of its generation now: a Secret that was deleted comes back with a new key.
    """
    if len(pin.roots) == 1:
        return None
    entering, leaving = pin.roots[:2]
    numbers = {root.sha256: number for number, root in known.items()}
    changed = [root.subject for root in pin.roots if root.sha256 not in numbers]
    if changed or len(pin.roots) > 2:  # noqa: PLR2004 - one to leave, one to enter
        what = (
            f"{', '.join(changed)} is pinned, but the cluster has another certificate of that generation"
            if changed
            else f"{len(pin.roots)} roots are pinned, expected one to leave and one to enter"
        )
        raise PreconditionError("MPK-437", what, remedy="see `meshpki explain MPK-437`")
    return Turn(Generation(numbers[leaving.sha256], leaving), Generation(numbers[entering.sha256], entering))
