"""Trust bundles: sets of anchors, told apart by fingerprint."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from meshpki.pki.certificate import CA_LIMIT, Certificate, read_blocks
from meshpki.pki.verdict import Finding, named
from meshpki.settings.durations import moment

# Size of PEM in bytes: cert-manager internal/pem/decode.go at v1.21
BUNDLE_LIMIT = 330_000
# of anchors: each is compared with each of the others
BUNDLE_LENGTH = 256


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
    """How one set of anchors differs from another: fingerprints that are missing, anchors that do not belong.

    `held` is how many of the other's it has.
    """

    missing: tuple[str, ...]
    strangers: tuple[Certificate, ...]
    held: int = 0

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.missing or self.strangers)

    @property
    def under_way(self) -> bool:
        """Whether one of several roots has still to come and nothing else is wrong, as while a rotation runs."""
        return bool(self.missing and self.held) and not self.strangers

    @property
    def progress(self) -> str:
        """How far the pinned roots have come, in words."""
        absent = ", ".join(fingerprint[:16] for fingerprint in self.missing)
        pinned = self.held + len(self.missing)
        return f"it holds {self.held} of the {pinned} pinned roots, not {absent}; the rotation is not through here yet"


@lru_cache(maxsize=16)
def read_bundle(pem: bytes) -> Bundle:
    """The anchors of PEM text; raises UnparsableError unless every block is a whole certificate within the limits.

    Thousands of pods hold the same text: it is read once.
    """
    return Bundle(read_blocks(pem, BUNDLE_LIMIT, CA_LIMIT, BUNDLE_LENGTH))


def difference(bundle: Bundle, pinned: Iterable[str]) -> Difference:
    """What a bundle lacks and has too much, against the pinned fingerprints."""
    expected = frozenset(pinned)
    return Difference(
        tuple(sorted(expected - bundle.fingerprints)),
        tuple(anchor for anchor in bundle.anchors if anchor.sha256 not in expected),
        len(expected & bundle.fingerprints),
    )


def bundle_differences(
    differs: Difference, wrong: Callable[[str, Certificate | None], Finding], under_way: str
) -> Iterator[Finding]:
    """39: a bundle is exactly the pinned roots: one too few refuses peers, one too many lets strangers in.

    `wrong` makes a finding of what was found and the anchor that it is about. One of several roots that has still to
    come is a warning, whose remedy is `under_way`.
    """
    if differs.under_way:
        yield replace(wrong(differs.progress, None), severity="warn", remedy=under_way)
        return
    for fingerprint in differs.missing:
        yield wrong(f"{fingerprint[:16]} is missing", None)
    for stranger in differs.strangers:
        yield wrong(f"{stranger.subject} {stranger.sha256[:16]} is there too", stranger)


def hidden(anchors: Sequence[Certificate], at: datetime) -> Iterator[Finding]:
    """43: no expired anchor stands beside a valid one of the same name, unless their key identifiers differ.

    Envoy takes either, and its order in the bundle does not tell which (`svid.sure_anchor`).
    """
    valid = [one for one in anchors if one.valid_at(at)]
    for expired in (one for one in anchors if at > one.not_after):
        beside = next((one for one in valid if _alike(one, expired)), None)
        if beside:
            found = f"it expired at {moment(expired.not_after)} and stands beside {beside.sha256[:16]}"
            expected = f"valid anchors alone named {expired.subject}"
            remedy = "take the expired anchor out of the bundle"
            yield Finding("MPK-349", "warn", 43, expected, found, remedy, named(expired))


def _alike(one: Certificate, other: Certificate) -> bool:
    """Whether a certificate below them could not tell which of the two is its issuer."""
    told_apart = one.ski is not None and other.ski is not None and one.ski != other.ski
    return one.subject == other.subject and not told_apart
