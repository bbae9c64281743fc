"""The engine, on a cluster in memory and a clock that does not make us wait."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.errors import GateTimeoutError, MeshpkiError, PreconditionError, StepError
from meshpki.workflow.event import Applied, Event, GateWaits, Outcome, StepDone, StepStarted, StepStopped, Tick
from meshpki.workflow.plan import Plan, Selection, narrowed
from meshpki.workflow.run import run
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Step, Waiting
from meshpki.workflow.work import Limits
from tests.support.cluster import FakeClock, InMemoryCluster, config_map, namespace


def gate(check: Callable[[Reader], Readiness], name: str = "open") -> Gate:
    return Gate(name, f"{name} is proven", check, hint="look there", code="MPK-210")


def seen(name: str) -> Callable[[Reader], Readiness]:
    ref = Ref("v1", "ConfigMap", "default", name)
    return lambda reader: Ready(f"{name} seen") if reader.get(ref) else Waiting(f"{name} is missing")


def step(name: str, *needs: str, gates: tuple[Gate, ...] | None = None, programs: tuple[Program, ...] = ()) -> Step:
    default = (gate(seen(name)),)
    return Step(name, name, (config_map(name),), default if gates is None else gates, needs, programs)


def cluster(*objects: Object) -> InMemoryCluster:
    made = InMemoryCluster()
    made.put(namespace("default"), *objects)
    return made


def events(
    *steps: Step, on: InMemoryCluster | None = None, limits: Limits | None = None, selection: Selection | None = None
) -> list[Event]:
    plan = narrowed(steps, selection) if selection else Plan(steps)
    return list(run(plan, on or cluster(), FakeClock(), limits or Limits()))


def order(told: list[Event], kind: type[Event]) -> list[str]:  # type: ignore[valid-type]
    return [event.step for event in told if isinstance(event, kind)]


def test_steps_run_in_the_order_of_their_needs() -> None:
    told = events(step("a"), step("b", "a"), step("c", "b"))
    assert order(told, StepDone) == ["a", "b", "c"]


def test_steps_that_do_not_need_each_other_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(_reader: Reader) -> Readiness:
        meeting.wait()
        return Ready()

    told = events(step("root"), *(step(name, "root", gates=(gate(meet),)) for name in ("left", "right")))
    assert set(order(told, StepDone)) == {"root", "left", "right"}


def test_a_step_may_need_one_gate_of_another_and_not_wait_for_the_rest() -> None:
    second_started = threading.Event()

    def late(_reader: Reader) -> Readiness:
        return Ready() if second_started.wait(10) else Waiting("second has not started")

    def started(_reader: Reader) -> Readiness:
        second_started.set()
        return Ready()

    first = step("first", gates=(gate(seen("first"), "early"), gate(late, "late")))
    told = events(first, step("second", "first/early", gates=(gate(started),)))
    assert set(order(told, StepDone)) == {"first", "second"}


def test_running_again_changes_nothing() -> None:
    on = cluster()
    events(step("a"), step("b", "a"), on=on)
    on.requests.clear()
    told = events(step("a"), step("b", "a"), on=on)
    assert on.writes == []
    assert {event.outcome for event in told if isinstance(event, Applied)} == {Outcome.UNCHANGED}


def test_a_field_changed_by_somebody_is_put_back() -> None:
    on = cluster()
    wanted = Step("a", "a", (config_map("a", key="ours"),), (gate(seen("a")),))
    events(wanted, on=on)
    on.put({**on.objects[Ref("v1", "ConfigMap", "default", "a")], "data": {"key": "theirs"}})
    told = events(wanted, on=on)
    assert [event.outcome for event in told if isinstance(event, Applied)] == [Outcome.CONFIGURED]
    assert on.objects[Ref("v1", "ConfigMap", "default", "a")]["data"] == {"key": "ours"}


def test_namespaces_and_rights_of_later_steps_are_applied_before_the_first_gate() -> None:
    applied_first = threading.Event()

    def only_then(reader: Reader) -> Readiness:
        there = reader.get(Ref("v1", "Namespace", "", "later"))
        applied_first.set()
        return Ready() if there else Failed("the namespace of a later step is missing")

    later = Step("later", "later", (namespace("later"), config_map("x", "later")), (gate(lambda _: Ready()),), ("a",))
    told = events(step("a", gates=(gate(only_then),)), later)
    assert order(told, StepDone) == ["a", "later"]


def test_a_gate_that_stays_shut_ends_in_a_time_out_that_says_what_was_expected_and_seen() -> None:
    shut = step("a", gates=(gate(lambda _: Waiting("pod a-0: Pending")),))
    with pytest.raises(GateTimeoutError) as caught:
        events(shut, step("b", "a"), limits=Limits(gate=timedelta(seconds=90)))
    assert caught.value.code == "MPK-210"
    assert caught.value.exit_code == 124
    assert "open is proven" in caught.value.what
    assert "after 90 s: pod a-0: Pending" in caught.value.what
    assert "look there" in caught.value.remedy
    assert "the same command again" in caught.value.remedy


def test_a_limit_of_zero_looks_once() -> None:
    looks: list[int] = []

    def look(_reader: Reader) -> Readiness:
        looks.append(1)
        return Waiting("no")

    with pytest.raises(GateTimeoutError):
        events(step("a", gates=(gate(look),)), limits=Limits(gate=timedelta(0)))
    assert len(looks) == 1


def test_a_final_failure_ends_the_wait_long_before_the_time_out() -> None:
    clock = FakeClock()
    began = clock.now()
    hopeless = step("a", gates=(gate(lambda _: Failed("image cannot be pulled")),))
    with pytest.raises(StepError, match="image cannot be pulled"):
        list(run(Plan((hopeless,)), cluster(), clock, Limits(gate=timedelta(hours=1))))
    assert clock.now() - began < timedelta(seconds=30)


def test_a_failure_that_passes_is_no_failure() -> None:
    looks: list[Readiness] = [Failed("the old pod crashes"), Waiting("the new pod starts"), Ready("up")]
    told = events(step("a", gates=(gate(lambda _: looks.pop(0)),)))
    assert order(told, StepDone) == ["a"]


def test_one_failed_step_stops_the_others_and_is_the_error_that_is_raised() -> None:
    waits = step("waits", gates=(gate(lambda _: Waiting("for ever")),))
    fails = step("fails", gates=(gate(lambda _: Failed("broken")),))
    told: list[Event] = []
    with pytest.raises(StepError, match="broken"):
        told.extend(
            run(Plan((waits, fails, step("later", "fails"))), cluster(), FakeClock(), Limits(timedelta(days=9)))
        )
    assert order(told, StepStopped) == ["waits"]
    assert "later" not in order(told, StepStarted)


def test_a_webhook_that_is_not_there_yet_is_waited_for_and_said() -> None:
    on = cluster()
    late = ClusterError("MPK-102", "failed calling webhook: connection refused", status=500)
    on.faults = [late, late]
    told = events(step("a"), on=on)
    whys = [event.why for event in told if isinstance(event, GateWaits) and event.gate == "apply"]
    assert whys
    assert all("connection refused" in why for why in whys)
    assert order(told, StepDone) == ["a"]


def test_a_refusal_is_never_tried_again() -> None:
    on = cluster()
    on.faults = [ClusterError("MPK-102", "patch refused: forbidden", status=403)]
    with pytest.raises(ClusterError, match="forbidden"):
        events(step("a"), on=on)


@pytest.mark.parametrize("status", [0, 400, 404, 500])
def test_a_gate_whose_pod_went_away_while_it_looked_looks_again(status: int) -> None:
    looks: list[ClusterError] = [ClusterError("MPK-102", "port-forward refused", status=status)]

    def check(_reader: Reader) -> Readiness:
        if looks:
            raise looks.pop()
        return Ready()

    assert order(events(step("a", gates=(gate(check),))), StepDone) == ["a"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_gate_that_lacks_a_right_is_not_waited_for(status: int) -> None:
    def check(_reader: Reader) -> Readiness:
        raise ClusterError("MPK-102", "port-forward refused", status=status)

    with pytest.raises(ClusterError):
        events(step("a", gates=(gate(check),)))


def test_a_bug_in_a_gate_ends_the_run_with_a_message() -> None:
    def broken(_reader: Reader) -> Readiness:
        raise ZeroDivisionError

    with pytest.raises(MeshpkiError, match="meshpki itself failed: ZeroDivisionError"):
        events(step("a", gates=(gate(broken),)))


def test_a_program_runs_only_where_the_cluster_does_not_show_its_work() -> None:
    ran: list[str] = []
    program = Program("install", lambda _: False, lambda _cluster, _stop: ran.append("ran"))
    settled = Program("settled", lambda _: True, lambda _cluster, _stop: ran.append("never"))
    events(step("a", programs=(program, settled)))
    assert ran == ["ran"]


def answering(*answers: ClusterError | bool) -> tuple[Program, list[str]]:
    """A program of which that is seen, one look after the other, the last for ever; and what came of it."""
    happened, left = list[str](), list(answers)

    def settled(_reader: Reader) -> bool:
        happened.append("asked")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    return Program("p", settled, lambda _cluster, _stop: happened.append("ran")), happened


def failing(status: int) -> ClusterError:
    return ClusterError("MPK-102", "get refused", status=status)


@pytest.mark.parametrize("status", [0, 404, 503])
@pytest.mark.parametrize(("found", "then"), [(True, []), (False, ["ran"])])
def test_whether_a_program_has_anything_to_do_is_asked_again_after_an_error_that_passes(
    *, status: int, found: bool, then: list[str]
) -> None:
    program, happened = answering(failing(status), failing(status), found)
    assert order(events(step("a", programs=(program,))), StepDone) == ["a"]
    assert happened == ["asked"] * 3 + then


@pytest.mark.parametrize(("status", "patient"), [(403, False), (503, True)])
def test_a_program_of_which_nobody_can_tell_ends_its_step_when_the_time_is_up_or_at_once_without_the_right(
    *, status: int, patient: bool
) -> None:
    program, happened = answering(failing(status))
    with pytest.raises(ClusterError, match="get refused"):
        events(step("a", programs=(program,)), limits=Limits(timedelta(seconds=5)))
    assert set(happened) == {"asked"}
    assert (len(happened) > 1) is patient


def test_gates_are_looked_at_while_a_program_still_runs() -> None:
    opened = threading.Event()

    def wait_for_gate(_cluster: object, _stop: threading.Event) -> None:
        assert opened.wait(10)

    def check(_reader: Reader) -> Readiness:
        opened.set()
        return Ready()

    told = events(step("a", gates=(gate(check),), programs=(Program("p", lambda _: False, wait_for_gate),)))
    assert order(told, StepDone) == ["a"]


def test_what_a_gate_saw_before_a_program_changed_things_is_looked_at_again() -> None:
    ran = threading.Event()
    looks: list[bool] = []

    def check(_reader: Reader) -> Readiness:
        looks.append(ran.is_set())
        return Ready()

    events(step("a", gates=(gate(check),), programs=(Program("p", lambda _: False, lambda _c, _s: ran.set()),)))
    assert looks[-1]


def test_an_object_refused_for_good_ends_the_patience_with_its_siblings() -> None:
    on = cluster()
    webhook = ClusterError("MPK-102", "failed calling webhook", status=500)
    on.faults = [webhook, ClusterError("MPK-102", "patch refused: forbidden", status=403), *[webhook] * 9]
    two = Step("a", "a", (config_map("x"), config_map("y")), (gate(lambda _: Ready()),))
    with pytest.raises(ClusterError, match="forbidden"):
        events(two, on=on, limits=Limits(timedelta(days=9)))


def test_a_program_that_fails_ends_the_wait_of_its_gates() -> None:
    def fail(_cluster: object, _stop: threading.Event) -> None:
        raise StepError("MPK-206", "istioctl said no")

    failing = step("a", gates=(gate(lambda _: Waiting("for ever")),), programs=(Program("p", lambda _: False, fail),))
    with pytest.raises(StepError, match="istioctl said no"):
        events(failing, limits=Limits(timedelta(days=9)))


WHOLE = Limits(gate=timedelta(days=9), total=timedelta(minutes=10))


class StillClock(FakeClock):
    """Time that passes only when a test says so."""

    def wait(self, event: threading.Event, at_most: timedelta) -> bool:
        assert at_most >= timedelta(0)
        return event.wait(0.002)


def overdue(plan: Plan, *awaited: Event, on: InMemoryCluster | None = None) -> MeshpkiError:
    """The error of a run whose time is up once all these were told."""
    clock, left = StillClock(), set(awaited)
    try:
        for event in run(plan, on or cluster(), clock, WHOLE):
            left.discard(event)
            clock.at += timedelta(hours=0 if left else 1)
    except MeshpkiError as error:
        return error
    pytest.fail("it came to its end")


def test_a_whole_that_takes_too_long_says_of_every_step_what_was_expected_and_seen() -> None:
    looks = iter(["pod a-0: Pending"])
    rollout = gate(lambda _: Waiting(next(looks, "pod a-0: ImagePullBackOff")), "rollout")
    leaf = gate(lambda _: Waiting("no leaf"), "leaf")
    steps = (step("a", gates=(rollout,)), step("b", gates=(gate(lambda _: Ready()), leaf)), step("c", "a"))
    told = GateWaits("a", "rollout", "pod a-0: ImagePullBackOff"), GateWaits("b", "leaf", "no leaf")
    error = overdue(Plan(steps), *told)
    assert (error.code, error.exit_code) == ("MPK-203", 124)
    assert error.what.splitlines() == [
        "not done within 600 s",
        "step a, gate rollout: expected: rollout is proven; seen: pod a-0: ImagePullBackOff",
        "step b, gate leaf: expected: leaf is proven; seen: no leaf",
        "not begun: c",
    ]
    assert error.remedy == (
        "look there; then run the same command again: it goes on from here; --total-timeout gives it longer"
    )


def test_a_whole_that_takes_too_long_while_a_program_runs_names_its_step() -> None:
    program = Program("p", lambda _: False, lambda _cluster, stop: stop.wait(10) and None)
    error = overdue(Plan((step("a", gates=(), programs=(program,)),)), Tick())
    assert error.what.splitlines() == ["not done within 600 s", "step a: still at work"]


def test_a_run_that_is_done_when_its_time_is_up_is_done() -> None:
    clock = StillClock()
    for event in run(Plan((step("a"),)), cluster(), clock, WHOLE):
        clock.at += timedelta(hours=isinstance(event, StepDone))


class Hanging(InMemoryCluster):
    """A cluster that answers nothing before it is `let`."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()

    def get(self, ref: Ref) -> Object | None:
        assert self.let.wait(10)
        return super().get(ref)


