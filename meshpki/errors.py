"""Every error a user can meet: its code, what, where, the remedy, and the exit code that carries it."""

from typing import ClassVar

OK = 0
FAILED = 1
USAGE = 2
PENDING = 3
PRECONDITION = 4
BROKEN = 5
TIMED_OUT = 124
INTERRUPTED = 130
TERMINATED = 143


class MeshpkiError(Exception):
    """A failure that says what was expected and found, at which object or file line, and what to do.

    `code` is an MPK-nnn that `meshpki explain` knows. Subclasses differ by what the user must do, which is what
    the exit code says.
    """

    exit_code: ClassVar[int] = FAILED

    def __init__(self, code: str, what: str, *, where: str = "", remedy: str = "") -> None:
        """Keep the four parts apart, so that text and JSON can show each of them."""
        super().__init__(what)
        self.code, self.what, self.where, self.remedy = code, what, where, remedy

    def __str__(self) -> str:
        """One line: code, place, what happened."""
        place = f"{self.where}: " if self.where else ""
        return f"{self.code} {place}{self.what}"


class UsageError(MeshpkiError):
    """The command line or the settings are wrong; nothing was tried."""

    exit_code = USAGE


class PreconditionError(MeshpkiError):
    """The cluster, the machine or a right is not as the command needs it; nothing was written."""

    exit_code = PRECONDITION


class StepError(MeshpkiError):
    """A step or a stage failed for good; running again goes on from there."""


class GateTimeoutError(MeshpkiError):
    """A gate stayed shut until its time was up."""

    exit_code = TIMED_OUT


class LabError(MeshpkiError):
    """The lab cluster could not be built, started or reached."""
