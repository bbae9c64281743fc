"""Gate B, SPIFFE: what X509-SVID and SPIFFE-ID ask of a leaf and its signers, numbered as in `chain.py`."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from meshpki.pki.certificate import Certificate
from meshpki.pki.path import Expected
from meshpki.pki.rules import Path, Rule
from meshpki.pki.spiffe import MalformedIdError, SpiffeId, parse
from meshpki.pki.verdict import Finding, Severity, named
from meshpki.settings.durations import moment

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"

_SIGNING = frozenset({"key_cert_sign", "crl_sign"})
_SVID_USAGES = frozenset({"digital_signature", "key_encipherment", "key_agreement"})
_ONE_OF_A_NAME = "take it out of the bundle; give each root a name of its own"
_OTHER_ROOT = "if a rotation runs, wait until the bundle holds that root; a root need not be sent"
_REMEDY = "let SPIRE issue the SVID: restart the pod, then look at what changed the certificate's form"


def one_uri(path: Path, _expected: Expected) -> Iterator[Finding]:
    """1: exactly one URI name, beside any names of other kinds (X509-SVID 2)."""
    if len(path[0].uris) != 1:
        yield _finding("MPK-320", 1, path[0], "exactly one URI name", f"{len(path[0].uris)}")


def well_formed(path: Path, _expected: Expected) -> Iterator[Finding]:
    """2 to 5: the URI is a SPIFFE ID with a path, compared as whole bytes (SPIFFE-ID 2, X509-SVID 3.1)."""
    for uri in path[0].uris:
        read = _parse(uri)
        if isinstance(read, MalformedIdError):
            yield _finding("MPK-321", read.rule, path[0], "a SPIFFE ID", f"{uri} {read.what}")
        elif not read.path:
            yield _finding("MPK-321", 4, path[0], "a workload's SPIFFE ID, with a path", uri)


def leaf_is_no_ca(path: Path, _expected: Expected) -> Iterator[Finding]:
    """6, 7: a leaf's BasicConstraints say that it is no CA (X509-SVID 4.1); SPIRE refuses a leaf without them."""
    constraints = path[0].extensions.basic_constraints
    if constraints is None:
        yield _finding("MPK-328", 7, path[0], "BasicConstraints", "none", severity="warn")
    elif constraints.is_ca:
        yield _finding("MPK-325", 6, path[0], "a leaf that is no CA", "cA is true")


def leaf_key_usage(path: Path, _expected: Expected) -> Iterator[Finding]:
    """8, 9, 10: critical key usage with digitalSignature and no signing of certificates (X509-SVID 4.3)."""
    usage = path[0].extensions.key_usage
    if usage is None or not usage.critical:
        yield _finding("MPK-323", 8, path[0], "a critical key usage", "not critical" if usage else "none")
    names = usage.names if usage else frozenset()
    if usage and ("digital_signature" not in names or names & _SIGNING):
        yield _finding("MPK-323", 9, path[0], "digitalSignature, not keyCertSign or cRLSign", ", ".join(sorted(names)))
    for name in sorted(names - _SVID_USAGES - _SIGNING):
        yield _finding("MPK-328", 10, path[0], "no key usage beyond signing and key exchange", name, severity="warn")


def leaf_extended_usage(path: Path, _expected: Expected) -> Iterator[Finding]:
    """11, 12: extended key usages, where there are any, name server and client authentication (X509-SVID 4.4)."""
    usages = path[0].extensions.extended_key_usages
    if usages is None:
        yield _finding("MPK-328", 11, path[0], "extended key usages", "none", severity="warn")
    elif not {SERVER_AUTH, CLIENT_AUTH} <= usages:
        yield _finding("MPK-324", 12, path[0], "serverAuth and clientAuth", ", ".join(sorted(usages)))


def signer_key_usage(path: Path, expected: Expected) -> Iterator[Finding]:
    """16, 17: a signer's key usage is critical and only for signing certificates and CRLs (X509-SVID 4.3, A)."""
    for signer in path[1:]:
        usage = signer.extensions.key_usage
        if signer.sha256 in expected.owned and not signer.uris:
            continue
        if usage and not usage.critical:
            severity: Severity = "fail" if signer.uris else "warn"
            yield _finding("MPK-327", 16, signer, "a critical key usage", "not critical", severity=severity)
        for name in sorted((usage.names if usage else frozenset()) & _SVID_USAGES):
            yield _finding("MPK-328", 17, signer, "keyCertSign and cRLSign only", name, severity="warn")


