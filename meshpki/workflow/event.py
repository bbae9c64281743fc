"""What running a plan tells, as values; the command line turns them into text, JSON and exit codes."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from meshpki.cluster.manifest import Ref
from meshpki.errors import MeshpkiError


class Outcome(StrEnum):
    """What became of one object."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class StepStarted:
    """A step's needs are met and it begins."""

    step: str


@dataclass(frozen=True)
class Applied:
    """One object was applied, or found to be as wanted."""

    step: str
    ref: Ref
    outcome: Outcome


@dataclass(frozen=True)
class GateWaits:
    """A gate is still shut, for this reason; told when the reason changes."""

    step: str
    gate: str
    why: str


@dataclass(frozen=True)
class GateOpened:
    """A gate opened; `detail` says what was seen."""

    step: str
    gate: str
    detail: str


@dataclass(frozen=True)
class ProgramEnded:
    """A program of a step did its work, or found nothing to do."""

    step: str
    program: str
    changed: bool


@dataclass(frozen=True)
class StepDone:
    """All gates of a step are open and its programs have ended."""

    step: str
    elapsed: timedelta


@dataclass(frozen=True)
class StepFailed:
    """A step ended with its gates shut; steps that need it are not started."""

    step: str
    error: MeshpkiError


@dataclass(frozen=True)
class StepStopped:
    """A step gave up at a safe point because the run was stopped."""

    step: str


@dataclass(frozen=True)
class Tick:
    """Nothing happened for a moment; whoever shows progress may say so."""


Event = StepStarted | Applied | GateWaits | GateOpened | ProgramEnded | StepDone | StepFailed | StepStopped | Tick
