"""One step at work: apply in waves, run its programs, wait for its gates."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from meshpki.cluster.client import Clock, Cluster, ClusterError
from meshpki.cluster.manifest import Object, Ref, owned, ref_of, waves
from meshpki.errors import GateTimeoutError, MeshpkiError, StepError
from meshpki.workflow.apply import apply
from meshpki.workflow.event import (
    Applied,
    Event,
    GateOpened,
    GateWaits,
    ProgramEnded,
    StepDone,
    StepFailed,
    StepStarted,
    StepStopped,
)
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Step, Waiting

# A failure left over from before the apply (an old pod's crash loop) is gone by then; a real one stays.
_FINAL_AFTER = timedelta(seconds=3)
# By then a program has come to what it is to mend: istioctl, run again, to a Deployment whose old pod still fails.
_MENDED_WITHIN = timedelta(minutes=1)
_RETRY = timedelta(seconds=0.5)
_LOOKED_ON = timedelta(seconds=3)
APPLY = "apply"
AGAIN = "run the same command again: it goes on from here"
RESUME = f"then {AGAIN}"


@dataclass(frozen=True)
class Limits:
    """How long one gate, and the whole run, may take; a gate's limit of zero means one look."""

    gate: timedelta = timedelta(minutes=5)
    total: timedelta | None = None


class StoppedError(Exception):
    """The run was stopped; the step leaves at this safe point."""


