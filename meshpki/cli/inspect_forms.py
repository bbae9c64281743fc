"""What `inspect` found, as text, as one line a certificate and as PEM: pure functions.

Every name in a certificate is data: what steers a terminal is shown by its code point.
"""

from collections.abc import Iterator
from datetime import datetime

from meshpki.cli.verdicts.words import lasting, left, moment, plain, short_name
from meshpki.inspection.model import Inspection, Link, Part, Role
from meshpki.pki.certificate import Certificate

_USAGES = {
    "1.3.6.1.5.5.7.3.1": "TLS server",
    "1.3.6.1.5.5.7.3.2": "TLS client",
    "1.3.6.1.5.5.7.3.3": "code signing",
    "1.3.6.1.5.5.7.3.4": "e-mail protection",
    "1.3.6.1.5.5.7.3.8": "time stamping",
    "1.3.6.1.5.5.7.3.9": "OCSP signing",
    "2.5.29.37.0": "any",
}
_WIDTH = 11


def text(inspection: Inspection) -> str:
    """Every certificate in full, under the part that it stands in."""
    blocks = [plain(inspection.source)]
    for part in inspection.parts:
        blocks += ["\n".join(_heading(part))]
        blocks += [
            "\n".join(_block(number, one, link, inspection.at))
            for number, (one, link) in enumerate(inspection.linked(part), 1)
        ]
    return "\n\n".join(blocks)


def short(inspection: Inspection) -> str:
    """One line a certificate: number, what it is, name, key, time left, and its link."""
    lines = [plain(inspection.source)]
    for part in inspection.parts:
        lines += _heading(part)
        for number, (one, link) in enumerate(inspection.linked(part), 1):
            cells = (f"{number}", _what(one), _title(one), one.key, _left(one, inspection.at), _linked(link))
            lines.append("  " + plain("  ".join(cells)))
    return "\n".join(lines)


def pem(inspection: Inspection) -> str:
    """The certificates alone, in their order: the chains, or where there is none the bundles. Never a key."""
    parts = inspection.of(Role.CHAIN) or inspection.parts
    return b"".join(one.pem for part in parts for one in part.contents.certificates).decode()


def _heading(part: Part) -> Iterator[str]:
    count = len(part.contents.certificates)
    what = f"{part.role} of {count} certificate" + ("s" if count != 1 else "")
    yield plain(f"{part.name}: {what}" if part.name else what)
    for kind in part.contents.others:
        secret = "; a key does not belong here, and is not shown" if "PRIVATE KEY" in kind else ", not shown"
        yield plain(f"  there is also a {kind}{secret}")
    for why in part.contents.damaged:
        yield plain(f"  damaged: {why}")


def _block(number: int, certificate: Certificate, link: Link, at: datetime) -> Iterator[str]:
    yield plain(f"{number}  {_what(certificate)}  {_title(certificate)}")
    for label, value in _lines(certificate, at):
        yield plain(f"   {label:<{_WIDTH}} {value}")
    yield plain(f"   {'link':<{_WIDTH}} {_linked(link)}")


def _lines(certificate: Certificate, at: datetime) -> Iterator[tuple[str, str]]:
    yield "subject", certificate.subject or "none"
    yield "issuer", certificate.issuer or "none"
    yield "serial", f"{certificate.serial:x}"
    yield "SHA-256", certificate.sha256
    yield from (("URI", uri) for uri in certificate.uris)
    if certificate.dns_names:
        yield "DNS names", ", ".join(certificate.dns_names)
    names = certificate.extensions.alternative_names
    if names and names.others:
        yield "other names", f"{names.others}"
    until = f"{moment(certificate.not_before)} to {moment(certificate.not_after)}"
    yield "valid", f"{until}, {_left(certificate, at)}"
    yield "key", f"{certificate.key}, signed with {certificate.signature_hash or 'no hash of its own'}"
    yield "usages", _usages(certificate)
    yield "CA", _authority(certificate)
    yield "key ids", f"subject {certificate.ski or 'none'}, authority {certificate.aki or 'none'}"


def _what(certificate: Certificate) -> str:
    if not certificate.is_ca:
        return "leaf"
    return "root" if certificate.self_signed else "CA"


def _title(certificate: Certificate) -> str:
    ids = [uri for uri in certificate.uris if uri.startswith("spiffe://")]
    return ids[0] if ids and not certificate.is_ca else short_name(certificate)


def _left(certificate: Certificate, at: datetime) -> str:
    if at < certificate.not_before:
        return f"not valid for another {left(certificate.not_before, at)}"
    return lasting(certificate.not_after, at)


def _usages(certificate: Certificate) -> str:
    usage, extended = certificate.extensions.key_usage, certificate.extensions.extended_key_usages
    if usage is None:
        key = "no key usage"
    else:
        names = ", ".join(sorted(name.replace("_", " ") for name in usage.names)) or "none"
        key = f"{names}{' (critical)' if usage.critical else ''}"
    if extended is None:
        return f"{key}; no extended usages"
    return f"{key}; for {', '.join(_USAGES.get(oid, oid) for oid in sorted(extended))}"


def _authority(certificate: Certificate) -> str:
    constraints = certificate.extensions.basic_constraints
    if constraints is None or not constraints.is_ca:
        return "no" if constraints else "no (it does not say)"
    length = constraints.path_length
    limit = "any number of CAs below it" if length is None else f"at most {length} CAs below it"
    return f"yes, {limit}{' (critical)' if constraints.critical else ''}"


def _linked(link: Link) -> str:
    to = f" certificate {link.to}" if link.to else ""
    return f"{link.bond}{to}" + ("" if link.agreed else ", but its authority key id is not that one's")
