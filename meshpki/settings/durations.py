"""Durations as Go writes them, and days; moments in RFC 3339; both in whole seconds, as X.509 counts."""

import re
from datetime import datetime, timedelta
from fractions import Fraction

LONGEST = timedelta(microseconds=2**63 // 1000)  # what Go's time.Duration holds

_SECONDS = {
    "d": Fraction(86400),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
_TERM = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,40})?)([a-z]+)", re.ASCII)
_DURATION = re.compile(rf"(?:{_TERM.pattern})+", re.ASCII)


class NoUnitError(ValueError):
    """A bare number: nobody can tell hours from seconds."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("has no unit")


def parse(text: str) -> timedelta:
    """The duration that `90d`, `720h` or `1h30m` stands for.

    Raises NoUnitError for a bare number, and ValueError with the reason for a unit that Go does not know (days are
    allowed beside Go's), parts of a second and anything longer than 292 years.
    """
    if re.fullmatch(r"[0-9.]+", text, re.ASCII):
        raise NoUnitError
    if not _DURATION.fullmatch(text):
        raise ValueError("is no duration")
    terms = _TERM.findall(text)
    if unknown := [unit for _, unit in terms if unit not in _SECONDS]:
        raise ValueError(f"has the unit {unknown[0]!r}")
    seconds = sum(Fraction(count) * _SECONDS[unit] for count, unit in terms)
    if seconds > int(LONGEST.total_seconds()):
        raise ValueError("is longer than 292 years")
    if seconds.denominator != 1:
        raise ValueError("is no whole number of seconds")
    return timedelta(seconds=int(seconds))


def go_duration(duration: timedelta) -> str:
    """The duration in Go's syntax without needless parts: `720h`, `1h30m`, `0s`. Whole seconds only."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def moment(at: datetime) -> str:
    """A moment that is in UTC, in RFC 3339; parts of a second are cut off."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