class Work:
    """Runs one step in a thread of its own and tells what happens; it never raises out of `run`."""

    def __init__(
        self,
        step: Step,
        *,
        cluster: Cluster,
        clock: Clock,
        limits: Limits,
        writes: Executor,
        tell: Callable[[Event], None],
        applied: Iterable[Ref] = (),
    ) -> None:
        """`writes` bounds the requests in flight; `applied` are the step's objects that are in place already."""
        self._step, self._cluster, self._clock, self._limits = step, cluster, clock, limits
        self._writes, self._tell, self._applied = writes, tell, frozenset(applied)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._programs: dict[str, Future[bool]] = {}
        self._begun: dict[str, datetime] = {}
        self._errors: dict[str, str] = {}
        self._opened: dict[str, str] = {}

    def stop(self) -> None:
        """Leave at the next safe point: between two requests, never inside one."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Do the step; its last event is StepDone, StepFailed or StepStopped."""
        name, started = self._step.name, self._clock.now()
        self._tell(StepStarted(name))
        try:
            with contextlib.ExitStack() as watches:
                for query in {query: None for gate in self._step.gates for query in gate.watches}:
                    watches.enter_context(self._cluster.watch(query, self._wake.set))
                self._apply(self._step.manifests)
                self._prove()
        except StoppedError:
            self._tell(StepStopped(name))
        except ClusterError as error:
            self._tell(StepFailed(name, error if error.status else _unanswered(error)))
        except MeshpkiError as error:
            self._tell(StepFailed(name, error))
        except Exception as error:  # noqa: BLE001 - a bug must end the run with a message, not hang it
            what = f"meshpki itself failed: {type(error).__name__}: {error}"
            self._tell(StepFailed(name, StepError("MPK-202", what, where=name, remedy="please report this")))
        else:
            self._tell(StepDone(name, self._clock.now() - started))
        finally:
            self._stop.set()  # an object that is still tried again and again is given up with its step

    def _apply(self, manifests: Iterable[Object]) -> None:
        wanted = [owned(manifest, self._step.name) for manifest in manifests]
        for wave in waves(manifest for manifest in wanted if ref_of(manifest) not in self._applied):
            for _ in self._writes.map(self._apply_patiently, wave):
                self._heed()

    def _apply_patiently(self, manifest: Object) -> None:
        """Apply one object, again and again while the server says that a later try may succeed."""
        ref, deadline = ref_of(manifest), self._clock.now() + self._limits.gate
        while True:
            self._heed()
            try:
                outcome = apply(self._cluster, manifest)
            except ClusterError as error:
                if not error.transient:
                    raise
                self._tell(GateWaits(self._step.name, APPLY, f"{ref}: {error.what}"))
                if self._clock.now() >= deadline:
                    raise GateTimeoutError(
                        "MPK-201", f"{ref} could not be applied: {error.what}", remedy=AGAIN
                    ) from error
                self._clock.wait(self._stop, _RETRY)
            else:
                self._tell(Applied(self._step.name, ref, outcome))
                return

    def _prove(self) -> None:
        """Open the gates in their order, while the programs run beside them."""
        programs = ThreadPoolExecutor(max(1, len(self._step.programs)), thread_name_prefix=self._step.name)
        try:
            self._launch(programs, after="")
            for gate in self._step.gates:
                self._await(gate)
                self._apply(one for later in self._step.later if later.gate == gate.name for one in later.manifests)
                self._launch(programs, after=gate.name)
            while not self._look_on():
                for gate in self._step.gates:  # a program may undo what they saw, and wait for it in silence
                    self._await(gate)
            if any(program.result() for program in self._programs.values()):
                for gate in self._step.gates:  # what they saw before the program was done proves nothing
                    self._await(gate)
        finally:
            self._stop.set()  # programs that are still running end with their step
            programs.shutdown(wait=True)

    def _look_on(self) -> bool:
        """Whether every program has ended; where one is at work still, this takes a while."""
        until = self._clock.now() + _LOOKED_ON
        while not all(program.done() for program in self._programs.values()):
            if self._clock.now() >= until:
                return False
            self._wake.clear()
            self._pause(_RETRY)
        self._heed_programs()
        return True

    def _launch(self, pool: Executor, after: str) -> None:
        for program in self._step.programs:
            if program.after == after:
                self._programs[program.name] = pool.submit(self._run_program, program)

    def _run_program(self, program: Program) -> bool:
        changed = not self._settled(program)
        if changed:
            self._begun[program.name] = self._clock.now()
            self._carry_out(program)
        if not self._stop.is_set():
            self._tell(ProgramEnded(self._step.name, program.name, changed))
        self._wake.set()
        return changed

    def _carry_out(self, program: Program) -> None:
        """Run it; what resumes again, while a later try may succeed."""
        deadline: datetime | None = None
        while True:
            self._heed()
            try:
                program.run(self._cluster, self._stop)
            except ClusterError as error:
                deadline = deadline or self._clock.now() + self._limits.gate
                if not (program.resumes and error.transient) or self._clock.now() >= deadline:
                    raise
                self._errors[program.name] = error.what
                self._tell(GateWaits(self._step.name, program.name, error.what))
            else:
                self._errors.pop(program.name, None)
                return
            self._clock.wait(self._stop, _RETRY)

    def _settled(self, program: Program) -> bool:
        """Whether there is nothing to do; asked again, as a gate is, while a later look may tell."""
        deadline = self._clock.now() + self._limits.gate
        while True:
            self._heed()
            try:
                return program.settled(self._cluster)
            except ClusterError as error:
                if _lacks_a_right(error) or self._clock.now() >= deadline:
                    raise
                self._tell(GateWaits(self._step.name, program.name, error.what))
            self._clock.wait(self._stop, _RETRY)

    def _await(self, gate: Gate) -> None:
        opened_at_latest, failing_since, told, why = self._clock.now() + self._limits.gate, None, "", ""
        while True:
            self._wake.clear()
            readiness = self._look(gate)
            match readiness:
                case Ready(detail):
                    if told or self._opened.get(gate.name) != detail:
                        self._tell(GateOpened(self._step.name, gate.name, detail))
                    self._opened[gate.name] = detail
                    return
                case Failed(why) if not self._mending():
                    failing_since = failing_since or self._clock.now()
                    if self._clock.now() - failing_since >= _FINAL_AFTER:
                        raise StepError(gate.code, f"{gate.proves}: {why}", where=self._place(gate), remedy=gate.hint)
                case Failed(why) | Waiting(why):
                    failing_since = None
            if why != told:
                told = why
                self._tell(GateWaits(self._step.name, gate.name, why))
            if self._clock.now() >= opened_at_latest:
                raise self._too_late(gate, why)
            self._pause(min(gate.every, _FINAL_AFTER if failing_since else gate.every), opened_at_latest)

    def _mending(self) -> bool:
        """Whether a failure may be what a program that runs was started to end."""
        mending = {one.name for one in self._step.programs if one.mends}
        now, running = self._clock.now(), [name for name, program in self._programs.items() if not program.done()]
        return any(now - self._begun.get(name, now) < _MENDED_WITHIN for name in mending.intersection(running))

    def _look(self, gate: Gate) -> Readiness:
        try:
            return gate.check(self._cluster)
        except ClusterError as error:
            if _lacks_a_right(error):
                raise
            return Waiting(error.what)  # a pod that went away meanwhile, a server that is busy: the next look tells

    def _too_late(self, gate: Gate, why: str) -> MeshpkiError:
        waited = f"after {self._limits.gate.total_seconds():.0f} s"
        seen = "; ".join([why, *(f"{name}: {error}" for name, error in self._errors.items())])
        what = gate.unmet(f"seen {waited}", seen)
        return GateTimeoutError(gate.code, what, where=self._place(gate), remedy=f"{gate.hint}; {RESUME}")

    def _pause(self, at_most: timedelta, until: datetime | None = None) -> None:
        if until is not None:
            at_most = max(timedelta(0), min(at_most, until - self._clock.now()))
        self._heed()
        self._heed_programs()
        self._clock.wait(self._wake, at_most)
        self._heed()

    def _heed(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _heed_programs(self) -> None:
        for program in self._programs.values():
            if program.done():
                program.result()

    def _place(self, gate: Gate) -> str:
        return self._step.place(gate.name)


def _unanswered(error: ClusterError) -> StepError:
    """No precondition any more: the step had begun to write."""
    return StepError(error.code, error.what, where=error.where, remedy=error.remedy or AGAIN)


def _lacks_a_right(error: ClusterError) -> bool:
    return error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
