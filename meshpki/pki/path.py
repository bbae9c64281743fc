"""Gate A: whether a path exists is decided by `cryptography`; where it stops is found by walking the names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, named

# besides VerificationError, what the verifier is known to raise on damaged certificates
_REFUSALS = (VerificationError, ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension)

# a chain of a leaf and one intermediate, the signers above it: that intermediate and the anchor
_WITH_INTERMEDIATE = 2
_PROVEN_LIMIT = 64
# leaf and anchor, and one more to tell a path that is too long
_ENDS = 3
# ways that are followed where CAs share names and keys
_WAYS = 16


@dataclass(frozen=True)
class Expected:
    """What a chain is judged against: the pinned anchors alone, at one moment (UTC).

    `max_depth` counts intermediates. `trust_domain` empty means the RFC 5280 rules only, for any kind of leaf;
    otherwise the leaf is a workload's X509-SVID of that trust domain. `usages` are the extended key usages (OIDs)
    that the leaf is needed for. `strict` turns missing key ids into failures. `owned` are CAs (SHA-256) that somebody
    else made for more than this mesh: nothing is advised on their form.
    """

    anchors: tuple[Certificate, ...]
    at: datetime
    max_depth: int = 1
    trust_domain: str = ""
    usages: frozenset[str] = frozenset()
    strict: bool = False
    owned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusal:
    """The library's no, in its own words."""

    words: str


def validate(chain: Sequence[Certificate], expected: Expected) -> tuple[Certificate, ...] | Refusal:
    """The path from the leaf to an anchor that RFC 5280 section 6 accepts, or the refusal.

    Below an intermediate that a whole path has proven, only the leaf is verified (`_Proven`); a no is never taken
    from there.
    """
    if not expected.anchors:
        return Refusal("there is no anchor to trust")
    return _PROVEN.path(chain, expected) or _whole(chain, expected)


def intermediates(path: Sequence[Certificate]) -> int:
    """How many signers lie between the leaf and the anchor, self-issued ones not counted (RFC 5280 section 6.1.4)."""
    return sum(1 for signer in path[1:-1] if not signer.self_issued)


def _whole(chain: Sequence[Certificate], expected: Expected) -> tuple[Certificate, ...] | Refusal:
    # the library counts self-issued certificates too; a path for which it so allowed too many others is no reason to
    # refuse a shorter one
    uncounted = sum(1 for certificate in chain[1:] if certificate.self_issued)
    path = _path(chain, expected, expected.max_depth + min(uncounted, expected.max_depth))
    if not isinstance(path, Refusal) and intermediates(path) > expected.max_depth:
        shorter = _path(chain, expected, expected.max_depth)
        path = path if isinstance(shorter, Refusal) else shorter
    if not isinstance(path, Refusal):
        _PROVEN.learn(path, chain, expected)
    return path


def _path(chain: Sequence[Certificate], expected: Expected, depth: int) -> tuple[Certificate, ...] | Refusal:
    known = {certificate.der: certificate for certificate in (*chain, *expected.anchors)}
    verifier = _builder(expected, depth).build_client_verifier()
    try:
        verified = verifier.verify(chain[0].parsed, [signer.parsed for signer in chain[1:]])
    except _REFUSALS as error:
        return Refusal(str(error) or type(error).__name__)
    return tuple(known[found.public_bytes(Encoding.DER)] for found in verified.chain)


@dataclass(frozen=True)
class _Below:
    """How a leaf below a proven intermediate is verified, and the path from that intermediate to its anchor."""

    verifier: ClientVerifier
    path: tuple[Certificate, ...]


class _Proven:
    """Intermediates that the library has proven, so that each further leaf below one costs one signature check.

    Sound, as everything that the whole path says of them is the same for every leaf: the anchors, the moment and the
    policy are part of the key, the position in the path is fixed, and CAs with name constraints, which judge the
    leaf's names, are left out. Bounded; what falls out is proven again.
    """

    def __init__(self) -> None:
        """Nothing is proven yet."""
        self._below: dict[tuple[object, ...], _Below] = {}

    def path(self, chain: Sequence[Certificate], expected: Expected) -> tuple[Certificate, ...] | None:
        """The path of a leaf and its proven intermediate, None where the whole has to be asked."""
        below = self._below.get(_key(chain[1], expected)) if len(chain) == _WITH_INTERMEDIATE else None
        if below is None or chain[0] in below.path:
            return None
        try:
            below.verifier.verify(chain[0].parsed, [])
        except _REFUSALS:
            return None
        return (chain[0], *below.path)

    def learn(self, path: tuple[Certificate, ...], chain: Sequence[Certificate], expected: Expected) -> None:
        """Keep what a whole path says of its one intermediate."""
        signers = path[1:]
        if len(signers) != _WITH_INTERMEDIATE or tuple(chain[1:]) != signers[:1]:
            return
        if any(signer.extensions.name_constraints for signer in signers):
            return
        if len(self._below) >= _PROVEN_LIMIT:
            self._below.clear()
        verifier = _builder(replace(expected, anchors=signers[:1]), expected.max_depth).build_client_verifier()
        self._below[_key(signers[0], expected)] = _Below(verifier, signers)


