"""Programs beside their gates: how long a failure is theirs to mend, and which errors of the API server end them."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from meshpki.cluster.client import Cluster, ClusterError, NoAccessError, Reader
from meshpki.errors import FAILED, GateTimeoutError, MeshpkiError, StepError
from meshpki.workflow.event import Event, GateOpened, GateWaits, StepDone
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Step, Waiting
from meshpki.workflow.work import Limits
from tests.support.cluster import FakeClock, InMemoryCluster

Run = Callable[[Cluster, threading.Event], None]
SHORT = Limits(timedelta(seconds=5))
RESET = NoAccessError("MPK-101", "no answer from the API server: reset", where="https://memory.invalid")
WEBHOOK = ClusterError("MPK-102", "failed calling webhook", status=500)
FORBIDDEN = ClusterError("MPK-102", "create refused: forbidden", status=403)


def events(step: Step, *, clock: FakeClock | None = None, limits: Limits | None = None) -> list[Event]:
    return list(go(step, clock or FakeClock(), limits or Limits()))


def go(step: Step, clock: FakeClock, limits: Limits) -> Iterator[Event]:
    return run(Plan((step,)), InMemoryCluster(), clock, limits)


def done(told: list[Event]) -> bool:
    return any(isinstance(event, StepDone) for event in told)


def step(check: Callable[[Reader], Readiness], run: Run) -> Step:
    return only(check, Program("istioctl", lambda _: False, run, resumes=True, mends=True))


def only(check: Callable[[Reader], Readiness], program: Program) -> Step:
    gate = Gate("istiod", "istiod is proven", check, hint="look there", code="MPK-210")
    return Step("istio", "istio", gates=(gate,), programs=(program,))


class Mends:
    """A gate whose failure a program ends, within so many looks or never."""

    def __init__(self, within: int | None) -> None:
        self.within, self.looks, self.stopped = within, 0, False
        self.enough = threading.Event()

    def check(self, _reader: Reader) -> Readiness:
        self.looks += 1
        if self.looks == self.within:
            self.enough.set()
        return Ready() if self.enough.is_set() else Failed("Pod istio-system/istiod-old: ErrImagePull: not found")

    def run(self, _cluster: Cluster, stop: threading.Event) -> None:
        while not self.enough.wait(0.001) and not stop.is_set():
            pass
        self.stopped = stop.is_set()


def test_a_failure_that_a_running_program_ends_after_ten_looks_is_none() -> None:
    mends = Mends(within=10)
    told = events(step(mends.check, mends.run))
    assert done(told)
    assert not mends.stopped
    assert [event.why for event in told if isinstance(event, GateWaits)] == [
        "Pod istio-system/istiod-old: ErrImagePull: not found"
    ]


def test_a_failure_that_a_program_does_not_end_is_final_long_before_the_gates_time_is_up() -> None:
    mends, clock = Mends(within=None), FakeClock()
    began = clock.now()
    with pytest.raises(StepError, match="not found"):
        events(step(mends.check, mends.run), clock=clock, limits=Limits(timedelta(hours=1)))
    assert mends.stopped
    assert timedelta(minutes=1) <= clock.now() - began < timedelta(minutes=2)


def test_a_gate_that_was_open_before_a_program_broke_what_it_saw_ends_the_wait_for_that_program() -> None:
    """istioctl, given a wrong hub, waits in silence for an istiod that never comes: the old one was fine."""
    broken, clock = threading.Event(), FakeClock()

    def check(_reader: Reader) -> Readiness:
        return Failed("Pod istio-system/istiod-new: ErrImagePull: not found") if broken.is_set() else Ready("2 of 2")

    def run(_cluster: Cluster, stop: threading.Event) -> None:
        assert opened.wait(5)
        broken.set()
        assert stop.wait(5)

    opened, times = threading.Event(), list[str]()

    def follow() -> None:
        for event in go(step(check, run), clock, Limits(timedelta(hours=1))):
            if isinstance(event, GateOpened):
                times.append(event.detail)
                opened.set()

    with pytest.raises(StepError, match="istiod-new"):
        follow()
    assert times == ["2 of 2"]


def test_the_wait_for_a_program_beside_open_gates_spins_on_no_event_of_the_past() -> None:
    looks, clock, second, ended = list[datetime](), FakeClock(), threading.Event(), threading.Event()

    def check(_reader: Reader) -> Readiness:
        looks.append(clock.now())
        if len(looks) == 2:
            second.set()
        if len(looks) == 5:
            ended.set()
        return Ready()

    def run(_cluster: Cluster, _stop: threading.Event) -> None:
        assert ended.wait(5)

    def wakes(_cluster: Cluster, _stop: threading.Event) -> None:
        assert second.wait(5)

    slow, quick = Program("slow", lambda _: False, run), Program("quick", lambda _: False, wakes)
    gate = Gate("istiod", "istiod is proven", check, hint="look there", code="MPK-210")
    assert done(events(Step("istio", "istio", gates=(gate,), programs=(slow, quick)), clock=clock))
    assert all(later - earlier >= timedelta(seconds=3) for earlier, later in pairwise(looks[:5]))


def test_a_failure_beside_a_program_that_mends_nothing_is_final_within_seconds() -> None:
    mends, clock = Mends(within=None), FakeClock()
    began = clock.now()
    with pytest.raises(StepError, match="not found"):
        events(only(mends.check, Program("waits", lambda _: False, mends.run)), clock=clock)
    assert clock.now() - began < timedelta(seconds=10)


def failing(*errors: ClusterError) -> tuple[Run, list[int]]:
    """A program that ends with these errors, one a try, and then well; and its tries."""
    left, tries = list(errors), list[int]()

    def run(_cluster: Cluster, _stop: threading.Event) -> None:
        tries.append(1)
        if left:
            raise left.pop(0)

    return run, tries


def ready(_reader: Reader) -> Readiness:
    return Ready()


@pytest.mark.parametrize("error", [RESET, WEBHOOK])
def test_a_program_goes_on_after_an_error_that_passes_and_says_so(error: ClusterError) -> None:
    run, tries = failing(error)
    told = events(step(ready, run))
    assert done(told)
    assert len(tries) == 2
    assert [event.why for event in told if isinstance(event, GateWaits)] == [error.what]


@pytest.mark.parametrize(
    ("error", "kind"),
    [(RESET, StepError), (ClusterError("MPK-102", "reset"), StepError), (WEBHOOK, ClusterError)],
)
def test_an_error_that_does_not_pass_ends_the_step_when_the_time_is_up_and_is_no_precondition(
    error: ClusterError, kind: type[MeshpkiError]
) -> None:
    run, tries = failing(*[error] * 999)
    with pytest.raises(kind, match=error.what) as ended:
        events(step(ready, run), limits=SHORT)
    assert (ended.value.code, ended.value.exit_code) == (error.code, FAILED)
    assert 2 < len(tries) < 999


def test_what_a_program_failed_with_last_stands_beside_what_the_gate_saw_when_the_time_is_up() -> None:
    run, _ = failing(*[WEBHOOK] * 999)
    with pytest.raises(GateTimeoutError, match="no root; istioctl: failed calling webhook"):
        events(step(lambda _: Waiting("no root"), run), limits=SHORT)


def test_what_does_not_resume_is_run_once_whatever_it_failed_with() -> None:
    run, tries = failing(WEBHOOK, WEBHOOK)
    with pytest.raises(ClusterError, match="webhook"):
        events(only(ready, Program("prepare", lambda _: False, run)))
    assert len(tries) == 1


def test_a_refusal_ends_a_program_at_its_first_try() -> None:
    run, tries = failing(FORBIDDEN, FORBIDDEN)
    with pytest.raises(ClusterError, match="forbidden"):
        events(step(ready, run))
    assert len(tries) == 1
