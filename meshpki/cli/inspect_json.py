"""What `inspect` found as JSON, versioned: pure. Schema: schemas/inspection.json in the package."""

import json

from meshpki.cli.verdicts.words import moment
from meshpki.inspection.model import Inspection, Link, Part
from meshpki.pki.certificate import Certificate
from meshpki.settings.model import API_VERSION

KIND = "Inspection"


def as_json(inspection: Inspection) -> str:
    """Everything, versioned; times in RFC 3339 UTC, digests in lower-case hex."""
    content = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": moment(inspection.at),
        "source": inspection.source,
        "parts": [_part(inspection, part) for part in inspection.parts],
    }
    return json.dumps(content, indent=2)


def _part(inspection: Inspection, part: Part) -> dict[str, object]:
    return {
        "name": part.name,
        "role": part.role,
        "certificates": [{**_certificate(one), "link": _link(link)} for one, link in inspection.linked(part)],
        "otherBlocks": list(part.contents.others),
        "damaged": list(part.contents.damaged),
    }


def _link(link: Link) -> dict[str, object]:
    return {"bond": link.bond.name.lower(), "to": link.to or None, "keyIdsAgree": link.agreed}


def _certificate(certificate: Certificate) -> dict[str, object]:
    parts = certificate.extensions
    constraints, usage, extended = parts.basic_constraints, parts.key_usage, parts.extended_key_usages
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": f"{certificate.serial:x}",
        "sha256": certificate.sha256,
        "uris": list(certificate.uris),
        "dnsNames": list(certificate.dns_names),
        "otherNames": parts.alternative_names.others if parts.alternative_names else 0,
        "notBefore": moment(certificate.not_before),
        "notAfter": moment(certificate.not_after),
        "key": certificate.key,
        "signatureHash": certificate.signature_hash,
        "keyUsages": sorted(usage.names) if usage else None,
        "extendedKeyUsages": None if extended is None else sorted(extended),
        "isCA": certificate.is_ca,
        "pathLength": constraints.path_length if constraints else None,
        "subjectKeyId": certificate.ski,
        "authorityKeyId": certificate.aki,
        "selfSigned": certificate.self_signed,
    }
