"""What a run was still waiting for when the time of the whole was up."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from meshpki.errors import GateTimeoutError, MeshpkiError
from meshpki.workflow.event import Applied, Event, GateOpened, GateWaits, ProgramEnded, StepStarted
from meshpki.workflow.step import Step
from meshpki.workflow.work import APPLY, RESUME


class Shut:
    """Why each gate of each step is shut, folded from a run's events."""

    def __init__(self) -> None:
        """Begin with none that is waited for."""
        self._whys: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def note(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case GateWaits(step, gate, why):
                self._whys[step][gate] = why
            case GateOpened(step, gate, _) | ProgramEnded(step, gate, _):
                self._whys[step].pop(gate, None)
            case Applied(step, _, _):
                self._whys[step].pop(APPLY, None)  # another that still waits says so again
            case StepStarted(step):
                self._whys[step].clear()
            case _:
                pass

    def too_late(self, total: timedelta, running: Sequence[Step], waiting: Sequence[Step]) -> MeshpkiError:
        """The error of a run whose time is up: what was expected and seen of each of its steps that is not done."""
        told = [line for step in (*running, *waiting) for line in self._seen(step)]
        told += [f"step {step.name}: still at work" for step in running if not self._whys[step.name]]
        told += [f"not begun: {', '.join(step.name for step in waiting)}"] if waiting else []
        hints = [gate.hint for step in running for gate in step.gates if gate.name in self._whys[step.name]]
        remedy = "; ".join([*dict.fromkeys(hints), f"{RESUME}; --total-timeout gives it longer"])
        what = "\n".join([f"not done within {total.total_seconds():.0f} s", *told])
        return GateTimeoutError("MPK-203", what, remedy=remedy)

    def _seen(self, step: Step) -> Iterator[str]:
        gates = {gate.name: gate for gate in step.gates}
        for name, why in self._whys[step.name].items():
            told = gates[name].unmet("seen", why) if name in gates else why
            yield f"{step.place(name)}: {told}"
