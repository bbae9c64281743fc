"""The steps of a root rotation as a plan: their order, and what opens a gate."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError, Reader
from meshpki.components.istio import ISTIOD_PORTS
from meshpki.components.trust import istiod_certificate
from meshpki.errors import GateTimeoutError
from meshpki.rotate import acts, goals, journey, scan
from meshpki.rotate.facts import Turn
from meshpki.rotate.root import steps
from meshpki.rotate.rotation import Rotation
from meshpki.workflow.plan import Plan
from meshpki.workflow.step import Failed, Readiness, Ready, Waiting
from meshpki.workflow.work import Limits
from tests.support.rotating import SETTINGS, Rotating, rotating
from tests.support.session import Session
from tests.support.travel import Traveller

NAMES = [stage.name for stage in goals.STAGES]


def begun() -> tuple[Rotating, Turn]:
    mesh = rotating()
    Traveller(mesh, mesh.hours).forth(until=goals.NEW_ROOT)
    return mesh, journey.required_turn(mesh, SETTINGS)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("", "", NAMES),
        (goals.ACTIVATE, "", NAMES[3:]),
        ("", goals.TRUST, NAMES[:3]),
        (goals.MOVED, goals.MOVED, [goals.MOVED]),
    ],
)
def test_each_stage_needs_the_one_before(first: str, last: str, expected: list[str]) -> None:
    mesh, turn = begun()
    plan = Plan(steps(Rotation(SETTINGS, turn, mesh.hours), first, last))
    assert [step.name for step in plan.steps] == expected
    assert [step.needs for step in plan.steps] == [(), *((name,) for name in expected[:-1])]
    assert all("{" not in text for step in plan.steps for text in (step.summary, *(gate.proves for gate in step.gates)))


def test_a_stage_that_is_through_leaves_nothing_to_do() -> None:
    mesh, turn = begun()
    Traveller(mesh, mesh.hours).go_on(until=goals.TRUST)
    rotation = Rotation(SETTINGS, turn, mesh.hours)
    assert journey.remaining(mesh, rotation, goals.TRUST_ISTIOD) == ()
    assert [step.name for step in journey.remaining(mesh, rotation, goals.ISTIOD_CA)] == [
        goals.ACTIVATE,
        goals.ISTIOD_CA,
    ]


@pytest.mark.parametrize("status", [0, 429, 503])
def test_a_busy_api_server_does_not_end_a_rotation_before_it_has_begun(status: int) -> None:
    mesh = rotating()
    fault = ClusterError("MPK-102", "not now", status=status)
    session = Session(mesh, faults=dict.fromkeys((1, 3, 4), fault))
    assert Traveller(session, mesh.hours).forth(until=goals.NEW_ROOT) == [goals.NEW_ROOT]
    assert journey.required_turn(mesh, SETTINGS).entering.number == 2


def one_istiod_is_silent() -> tuple[Rotating, Turn, Callable[[], None]]:
    """Killed when one istiod of two had written both roots everywhere; the other has not loaded them, and is silent.

    The last one has it answer again.
    """
    mesh = rotating(istiods=(0.0, 200.0))
    Traveller(mesh, mesh.hours).forth(until=goals.NEW_ROOT)
    turn = journey.required_turn(mesh, SETTINGS)
    acts.hand_over(mesh, SETTINGS, turn.both)
    silent = {("istiod-1", port): mesh.listeners.pop(("istiod-1", port)) for port in ISTIOD_PORTS}
    while goals.istiod_trusts(scan.facts(mesh, SETTINGS, turn), turn):
        mesh.hours.pass_by(1)
    assert len(mesh.istiods.roots(mesh.istiods.replicas["istiod-1"])) == 1
    return mesh, turn, lambda: mesh.listeners.update(silent)


def test_a_run_that_goes_on_without_seeing_everything_asks_again_from_the_first_stage() -> None:
    mesh, turn, _ = one_istiod_is_silent()
    here = journey.standing(mesh, SETTINGS)
    assert here
    assert here.stage.name == goals.PREPARE
    rotation = Rotation(SETTINGS, turn, mesh.hours)
    assert [step.name for step in journey.remaining(mesh, rotation)] == NAMES
    assert [step.name for step in journey.remaining(mesh, rotation, goals.TRUST_ISTIOD)] == [goals.TRUST_ISTIOD]


def test_no_ca_is_prepared_before_an_istiod_that_was_silent_has_loaded_both_roots() -> None:
    mesh, _, answer_again = one_istiod_is_silent()
    with pytest.raises(GateTimeoutError, match="istiod-1"):
        Traveller(mesh, mesh.hours, Limits(timedelta(seconds=20))).go_on(until=goals.PREPARE)
    assert len(mesh.spire.bundle) == 1
    answer_again()
    assert Traveller(mesh, mesh.hours).go_on(until=goals.PREPARE) == [goals.TRUST_ISTIOD, goals.PREPARE]
    assert len(mesh.istiods.roots(mesh.istiods.replicas["istiod-1"])) == 2
    assert mesh.broken == []


def test_from_the_renewal_of_cacerts_on_nothing_is_asked_before_its_second_root_is_put_back() -> None:
    mesh, turn = begun()
    Traveller(mesh, mesh.hours).go_on(until=goals.ACTIVATE)
    for port in ISTIOD_PORTS:
        del mesh.listeners["istiod-0", port]
    steps_left = journey.remaining(mesh, Rotation(SETTINGS, turn, mesh.hours))
    assert steps_left[0].name == goals.ISTIOD_CA


def through(soak: float = 0, guard: str = "") -> tuple[Rotating, Callable[[Reader], Readiness]]:
    """A stage that everybody has followed, and the check of its last gate."""
    mesh, turn = begun()
    rotation = Rotation(SETTINGS, turn.back, mesh.hours, soak=timedelta(seconds=soak), guards=(lambda _reader: guard,))
    return mesh, steps(rotation, goals.ISTIOD_CA)[0].gates[-1].check


@pytest.mark.parametrize("soak", [0, 30])
def test_two_looks_in_a_row_are_seconds_apart_and_as_long_as_the_soak(soak: float) -> None:
    mesh, check = through(soak)
    assert [type(check(mesh)) for _ in range(3)] == [Waiting] * 3
    mesh.hours.pass_by(max(soak, 2) - 1)
    assert isinstance(check(mesh), Waiting)
    mesh.hours.pass_by(1)
    assert isinstance(check(mesh), Ready)


def test_a_target_that_falls_back_has_everybody_looked_at_anew() -> None:
    mesh, check = through()
    check(mesh)
    mesh.hours.pass_by(3)
    ours = mesh.listeners.pop(("istiod-0", 15012))
    assert "istiod-0 port 15012" in str(check(mesh))
    mesh.listeners["istiod-0", 15012] = ours
    assert isinstance(check(mesh), Waiting)
    mesh.hours.pass_by(2)
    assert isinstance(check(mesh), Ready)


def test_a_guard_that_trips_fails_the_gate_with_its_words() -> None:
    mesh, check = through(guard="a request failed")
    assert check(mesh) == Failed("a request failed")


def test_a_pod_that_is_excepted_is_not_waited_for() -> None:
    mesh, turn = begun()
    del mesh.listeners["client-5d9-x", 15000]
    for excepted, left in ((frozenset[str](), 1), (frozenset({"bookinfo/client-5d9-x"}), 0)):
        rotation = Rotation(SETTINGS, turn.back, mesh.hours, excepted=excepted)
        assert len(rotation.left(mesh, goals.moved)) == left


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [(20, None), (90, 300), (20, -60)],
    ids=["at once", "before the planned end", "behind its plan"],
)
def test_no_gate_opens_while_a_ca_is_to_be_renewed_by_itself(seconds: int, ends: int | None) -> None:
    mesh, turn = begun()
    over = None if ends is None else mesh.hours.now() + timedelta(seconds=ends)
    check = steps(Rotation(SETTINGS, turn, mesh.hours, ends=over), goals.TRUST_ISTIOD)[0].gates[-1].check
    ref = istiod_certificate(SETTINGS)
    live = mesh.objects[ref]
    soon = mesh.hours.now() + timedelta(seconds=seconds)
    mesh.put({**live, "status": {**live["status"], "renewalTime": f"{soon:%Y-%m-%dT%H:%M:%SZ}"}})
    found = check(mesh)
    assert isinstance(found, Failed)
    assert "cert-manager renews cacerts by itself at" in found.why
    mesh.hours.pass_by(seconds + 5)
    assert isinstance(check(mesh), Waiting)


def test_no_clock_that_a_rotation_sets_itself_stops_it() -> None:
    """SPIRE prepares at half of its CA's life; the planned end is as late as the preflight lets it be."""
    mesh = rotating()
    ends = mesh.hours.now() + timedelta(hours=11, minutes=59)
    Traveller(mesh, mesh.hours).forth(until=goals.NEW_ROOT)
    rotation = Rotation(SETTINGS, journey.required_turn(mesh, SETTINGS), mesh.hours, ends=ends)
    done = Traveller(mesh, mesh.hours).follow(journey.remaining(mesh, rotation))
    assert done == NAMES