EARLY = Step("a", "a", (namespace("early"),), (gate(lambda _: Ready()),))
UNANSWERED = GateWaits("a", "apply", "Namespace early: no answer yet")


def test_a_first_request_that_hangs_is_told_with_its_object_and_the_run_goes_on_once_it_is_answered() -> None:
    on, told = Hanging(), list[Event]()
    for event in run(Plan((EARLY,)), on, FakeClock(), Limits()):
        told.append(event)
        if event == UNANSWERED:
            on.let.set()
    assert isinstance(told[0], Tick)
    assert told.count(UNANSWERED) == 1
    assert order(told, Applied) == order(told, StepDone) == ["a"]


def test_the_time_of_the_whole_ends_while_a_first_request_hangs() -> None:
    on = Hanging()
    error = overdue(Plan((EARLY,)), UNANSWERED, on=on)
    on.let.set()
    assert error.what.splitlines() == [
        "not done within 600 s",
        "step a, gate apply: Namespace early: no answer yet",
        "not begun: a",
    ]


def test_a_first_object_that_cannot_be_applied_yet_is_told_and_left_to_its_own_step() -> None:
    on = cluster()
    on.faults = [ClusterError("MPK-102", "the server is busy", status=503)]
    told = events(EARLY, on=on)
    assert told[0] == GateWaits("a", "apply", "Namespace early: the server is busy")
    assert order(told, Applied) == order(told, StepDone) == ["a"]


