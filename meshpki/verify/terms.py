"""What a file is judged by, read from what a user wrote: anchors, a moment, a trust domain, usages."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from meshpki.errors import UsageError
from meshpki.pki.bundle import BUNDLE_LIMIT, read_bundle
from meshpki.pki.certificate import Certificate, UnparsableError
from meshpki.pki.spiffe import MalformedIdError, parse

STANDARD_INPUT = Path("-")
# a whole dump of a proxy in a large mesh, not only of its secrets
DUMP_LIMIT = 128 * 1024 * 1024

_USAGES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
    "OCSPSigning": "1.3.6.1.5.5.7.3.9",
}
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,30})){1,30}", re.ASCII)
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII)


def content(path: Path, limit: int) -> bytes:
    """A file's bytes, `-` for standard input; raises UsageError (MPK-360) where it cannot be read or is too large."""
    try:
        if path == STANDARD_INPUT:
            found = sys.stdin.buffer.read(limit + 1)
        else:
            with path.open("rb") as stream:
                found = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        what = f"cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}"
        raise UsageError("MPK-360", what, where=str(path), remedy="check the path and its rights") from error
    if len(found) > limit:
        remedy = "name the one chain, bundle or dump that is to be judged"
        raise UsageError("MPK-360", f"is larger than {limit} bytes", where=str(path), remedy=remedy)
    return found


def anchors(path: Path) -> tuple[Certificate, ...]:
    """The anchors in a file; raises UsageError (MPK-360, MPK-361) unless every one of them can be read."""
    pem = content(path, BUNDLE_LIMIT)
    try:
        return read_bundle(pem).anchors
    except UnparsableError as error:
        raise garbage(str(path), error) from error


def trust_domain(named: str, roots: tuple[Certificate, ...]) -> str:
    """The trust domain to judge by: the one named, else the one whose ID every anchor bears (X509-SVID 3.2).

    Raises UsageError (MPK-363) where there is none, MPK-369 where the one named is none.
    """
    if named:
        return _trust_domain(named)
    uris = {root.uris for root in roots}
    found = uris.pop() if len(uris) == 1 else ()
    if len(found) != 1 or _path_of(found[0]) != "":
        remedy = "say --trust-domain TD, or --rules path for the rules of RFC 5280 alone"
        raise UsageError("MPK-363", "the anchors name no trust domain, or several", remedy=remedy)
    return found[0].removeprefix("spiffe://")


def usages(text: str) -> frozenset[str]:
    """Extended key usages as OIDs, from names or OIDs with commas between; raises UsageError (MPK-367)."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if word not in _USAGES and not _OID.fullmatch(word)]
    if wrong:
        known = ", ".join(_USAGES)
        raise UsageError("MPK-367", f"--eku knows no usage {wrong[0][:60]!r}", remedy=f"take {known}, or an OID")
    return frozenset(_USAGES.get(word, word) for word in words)


def moment(text: str) -> datetime:
    """A moment as RFC 3339 writes it, in UTC; raises UsageError (MPK-366)."""
    try:
        return datetime.fromisoformat(text.upper() if _RFC_3339.fullmatch(text) else "").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        remedy = "write it as 2026-11-24T12:00:00Z"
        raise UsageError("MPK-366", f"--at {text[:60]!r} is no moment of RFC 3339", remedy=remedy) from error


def garbage(file: str, error: UnparsableError) -> UsageError:
    """The error for a file that was never a chain or a bundle."""
    remedy = "name a PEM file of certificates and nothing else, as `openssl x509` writes it"
    return UsageError("MPK-361", f"is no PEM file of certificates: {error.what}", where=file, remedy=remedy)


def _trust_domain(named: str) -> str:
    name = named.removeprefix("spiffe://")
    if _path_of(f"spiffe://{name}") != "":
        what = f"--trust-domain {named[:80]!r} is none"
        raise UsageError("MPK-369", what, remedy="write it as in SPIFFE IDs: lower-case letters, digits, . - and _")
    return name


def _path_of(uri: str) -> str | None:
    try:
        return parse(uri).path
    except MalformedIdError:
        return None
