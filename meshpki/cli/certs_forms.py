"""The list of certificates as a table and as JSON: pure functions. Names in it are data, shown plainly."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from meshpki.cli.validity import renewal_json, seconds_left, when
from meshpki.cli.verdicts.words import aligned, left, moment, short_name
from meshpki.pki.certificate import Certificate
from meshpki.settings.model import API_VERSION
from meshpki.verify.expiry import Held
from meshpki.verify.report import Report

KIND = "CertificateList"
_HEADER = ("NAME", "KIND", "ISSUER", "LEFT", "EXPIRES", "RENEWAL", "SEEN", "PLACES")
_WIDE = (*_HEADER, "SERIAL", "SHA-256", "KEY")
_TITLES = (("AUTHORITIES", True), ("LEAVES", False))


def table(held: Sequence[Held], report: Report) -> str:
    """Authorities, then leaves, one line each."""
    return _parts(held, report, _HEADER)


def wide(held: Sequence[Held], report: Report) -> str:
    """The same with serial number, fingerprint and key."""
    return _parts(held, report, _WIDE)


def as_json(held: Sequence[Held], report: Report) -> str:
    """Everything, versioned; times in RFC 3339 UTC. Schema: schemas/certificate-list.json in the package."""
    content = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": moment(report.at),
        "trustDomain": report.trust_domain,
        "authorities": [_entry(one, report.at) for one in held if one.is_authority],
        "leaves": [_entry(one, report.at) for one in held if not one.is_authority],
        "podsWithoutCertificate": sum(1 for pod in report.pods if not pod.path),
    }
    return json.dumps(content, indent=2)


def by_name(held: Sequence[Held]) -> tuple[Held, ...]:
    """The same certificates in the order of what they are called."""
    return tuple(sorted(held, key=lambda one: (name_of(one.certificate), one.certificate.not_after)))


def name_of(certificate: Certificate) -> str:
    """What it is called: a leaf by its SPIFFE ID, else by common name or first DNS name."""
    if not certificate.is_ca and certificate.uris:
        return certificate.uris[0]
    if not certificate.subject and certificate.dns_names:
        return certificate.dns_names[0]
    return short_name(certificate)


def _parts(held: Sequence[Held], report: Report, header: tuple[str, ...]) -> str:
    names = {one.certificate.subject: name_of(one.certificate) for one in held if one.is_authority}
    rows = [(one.is_authority, _row(one, names, report)[: len(header)]) for one in held]
    parts = [(title, [row for authority, row in rows if authority is wanted]) for title, wanted in _TITLES]
    return "\n\n".join("\n".join([title, *aligned([header, *shown])]) for title, shown in parts if shown)


def _row(one: Held, names: Mapping[str, str], report: Report) -> tuple[str, ...]:
    certificate = one.certificate
    return (
        name_of(certificate),
        one.kind,
        "itself" if certificate.self_signed else names.get(certificate.issuer) or certificate.issuer,
        left(certificate.not_after, report.at),
        moment(certificate.not_after),
        _renewal(one, report.at),
        one.places[0],
        str(len(one.places)),
        f"{certificate.serial:x}",
        certificate.sha256,
        certificate.key,
    )


def _renewal(one: Held, at: datetime) -> str:
    if one.renewal is None:
        return "not known"
    if one.renewal.at is None:
        return one.renewal.by
    return f"{when(one.renewal, one.certificate.not_after, at)}, {one.renewal.by}"


def _entry(one: Held, at: datetime) -> dict[str, object]:
    certificate = one.certificate
    return {
        "name": name_of(certificate),
        "kind": one.kind,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": f"{certificate.serial:x}",
        "sha256": certificate.sha256,
        "key": certificate.key,
        "notBefore": moment(certificate.not_before),
        "notAfter": moment(certificate.not_after),
        "secondsLeft": seconds_left(certificate.not_after, at),
        "renewal": renewal_json(one.renewal, certificate.not_after, at),
        "places": list(one.places),
    }