def test_leaving_the_iterator_stops_every_step_at_a_safe_point() -> None:
    ended = threading.Event()

    def program(_cluster: object, stop: threading.Event) -> None:
        stop.wait(10)
        ended.set()

    shut = step("a", gates=(gate(lambda _: Waiting("for ever")),), programs=(Program("p", lambda _: False, program),))
    told = run(Plan((shut,)), cluster(), FakeClock(), Limits(timedelta(days=99)))
    for event in told:
        if isinstance(event, GateWaits):
            break
    told.close()
    assert ended.wait(5)


@pytest.mark.parametrize("kill_after", range(1, 16))
def test_a_run_killed_after_any_event_converges_when_run_again(kill_after: int) -> None:
    steps = (step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))
    clean, on = cluster(), cluster()
    events(*steps, on=clean)
    told = run(Plan(steps), on, FakeClock(), Limits())
    for _ in zip(range(kill_after), told, strict=False):
        pass
    told.close()
    events(*steps, on=on)
    assert on.objects.keys() == clean.objects.keys()
    assert [
        on.objects[ref]["metadata"]["labels"] for ref in sorted(on.objects) if "labels" in on.objects[ref]["metadata"]
    ]


def test_a_step_left_out_must_be_in_place() -> None:
    steps = (step("a"), step("b", "a"))
    with pytest.raises(PreconditionError, match="a is missing") as caught:
        events(*steps, selection=Selection(first="b"))
    assert "`meshpki up --only a`" in caught.value.remedy


def test_a_step_left_out_that_is_in_place_is_neither_applied_nor_waited_for() -> None:
    steps = (step("a"), step("b", "a"))
    on = cluster()
    events(steps[0], on=on)
    on.requests.clear()
    told = events(*steps, on=on, selection=Selection(only=("b",)))
    assert order(told, StepStarted) == ["b"]
    assert [what for _, what in on.writes] == ["ConfigMap default/b"]


def test_a_plan_whose_needs_come_later_is_refused() -> None:
    with pytest.raises(AssertionError, match="out of order at a"):
        Plan((step("a", "b"), step("b")))


def test_an_object_belongs_to_one_step_only() -> None:
    with pytest.raises(AssertionError, match="applied by two steps: ConfigMap default/a"):
        Plan((step("a"), Step("b", "b", (config_map("a"),))))
