"""What a user demands of a report besides proof: how much time must be left, and which findings are let be."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Literal

from meshpki.cluster.manifest import Ref
from meshpki.codes import catalogue
from meshpki.errors import UsageError
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, named
from meshpki.settings.durations import go_duration, parse

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%", re.ASCII)
_WHOLE = 100
_CODE = re.compile(r"(?:MPK-?)?([0-9]{3})", re.ASCII | re.IGNORECASE)
# the findings of demands break no rule of the contract in pki/chain.py
_NO_RULE = 0


@dataclass(frozen=True)
class MinValidity:
    """The least time that must be left: so long, or such a share (0 to 1) of a certificate's own lifetime."""

    duration: timedelta = timedelta()
    share: Fraction = Fraction()

    def least(self, certificate: Certificate) -> timedelta:
        """What must be left of this one, in whole seconds."""
        lifetime = certificate.not_after - certificate.not_before
        return self.duration or timedelta(seconds=int(lifetime.total_seconds() * self.share))


@dataclass(frozen=True)
class Ignore:
    """A finding to let be: its code, and a glob on `namespace/name` (`name` alone where there is no namespace)."""

    code: str
    scope: str

    def covers(self, finding: Finding, about: Sequence[Ref]) -> bool:
        """Whether it means this finding about all of these objects; what could not be judged is never let be."""
        if finding.code != self.code or finding.severity == "unknown":
            return False
        return self.scope == "*" or (bool(about) and all(fnmatchcase(scope_name(ref), self.scope) for ref in about))

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.code}={self.scope}"


@dataclass(frozen=True)
class Demands:
    """What the exit code depends on besides the proof."""

    min_validity: MinValidity | None = None
    ignores: tuple[Ignore, ...] = ()
    strict: bool = False
    fail_on: Literal["fail", "warn"] = "fail"


def min_validity(text: str) -> MinValidity:
    """Read `168h`, `7d` or `33%` (of a certificate's own lifetime); raises UsageError (MPK-364)."""
    percent = _PERCENT.fullmatch(text)
    if percent and Fraction(percent.group(1)) <= _WHOLE:
        return MinValidity(share=Fraction(percent.group(1)) / _WHOLE)
    try:
        return MinValidity(parse(text))
    except ValueError as error:
        what = f"--min-validity {text[:60]!r} is neither a duration nor a percentage"
        raise UsageError("MPK-364", what, remedy="write 168h, 7d or 33%") from error


def ignore(text: str) -> Ignore:
    """Read `CODE=SCOPE`, the code with or without MPK-; raises UsageError (MPK-365)."""
    code, _, scope = text.partition("=")
    number = _CODE.fullmatch(code.strip())
    if number is None or not scope or f"MPK-{number.group(1)}" not in catalogue():
        what = f"--ignore {text[:80]!r} is no known code with a scope"
        raise UsageError("MPK-365", what, remedy="write --ignore 'MPK-341=bookinfo/*'; the scope * is everywhere")
    return Ignore(f"MPK-{number.group(1)}", scope)


def short_lived(path: Iterable[Certificate], demand: MinValidity, at: datetime) -> Iterator[Finding]:
    """A finding (MPK-346) for each certificate of a proven path that has less time left than demanded."""
    for certificate in path:
        least, left = demand.least(certificate), certificate.not_after - at
        if left < least:
            expected = f"at least {go_duration(least)} left"
            found = f"{go_duration(max(left, timedelta()))}: it ends at {certificate.not_after:%Y-%m-%dT%H:%M:%SZ}"
            remedy = "find out why it was not renewed in time, or demand less: a percentage suits every lifetime"
            yield Finding("MPK-346", "fail", _NO_RULE, expected, found, remedy, named(certificate))


def scope_name(ref: Ref) -> str:
    """The name that a scope is matched with."""
    return f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
