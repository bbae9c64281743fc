"""Gate B, RFC 5280: numbered rules over a path, each a pure function that can only refuse or explain.

The numbers are those of the contract in `chain.py`.
"""

from collections.abc import Callable, Iterator, Sequence

from meshpki.pki.certificate import Certificate
from meshpki.pki.extensions import ANY_USAGE, UNJUDGED_CONSTRAINTS, UNJUDGED_KEYS
from meshpki.pki.path import Expected, intermediates
from meshpki.pki.verdict import Finding, Severity, named
from meshpki.settings.durations import moment

Path = Sequence[Certificate]
Rule = Callable[[Path, Expected], Iterator[Finding]]

# a positive integer of at most 20 octets
_SERIALS = range(1, 1 << 159)
_HASHES = ("sha256", "sha384", "sha512")
_CURVES = ("EC secp256r1", "EC secp384r1", "EC secp521r1")
_RSA_BITS = 2048

_CLOCKS = "compare the clocks of this machine and the nodes: cert-manager does not date back"
_REISSUE = "have it issued again by the mesh's own CA with meshpki's profile"


def empty_subject(path: Path, _expected: Expected) -> Iterator[Finding]:
    """13: an empty subject makes the subject alternative name critical (4.1.2.6)."""
    leaf = path[0]
    names = leaf.extensions.alternative_names
    if not leaf.subject and not (names and names.critical):
        yield _finding("MPK-326", 13, leaf, "a critical subject alternative name, as the subject is empty", "none")


def signer_is_ca(path: Path, _expected: Expected) -> Iterator[Finding]:
    """14: every signer says cA in critical BasicConstraints (4.2.1.9)."""
    for signer in path[1:]:
        constraints = signer.extensions.basic_constraints
        if constraints is None or not constraints.is_ca:
            yield _finding("MPK-307", 14, signer, "BasicConstraints with cA true", "it is no CA")
        elif not constraints.critical:
            yield _finding("MPK-307", 14, signer, "critical BasicConstraints", "they are not critical")


def signer_may_sign(path: Path, _expected: Expected) -> Iterator[Finding]:
    """15: every signer has the key usage keyCertSign, and nobody has it who is no CA (4.2.1.3)."""
    if not path[0].is_ca and "key_cert_sign" in _key_usages(path[0]):
        yield _finding("MPK-307", 15, path[0], "keyCertSign with CAs only", "it is no CA and may sign certificates")
    for signer in path[1:]:
        if "key_cert_sign" not in _key_usages(signer):
            yield _finding("MPK-307", 15, signer, "the key usage keyCertSign", "it may not sign certificates")


def within_validity(path: Path, expected: Expected) -> Iterator[Finding]:
    """23: the whole path, anchor included, is valid at one moment, both ends included (4.1.2.5)."""
    for certificate in (one for one in path if not one.valid_at(expected.at)):
        wanted = f"valid at {moment(expected.at)}"
        if expected.at > certificate.not_after:
            found = f"it expired at {moment(certificate.not_after)}"
            yield _finding("MPK-305", 23, certificate, wanted, found)
        else:
            found = f"it begins at {moment(certificate.not_before)}"
            yield _finding("MPK-306", 23, certificate, wanted, found, remedy=_CLOCKS)


def path_length(path: Path, _expected: Expected) -> Iterator[Finding]:
    """24: no more intermediates below a CA than its pathLenConstraint, self-issued ones not counted (4.2.1.9)."""
    for above, signer in enumerate(path[1:]):
        constraints = signer.extensions.basic_constraints
        limit = constraints.path_length if constraints else None
        below = sum(1 for one in path[1 : above + 1] if not one.self_issued)
        if limit is not None and below > limit:
            yield _finding("MPK-308", 24, signer, f"at most {limit} intermediates below it", f"{below} are")


def depth(path: Path, expected: Expected) -> Iterator[Finding]:
    """25: at most `max_depth` intermediates, as cert-manager cannot set pathLenConstraint; self-issued do not count."""
    between = intermediates(path)
    if between > expected.max_depth:
        yield _finding("MPK-308", 25, path[0], f"at most {expected.max_depth} intermediates", f"{between} are sent")


def known_extensions(path: Path, _expected: Expected) -> Iterator[Finding]:
    """26: a critical extension that is not understood refuses the certificate (4.2)."""
    for certificate in path:
        for oid in certificate.extensions.unknown_critical:
            yield _finding("MPK-309", 26, certificate, "critical extensions that are understood", f"{oid} is critical")


def name_constraints(path: Path, _expected: Expected) -> Iterator[Finding]:
    """27: name constraints stand in CAs only, critically so (4.2.1.10); whether they are kept the library judges."""
    for certificate in path:
        constraints = certificate.extensions.name_constraints
        if constraints and not certificate.is_ca:
            yield _finding("MPK-310", 27, certificate, "name constraints in CAs only", "it is no CA and has some")
        elif constraints and not constraints.critical:
            yield _finding("MPK-310", 27, certificate, "critical name constraints", "they are not", severity="warn")


def judgeable(path: Path, _expected: Expected) -> Iterator[Finding]:
    """28: name constraints on URIs or directory names, and Edwards keys of CAs, are beyond the library."""
    for signer in path[1:]:
        constraints = signer.extensions.name_constraints
        for kind in sorted(constraints.kinds & UNJUDGED_CONSTRAINTS) if constraints else ():
            yield _finding(
                "MPK-311",
                28,
                signer,
                "name constraints of kind DNS, IP or e-mail",
                f"of kind {kind}",
                severity="unknown",
            )
        if signer.key in UNJUDGED_KEYS:
            yield _finding("MPK-311", 28, signer, "a CA with an EC or RSA key", signer.key, severity="unknown")


