"""How certificates, moments and foreign text are put into words on a drawing; names and spans on a terminal too."""

import re
import unicodedata
from datetime import datetime, timedelta

from meshpki.pki.certificate import Certificate
from meshpki.verify.places import PlaceKind

_COMMON_NAME = re.compile(r"(?:^|,)CN=((?:[^,\\]|\\.)*)")
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))
_UNITS_FROM = 3
_DIGEST = 16

PLACES = {
    PlaceKind.ROOT: "the pinned root",
    PlaceKind.ISTIOD_CA: "istiod's CA",
    PlaceKind.ISTIOD: "istiod",
    PlaceKind.SPIRE_SERVER: "spire-server",
    PlaceKind.SPIRE_BUNDLE: "SPIRE's bundle",
    PlaceKind.ISTIO_BUNDLE: "istio-ca-root-cert",
    PlaceKind.WEBHOOK: "webhooks",
    PlaceKind.REQUEST: "requests of others",
    PlaceKind.REQUESTERS: "who may ask for a CA",
    PlaceKind.CLOCK: "clocks",
}


def visible(text: str) -> str:
    """Text in which every control, format, bidi, private and unassigned character is written as its code point."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{{{ord(one):x}}}" if _steers(one) else one for one in text)


def short_name(certificate: Certificate) -> str:
    """What people call a certificate: its common name, or `SPIRE CA` for SPIRE's, which has none."""
    found = _COMMON_NAME.search(certificate.subject)
    if found:
        return found.group(1)
    if certificate.is_ca and any(uri.startswith("spiffe://") for uri in certificate.uris):
        return "SPIRE CA"
    return certificate.subject or digest(certificate.sha256)


def digest(sha256: str) -> str:
    """A fingerprint as it is recognised at a glance; the whole stands where it must be compared."""
    return f"sha256 {sha256[:_DIGEST]}…"


def age(span: timedelta) -> str:
    """A span of time in one unit, as kubectl writes ages; `expired` where it is below zero."""
    if span < timedelta():
        return "expired"
    name, unit = next(((name, unit) for name, unit in _UNITS if span >= _UNITS_FROM * unit), _UNITS[-1])
    return f"{span // unit}{name}"


def left(until: datetime, at: datetime) -> str:
    """The time left in one unit, or `expired`."""
    return age(until - at) if until < at else f"{age(until - at)} left"


def moment(at: datetime) -> str:
    """A moment in UTC, to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun, as `1 pod` or `10,000 pods`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _steers(char: str) -> bool:
    return unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp")