_PROVEN = _Proven()


def _key(intermediate: Certificate, expected: Expected) -> tuple[object, ...]:
    anchors = tuple(anchor.sha256 for anchor in expected.anchors)
    return intermediate.sha256, anchors, expected.at, expected.max_depth, expected.trust_domain


# The certificates met, leaf first, and why no pinned anchor was reached; None where one was.
Way = tuple[tuple[Certificate, ...], Finding | None]


def ways(chain: Sequence[Certificate], expected: Expected) -> list[Way]:
    """Where issuer names and signatures lead from the leaf, the likeliest first; it proves nothing.

    Only ways that reach a pinned anchor where there are any, and never more than a few.
    """
    pinned = {anchor.sha256 for anchor in expected.anchors}
    found = list(islice(_ways((chain[0],), chain, expected), _WAYS))
    return [way for way in found if way[0][-1].sha256 in pinned] or found[:1]


def _ways(path: tuple[Certificate, ...], chain: Sequence[Certificate], expected: Expected) -> Iterator[Way]:
    last = path[-1]
    # far enough to see that there are too many, not so far that a hostile chain takes long
    if last in expected.anchors or len(path) >= 2 * expected.max_depth + _ENDS:
        yield path, None
        return
    namesakes = _namesakes(last, chain, expected)
    signers = [one for one in namesakes if one not in path and last.signed_by(one)]
    for signer in signers:
        yield from _ways((*path, signer), chain, expected)
    if not signers:
        yield path, _why_it_ends(last, namesakes, expected)


def _builder(expected: Expected, depth: int) -> PolicyBuilder:
    return (
        PolicyBuilder()
        .store(Store([anchor.parsed for anchor in expected.anchors]))
        .time(expected.at)
        .max_chain_depth(depth)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=_svid_policy() if expected.trust_domain else ExtensionPolicy.permit_all(),
        )
    )


def _svid_policy() -> ExtensionPolicy:
    """X509-SVID sections 2 and 4: a SAN, a critical key usage, no CA."""
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .require_present(x509.KeyUsage, Criticality.CRITICAL, None)
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _no_ca)
    )


def _no_ca(_policy: Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("a leaf must not be a CA")


def _namesakes(last: Certificate, chain: Sequence[Certificate], expected: Expected) -> list[Certificate]:
    """What may have signed it, by name: a pinned anchor before any other, then what leads to one, then what is valid.

    During a rotation the same CA may be sent twice, signed by either root: the one below the pinned root explains.
    """
    named_so = [c for c in (*expected.anchors, *chain) if last.names_issuer(c)]
    return sorted(named_so, key=lambda c: _worth(c, expected), reverse=True)


def _worth(candidate: Certificate, expected: Expected) -> tuple[bool, bool, bool]:
    leads_on = any(candidate.names_issuer(anchor) for anchor in expected.anchors)
    return candidate in expected.anchors, leads_on, candidate.valid_at(expected.at)


def _why_it_ends(last: Certificate, namesakes: Sequence[Certificate], expected: Expected) -> Finding:
    pinned = ", ".join(f"{anchor.subject} {anchor.sha256[:16]}" for anchor in expected.anchors) or "no root"
    if last.self_signed:
        return Finding(
            "MPK-303",
            "fail",
            22,
            f"a path to {pinned}",
            f"it ends at the root {last.subject} {last.sha256[:16]}",
            "if a rotation runs, restart the pod; otherwise find who issues from that root",
            named(last),
        )
    if namesakes:
        return Finding(
            "MPK-304",
            "fail",
            22,
            f"a signature by the key of {last.issuer}",
            f"the key of {namesakes[0].subject} {namesakes[0].sha256[:16]} does not verify it",
            "treat it as forged until the CA of that name with another key is found",
            named(last),
        )
    return Finding(
        "MPK-302",
        "fail",
        22,
        f"the certificate of its issuer {last.issuer}",
        "it was not sent and is not pinned",
        "have the chain sent whole: restart the pod, then look at its issuer",
        named(last),
    )
