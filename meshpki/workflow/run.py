"""The engine: it starts each step as soon as what it needs is open, and tells what happens as events."""

import queue
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import count

from meshpki.cluster.client import Clock, Cluster, ClusterError
from meshpki.cluster.manifest import Object, Ref, early, owned, ref_of, waves
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.workflow.apply import apply
from meshpki.workflow.event import (
    Applied,
    Event,
    GateOpened,
    GateWaits,
    Outcome,
    StepDone,
    StepFailed,
    StepStopped,
    Tick,
)
from meshpki.workflow.overdue import Shut
from meshpki.workflow.plan import Plan
from meshpki.workflow.step import Failed, Ready, Step, Waiting
from meshpki.workflow.work import APPLY, Limits, Work

IN_FLIGHT = 32
_BEAT = 0.2
_SLOW = 5  # beats
_LEAVE_WITHIN = 0.8


def run(plan: Plan, cluster: Cluster, clock: Clock, limits: Limits) -> Generator[Event]:
    """Run a plan, yielding its events; the first error of a step is raised when all running steps have stopped.

    Raises PreconditionError (MPK-205) where a step that was left out is not in place, GateTimeoutError (MPK-203) when
    the whole takes longer than allowed. Closing the iterator, or Ctrl-C, stops every step at its next safe point.
    """
    for step in plan.assumed:
        _require(step, cluster)
    return _Engine(plan, cluster, clock, limits).events()


def _require(step: Step, cluster: Cluster) -> None:
    for gate in step.gates:
        match gate.check(cluster):
            case Ready():
                continue
            case Waiting(why) | Failed(why):
                what = f"step {step.name} is left out, but is not in place: {gate.name}: {why}"
                remedy = f"run `meshpki up --only {step.name}` first, on the same cluster with the same settings"
                raise PreconditionError("MPK-205", what, remedy=remedy)


class _Engine:
    def __init__(self, plan: Plan, cluster: Cluster, clock: Clock, limits: Limits) -> None:
        self._plan, self._cluster, self._clock, self._limits = plan, cluster, clock, limits
        self._told: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._waiting = list(plan.steps)
        self._running: dict[str, tuple[Work, threading.Thread]] = {}
        self._applied: dict[str, list[Ref]] = {step.name: [] for step in plan.steps}
        self._shut = Shut()
        self._open = {step.name for step in plan.assumed}
        self._open |= {f"{step.name}/{gate.name}" for step in plan.assumed for gate in step.gates}
        self._error: MeshpkiError | None = None

    def events(self) -> Generator[Event]:
        deadline = self._clock.now() + self._limits.total if self._limits.total else None
        writes = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="apply")
        try:
            for event in self._happening(writes):
                self._note(event)
                yield event
                if deadline is not None and self._clock.now() > deadline:
                    self._overdue()
        finally:
            self._leave()
            writes.shutdown(wait=False, cancel_futures=True)
        if self._error is not None:
            raise self._error

    def _happening(self, writes: ThreadPoolExecutor) -> Generator[Event]:
        yield from self._apply_early(writes)
        while self._start(writes) or self._running:
            yield self._next()

    def _overdue(self) -> None:
        """Give up what is not done by now, where anything is."""
        running = [step for step in self._plan.steps if step.name in self._running]
        if self._error is None and self._limits.total and (running or self._waiting):
            self._fail(self._shut.too_late(self._limits.total, running, self._waiting))

    def _apply_early(self, writes: ThreadPoolExecutor) -> Generator[Event]:
        """Namespaces, CRDs, accounts and rights of every step, before the first gate is waited for."""
        steps = {ref_of(manifest): step.name for step in self._plan.steps for manifest in step.objects}
        wanted = [
            owned(manifest, step.name) for step in self._plan.steps for manifest in step.objects if early(manifest)
        ]
        for wave in waves(wanted):
            for ref, tried in [(ref_of(manifest), writes.submit(self._try, manifest)) for manifest in wave]:
                yield from self._answered(tried, GateWaits(steps[ref], APPLY, f"{ref}: no answer yet"))
                if self._error is not None:
                    return
                match tried.result():
                    case ClusterError() as error:
                        yield GateWaits(steps[ref], APPLY, f"{ref}: {error.what}")
                    case outcome:
                        self._applied[steps[ref]].append(ref)
                        yield Applied(steps[ref], ref, outcome)

    def _answered(self, tried: Future[Outcome | ClusterError], slow: GateWaits) -> Generator[Event]:
        """What is told until a request has ended, or the run with it hanging: whose it is, once that is slow."""
        for beat in count(1):
            if self._error is not None or wait([tried], timeout=_BEAT).done:
                return
            yield slow if beat == _SLOW else Tick()

    def _try(self, manifest: Object) -> Outcome | ClusterError:
        try:
            return apply(self._cluster, manifest)
        except ClusterError as error:
            if error.transient:
                return error  # its own step applies it again, with patience
            raise

    def _start(self, writes: ThreadPoolExecutor) -> bool:
        """Start every step whose needs are open; whether one is still to come."""
        if self._error is not None:
            return False
        for step in [step for step in self._waiting if all(need in self._open for need in step.needs)]:
            self._waiting.remove(step)
            applied = self._applied[step.name]
            work = Work(
                step,
                cluster=self._cluster,
                clock=self._clock,
                limits=self._limits,
                writes=writes,
                tell=self._told.put,
                applied=applied,
            )
            thread = threading.Thread(target=work.run, name=step.name, daemon=True)
            self._running[step.name] = (work, thread)
            thread.start()
        return bool(self._waiting)

    def _next(self) -> Event:
        try:
            return self._told.get(timeout=_BEAT)
        except queue.Empty:
            return Tick()

    def _note(self, event: Event) -> None:
        self._shut.note(event)
        match event:
            case GateOpened(step, gate):
                self._open.add(f"{step}/{gate}")
            case StepDone(step):
                self._open.add(step)
                del self._running[step]
            case StepStopped(step):
                del self._running[step]
            case StepFailed(step, error):
                del self._running[step]
                self._fail(error)
            case _:
                pass

    def _fail(self, error: MeshpkiError) -> None:
        self._error = self._error or error
        for work, _ in self._running.values():
            work.stop()

    def _leave(self) -> None:
        for work, _ in self._running.values():
            work.stop()
        until = time.monotonic() + _LEAVE_WITHIN
        for _, thread in self._running.values():
            thread.join(timeout=max(0.0, until - time.monotonic()))