def signer_identity(path: Path, expected: Expected) -> Iterator[Finding]:
    """18, 19, 20: a signer bears the SPIFFE ID of the trust domain itself, without a path (X509-SVID 3.2)."""
    for signer in path[1:]:
        if not signer.uris and signer.sha256 not in expected.owned:
            yield _finding(
                "MPK-328", 18, signer, f"the SPIFFE ID spiffe://{expected.trust_domain}", "none", severity="warn"
            )
        for uri in signer.uris:
            read = _parse(uri)
            if isinstance(read, MalformedIdError) or read.path:
                yield _finding("MPK-327", 19, signer, "a SPIFFE ID without a path", uri)
            elif read.trust_domain != expected.trust_domain:
                yield _finding("MPK-328", 20, signer, f"trust domain {expected.trust_domain}", uri, severity="warn")


def trust_domain(path: Path, expected: Expected) -> Iterator[Finding]:
    """21: the leaf lies in the trust domain whose anchors it is judged by (X509-SVID 5.1)."""
    for uri in path[0].uris:
        read = _parse(uri)
        if isinstance(read, SpiffeId) and read.trust_domain != expected.trust_domain:
            yield _finding("MPK-322", 21, path[0], f"trust domain {expected.trust_domain}", uri)


def sure_anchor(path: Path, expected: Expected) -> Iterator[Finding]:
    """43: every anchor that may be taken for a signer of the path proves it, and is self-issued.

    BoringSSL, and so Envoy, takes one anchor of the issuer's name that the key identifiers do not rule out, tries no
    other, and wants a self-issued one at the end (X509_STORE_CTX_get1_issuer). Which one, the order of a bundle does
    not tell: its store is sorted by name alone.
    """
    for certificate, signer in pairwise(path):
        for anchor in expected.anchors:
            if certificate.may_be_issued_by(anchor):
                found = _unsure(certificate, signer, anchor, expected)
                if found:
                    wanted = f"no anchor named {anchor.subject} but such as prove it"
                    yield Finding("MPK-349", "fail", 43, wanted, found, _ONE_OF_A_NAME, named(anchor))


def no_root_between(path: Path, _expected: Expected) -> Iterator[Finding]:
    """45: no root is sent that leads on to the anchor: BoringSSL, and so Envoy, ends at it and does not trust it."""
    for signer in path[1:-1]:
        if signer.may_be_issued_by(signer):
            found = f"{signer.subject} {signer.sha256[:16]} was sent and is not among them"
            yield Finding("MPK-303", "fail", 45, "the root itself among the anchors", found, _OTHER_ROOT, named(signer))


RULES: tuple[Rule, ...] = (
    one_uri,
    well_formed,
    leaf_is_no_ca,
    leaf_key_usage,
    leaf_extended_usage,
    signer_key_usage,
    signer_identity,
    trust_domain,
    sure_anchor,
    no_root_between,
)


def _unsure(certificate: Certificate, signer: Certificate, anchor: Certificate, expected: Expected) -> str:
    """Why an anchor of the issuer's name proves nothing; empty where it does."""
    which = f"{anchor.sha256[:16]} may be taken and"
    if not anchor.self_issued:
        return f"{which} is itself issued by {anchor.issuer}"
    # of the signer itself the other rules tell
    if anchor.sha256 == signer.sha256:
        return ""
    if not anchor.valid_at(expected.at):
        return f"{which} is valid from {moment(anchor.not_before)} to {moment(anchor.not_after)}"
    return "" if certificate.signed_by(anchor) else f"{which} has another key"


@lru_cache(maxsize=64)
def _parse(uri: str) -> SpiffeId | MalformedIdError:
    try:
        return parse(uri)
    except MalformedIdError as error:
        return error


def _finding(
    code: str, rule: int, certificate: Certificate, expected: str, found: str, *, severity: Severity = "fail"
) -> Finding:
    return Finding(code, severity, rule, expected, found, _REMEDY, named(certificate))
