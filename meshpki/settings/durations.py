"""Durations as Go writes them, and days; whole seconds, as X.509 counts."""

import re
from datetime import timedelta

import durationpy

LONGEST = timedelta(microseconds=2**63 // 1000)  # what Go's time.Duration holds

_UNITS = ("d", "h", "m", "s", "ms", "us", "ns")
_TERM = re.compile(r"[0-9]+(?:\.[0-9]+)?([a-z]+)", re.ASCII)
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
    if unknown := [unit for unit in _TERM.findall(text) if unit not in _UNITS]:
        raise ValueError(f"has the unit {unknown[0]!r}")
    duration: timedelta = durationpy.from_str(text)
    if duration.microseconds:
        raise ValueError("is no whole number of seconds")
    if duration > LONGEST:
        raise ValueError("is longer than 292 years")
    return duration


def go_duration(duration: timedelta) -> str:
    """The duration in Go's syntax without needless parts: `720h`, `1h30m`, `0s`. Whole seconds only."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
