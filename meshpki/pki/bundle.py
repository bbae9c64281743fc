"""Trust bundles: sets of anchors, told apart by fingerprint."""

from collections.abc import Iterable
from dataclasses import dataclass

from meshpki.pki.certificate import CA_LIMIT, Certificate, read_blocks

# Size of PEM in bytes: cert-manager internal/pem/decode.go at v1.21
BUNDLE_LIMIT = 330_000


@dataclass(frozen=True)
class Bundle:
    """Anchors in the order they were read; two bundles trust the same if their fingerprints are equal."""

    anchors: tuple[Certificate, ...]

    @property
    def fingerprints(self) -> frozenset[str]:
        """SHA-256 of each anchor, lower-case hex; an anchor listed twice counts once."""
        return frozenset(anchor.sha256 for anchor in self.anchors)


@dataclass(frozen=True)
class Difference:
    """How one set of anchors differs from another: fingerprints that are missing, anchors that do not belong."""

    missing: tuple[str, ...]
    strangers: tuple[Certificate, ...]

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.missing or self.strangers)


def read_bundle(pem: bytes) -> Bundle:
    """The anchors of PEM text; raises UnparsableError unless every block is a whole certificate within the limits."""
    return Bundle(read_blocks(pem, BUNDLE_LIMIT, CA_LIMIT))


def difference(bundle: Bundle, pinned: Iterable[str]) -> Difference:
    """What a bundle lacks and has too much, against the pinned fingerprints."""
    expected = frozenset(pinned)
    return Difference(
        tuple(sorted(expected - bundle.fingerprints)),
        tuple(anchor for anchor in bundle.anchors if anchor.sha256 not in expected),
    )
