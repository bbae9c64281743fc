"""Two clocks: validity is judged by this machine's, and certificates are issued by the cluster's."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from meshpki.cluster.manifest import Ref
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict
from meshpki.verify.workloads import PodVerdict

# The Date header has whole seconds, and the answer takes a moment.
TOLERANCE = timedelta(seconds=2)
_PLACE = Place(PlaceKind.CLOCK, Ref("", "Clock", "", "API server"))
_NOT_YET = "MPK-306"
_OUT_OF_TIME = ("MPK-305", _NOT_YET)
_WORST_FIRST = ("broken", "unknown", "proven")

_V = TypeVar("_V", PodVerdict, PlaceVerdict)


def judge_clock(skew: timedelta | None, at: datetime) -> PlaceVerdict:
    """47: the two clocks agree; a warning otherwise, as validity is judged by this machine's. Unknown without a date.

    `skew` is the API server's clock minus this machine's.
    """
    if skew is None:
        return PlaceVerdict(_PLACE, "unknown", reason="the API server's answer bore no date")
    if abs(skew) <= TOLERANCE:
        return PlaceVerdict(_PLACE, "proven", reason=f"this machine's clock agrees with it to {TOLERANCE.seconds} s")
    found = f"{in_words(skew)}: {at:%H:%M:%S} here, {at + skew:%H:%M:%S} there (UTC)"
    expected = f"clocks within {TOLERANCE.seconds} s of each other"
    remedy = "have both set by NTP; until then the ends of validity are judged by this machine's clock"
    warning = Finding("MPK-373", "warn", 47, expected, found, remedy)
    return PlaceVerdict(_PLACE, "proven", findings=(warning,), reason=found)


def explained(
    findings: Sequence[Finding], path: Sequence[Certificate], at: datetime, skew: timedelta | None
) -> tuple[Finding, ...]:
    """The findings, with the clocks named as the cause where a certificate is valid by the API server's clock."""
    if skew is None or abs(skew) <= TOLERANCE:
        return tuple(findings)
    valid = {one.sha256 for one in path if one.valid_at(at + skew)}
    remedy = f"set the clocks first: {in_words(skew)}, and by its clock the certificate is valid"
    return tuple(
        replace(one, remedy=remedy)
        if one.code in _OUT_OF_TIME and one.certificate and one.certificate.sha256 in valid
        else one
        for one in findings
    )


def issued_between(findings: Sequence[Finding], path: Sequence[Certificate], at: datetime, now: datetime) -> bool:
    """Whether a certificate is not valid yet only because it was issued since the moment of the judgement."""
    begun = {one.sha256 for one in path if at < one.not_before <= now}
    return any(one.code == _NOT_YET and one.certificate and one.certificate.sha256 in begun for one in findings)


def better(first: _V, again: _V) -> _V:
    """The better verdict of two; the first where both are as good."""
    return again if _WORST_FIRST.index(again.result) > _WORST_FIRST.index(first.result) else first


def in_words(skew: timedelta) -> str:
    """Which clock is ahead, and by how much."""
    side = "behind" if skew > timedelta(0) else "ahead of"
    return f"this machine's clock is {abs(skew).total_seconds():.0f} s {side} the API server's"
