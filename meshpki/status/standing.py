"""Where each step stands, in one word, with the command that brings it on; decided from a report alone."""

from dataclasses import dataclass
from enum import StrEnum

from meshpki.status.advice import advice
from meshpki.status.drift import Drift
from meshpki.status.report import State, StatusReport, StepStatus


class Word(StrEnum):
    """A step in one word; `drifted` and `outdated` are ready, but not as meshpki, or the settings, would have it."""

    ABSENT = "absent"
    NOT_READY = "not ready"
    DRIFTED = "drifted"
    OUTDATED = "outdated"
    UNKNOWN = "unknown"
    READY = "ready"


@dataclass(frozen=True)
class Standing:
    """One step: its word, why it is not ready, and the next command, empty where there is nothing to do."""

    name: str
    word: Word
    reason: str = ""
    command: str = ""


def standings(report: StatusReport) -> tuple[Standing, ...]:
    """Every step in its order; while a rotation runs, or the root is expired, only a rotation brings anything on."""
    first = next((one.command for one in advice(report)), "")
    rotation = first if first.startswith("meshpki rotate root") else ""
    return tuple(_standing(step, rotation) for step in report.steps)


def _standing(step: StepStatus, rotation: str) -> Standing:
    word = _word(step)
    match word:
        case Word.READY:
            command = ""
        case Word.UNKNOWN:
            command = "meshpki rbac status"
        case Word.ABSENT:
            command = rotation or f"meshpki up --to {step.name}"
        case _:
            command = rotation or f"meshpki up --only {step.name}"
    return Standing(step.name, word, _reason(step, word), command)


def _word(step: StepStatus) -> Word:
    match step.state:
        case State.ABSENT:
            return Word.ABSENT
        case State.NOT_READY:
            return Word.NOT_READY
        case State.UNKNOWN:
            return Word.UNKNOWN
        case _ if step.drift.found:
            return Word.DRIFTED
        case _:
            return Word.OUTDATED if step.drift.outdated else Word.READY


def _reason(step: StepStatus, word: Word) -> str:
    if step.reason:
        return step.reason
    match word:
        case Word.DRIFTED:
            return _first(step.drift)
        case Word.OUTDATED:
            return f"the settings want another {step.drift.outdated[0]}"
        case _:
            return ""


def _first(drift: Drift) -> str:
    more = f" (and {len(drift.found) - 1} more)" if len(drift.found) > 1 else ""
    return f"{drift.found[0]}{more}"
