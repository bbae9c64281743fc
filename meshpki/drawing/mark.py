"""The four marks of a drawing: each is a word, a sign and a shape, so that none is told by colour alone."""

from collections.abc import Iterable
from enum import StrEnum

from meshpki.pki.verdict import Finding, Result, Severity


class Mark(StrEnum):
    """How a certificate or its holder was judged, best first."""

    PROVEN = "proven"
    WARNED = "warned"
    UNKNOWN = "unknown"
    BROKEN = "broken"

    @property
    def sign(self) -> str:
        """One character beside the word."""
        return _SIGNS[self]

    @property
    def meaning(self) -> str:
        """What a legend says of it."""
        return _MEANINGS[self]


_ORDER = tuple(Mark)
_SIGNS = {Mark.PROVEN: "✓", Mark.WARNED: "!", Mark.UNKNOWN: "?", Mark.BROKEN: "✗"}
_MEANINGS = {
    Mark.PROVEN: "proven to the pinned root",
    Mark.WARNED: "proven, with a warning",
    Mark.UNKNOWN: "unknown: could not be judged",
    Mark.BROKEN: "broken",
}
_OF_SEVERITY: dict[Severity, Mark] = {"fail": Mark.BROKEN, "unknown": Mark.UNKNOWN, "warn": Mark.WARNED}
_OF_RESULT: dict[Result, Mark] = {"proven": Mark.PROVEN, "unknown": Mark.UNKNOWN, "broken": Mark.BROKEN}


def worst(marks: Iterable[Mark]) -> Mark:
    """The worst of some marks; of none, `proven`."""
    return max(marks, key=_ORDER.index, default=Mark.PROVEN)


def rank(mark: Mark) -> int:
    """For sorting: the worse, the higher."""
    return _ORDER.index(mark)


def of_finding(finding: Finding) -> Mark:
    """What one finding makes of whatever it is about."""
    return _OF_SEVERITY[finding.severity]


def of_result(result: Result, findings: Iterable[Finding] = ()) -> Mark:
    """A result, lowered to `warned` where a proven thing has a warning."""
    if result == "proven" and any(finding.severity == "warn" for finding in findings):
        return Mark.WARNED
    return _OF_RESULT[result]
