"""What a judgement says: the path that was found, or every reason why there is none."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from meshpki.pki.certificate import Certificate, UnparsableError

Severity = Literal["fail", "warn", "unknown"]
Result = Literal["proven", "broken", "unknown"]


@dataclass(frozen=True)
class Subject:
    """The certificate that a finding is about, as people and tools look it up."""

    subject: str
    serial: str
    sha256: str


@dataclass(frozen=True)
class Finding:
    """One broken rule: its code and number in the contract, what was expected and found, and what to do.

    `unknown` is the severity of what the library cannot judge: it neither proves nor breaks.
    """

    code: str
    severity: Severity
    rule: int
    expected: str
    found: str
    remedy: str
    certificate: Subject | None = None


@dataclass(frozen=True)
class Verdict:
    """The result; `path` runs from the leaf to the anchor as far as it could be followed.

    `expires` is the earliest end of validity on the path (UTC): the whole is no longer valid than that.
    """

    result: Result
    path: tuple[Certificate, ...]
    findings: tuple[Finding, ...]

    @property
    def expires(self) -> datetime | None:
        """The moment the first certificate of the path runs out, None without a path."""
        return min((certificate.not_after for certificate in self.path), default=None)


def named(certificate: Certificate) -> Subject:
    """The certificate's names for a finding."""
    return Subject(certificate.subject, f"{certificate.serial:x}", certificate.sha256)


def unparsable(error: UnparsableError, expected: str) -> Finding:
    """35: PEM text is of whole certificates within the limits."""
    return Finding(error.code, "fail", 35, expected, error.what, error.remedy)


def result_of(findings: tuple[Finding, ...]) -> Result:
    """A failure breaks, whatever else; what could not be judged is never proven; warnings change nothing."""
    severities = {finding.severity for finding in findings}
    if "fail" in severities:
        return "broken"
    return "unknown" if "unknown" in severities else "proven"