def signer_usage(path: Path, expected: Expected) -> Iterator[Finding]:
    """29: extended key usages of a CA, if it has any, allow what the leaf is for (X509-SVID 4.4)."""
    wanted = expected.usages or path[0].extensions.extended_key_usages or frozenset()
    for signer in path[1:]:
        allowed = signer.extensions.extended_key_usages
        if allowed is not None and ANY_USAGE not in allowed and not wanted <= allowed:
            yield _finding("MPK-307", 29, signer, "the leaf's extended key usages, or none", "others only")


def leaf_usage(path: Path, expected: Expected) -> Iterator[Finding]:
    """12: the leaf's extended key usages, if it has any, allow what it is needed for (4.2.1.12)."""
    allowed = path[0].extensions.extended_key_usages
    if allowed is not None and ANY_USAGE not in allowed and not expected.usages <= allowed:
        found = ", ".join(sorted(allowed))
        yield _finding("MPK-324", 12, path[0], f"extended key usages {', '.join(sorted(expected.usages))}", found)


def key_ids(path: Path, expected: Expected) -> Iterator[Finding]:
    """30: every CA has an SKI, and all but a self-signed one an AKI (4.2.1.1, 4.2.1.2)."""
    for certificate in path:
        # whoever runs the mesh cannot have somebody else's CA made again
        severity: Severity = "fail" if expected.strict and certificate.sha256 not in expected.owned else "warn"
        if certificate.aki is None and not certificate.self_signed:
            yield _finding("MPK-314", 30, certificate, "an authority key identifier", "none", severity=severity)
        if certificate.ski is None and certificate.is_ca:
            yield _finding("MPK-314", 30, certificate, "a subject key identifier", "none", severity=severity)


def key_ids_agree(path: Path, _expected: Expected) -> Iterator[Finding]:
    """31: the authority key identifier names the issuer, by key and by serial: Envoy and OpenSSL refuse otherwise."""
    signers = [*path[1:], path[-1]] if path[-1].self_signed else path[1:]
    for certificate, signer in zip(path, signers, strict=False):
        if certificate.aki and signer.ski and certificate.aki != signer.ski:
            yield _finding("MPK-313", 31, certificate, f"key identifier {signer.ski}", f"{certificate.aki}")
        named_by = certificate.extensions.aki_names
        if named_by and (
            named_by.serial != signer.serial or (named_by.issuers and signer.issuer not in named_by.issuers)
        ):
            expected = f"the signer's serial number {signer.serial:x}, issued by {signer.issuer}"
            found = f"{named_by.serial:x}, issued by {', '.join(named_by.issuers) or 'nobody named'}"
            yield _finding("MPK-313", 31, certificate, expected, found)


def serial_number(path: Path, _expected: Expected) -> Iterator[Finding]:
    """32: a serial number is positive and has at most 20 octets (4.1.2.2)."""
    for certificate in path:
        if certificate.serial not in _SERIALS:
            yield _finding("MPK-315", 32, certificate, "a serial number of 1 to 20 octets", "another")


def strong_keys(path: Path, _expected: Expected) -> Iterator[Finding]:
    """33: RSA of 2048 bits, or P-256, P-384, P-521, signed with SHA-2; leaves may have Ed25519 keys."""
    for certificate in path:
        if not _strong(certificate.key):
            yield _finding("MPK-312", 33, certificate, "RSA of 2048 bits or a NIST curve", certificate.key)
        if certificate.signature_hash and certificate.signature_hash not in _HASHES:
            yield _finding("MPK-312", 33, certificate, "a SHA-2 signature", certificate.signature_hash)


def anchors_are_cas(_path: Path, expected: Expected) -> Iterator[Finding]:
    """34: anchors are CAs only: a leaf among them would verify itself."""
    for anchor in expected.anchors:
        if not anchor.is_ca:
            yield _finding("MPK-316", 34, anchor, "a bundle of CAs", "a certificate that is no CA")


RULES: tuple[Rule, ...] = (
    empty_subject,
    signer_is_ca,
    signer_may_sign,
    within_validity,
    path_length,
    depth,
    known_extensions,
    name_constraints,
    leaf_usage,
    signer_usage,
    key_ids,
    key_ids_agree,
    serial_number,
    strong_keys,
    anchors_are_cas,
)
# why a path may be refused without being wrong; asked only where the library refused it
EXPLANATIONS: tuple[Rule, ...] = (judgeable,)


def _key_usages(certificate: Certificate) -> frozenset[str]:
    usage = certificate.extensions.key_usage
    return usage.names if usage else frozenset()


def _strong(key: str) -> bool:
    kind, _, size = key.partition(" ")
    return key in _CURVES or kind in UNJUDGED_KEYS or (kind == "RSA" and int(size) >= _RSA_BITS)


def _finding(
    code: str,
    rule: int,
    certificate: Certificate,
    expected: str,
    found: str,
    *,
    severity: Severity = "fail",
    remedy: str = _REISSUE,
) -> Finding:
    return Finding(code, severity, rule, expected, found, remedy, named(certificate))
