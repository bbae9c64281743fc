from datetime import UTC, datetime, timedelta

import pytest

from meshpki.cli.board import Board, Line, State
from meshpki.cluster.manifest import Ref
from meshpki.errors import StepError
from meshpki.workflow.event import (
    Applied,
    Event,
    GateOpened,
    GateWaits,
    Outcome,
    ProgramEnded,
    StepDone,
    StepFailed,
    StepStarted,
    StepStopped,
    Tick,
)

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
REF = Ref("v1", "ConfigMap", "kube-system", "one")
BROKEN = StepError("MPK-202", "the image does not exist")
STARTED = StepStarted("spire")
WAITS = GateWaits("spire", "server", "0 of 1 ready")


def folded(*events: Event) -> tuple[Board, Line]:
    """The board after events a second apart, and the one line it has."""
    board = Board([("spire", "SPIRE runs")])
    for second, event in enumerate(events):
        board.note(event, START + timedelta(seconds=second))
    return board, board.lines["spire"]


@pytest.mark.parametrize(
    ("events", "state", "seconds"),
    [
        ([], State.PENDING, 0),
        ([Applied("spire", REF, Outcome.CREATED)], State.PENDING, 0),
        ([STARTED], State.RUNNING, 0),
        ([STARTED, WAITS, StepDone("spire", timedelta(seconds=7.5))], State.DONE, 7.5),
        ([STARTED, WAITS, StepFailed("spire", BROKEN)], State.FAILED, 2),
        ([STARTED, StepStopped("spire")], State.STOPPED, 1),
        ([StepFailed("spire", BROKEN)], State.FAILED, 0),
        ([STARTED, Tick(), StepDone("istio", timedelta(seconds=1))], State.RUNNING, 0),
    ],
    ids=["nothing", "applied early", "started", "done", "failed", "stopped", "failed at once", "another step"],
)
def test_events_fold_into_the_state_of_their_step(events: list[Event], state: State, seconds: float) -> None:
    _, line = folded(*events)
    assert (line.state, line.seconds) == (state, seconds)


@pytest.mark.parametrize(
    ("events", "gate", "waits", "since"),
    [
        ([WAITS], "server", "0 of 1 ready", 0),
        ([WAITS, GateWaits("spire", "server", "pulling")], "server", "pulling", 0),
        ([WAITS, GateWaits("spire", "agent", "1 of 2")], "agent", "1 of 2", 1),
    ],
    ids=["one reason", "another reason", "the next gate"],
)
def test_a_shut_gate_is_shown_since_it_was_first_waited_for(
    events: list[Event], gate: str, waits: str, since: int
) -> None:
    _, line = folded(*events)
    assert (line.gate, line.waits, line.since) == (gate, waits, START + timedelta(seconds=since))


def test_an_open_gate_leaves_what_it_saw() -> None:
    _, line = folded(STARTED, WAITS, GateOpened("spire", "server", "1 of 1 ready"))
    assert (line.gate, line.waits, line.since) == ("", "", None)
    assert line.said == {"server": "1 of 1 ready"}


def test_a_program_says_whether_it_had_anything_to_do() -> None:
    _, line = folded(ProgramEnded("spire", "one", changed=True), ProgramEnded("spire", "two", changed=False))
    assert line.programs == {"one": "ran", "two": "nothing to do"}
    assert line.said == {}


def test_objects_are_counted_for_their_step_and_in_all() -> None:
    created, same = (Applied("spire", REF, outcome) for outcome in (Outcome.CREATED, Outcome.UNCHANGED))
    board, line = folded(created, same, same, Applied("settings", REF, Outcome.CREATED))
    assert line.counts == {Outcome.CREATED: 1, Outcome.UNCHANGED: 2}
    assert board.counts == {Outcome.CREATED: 2, Outcome.UNCHANGED: 2}


def test_the_failure_is_kept_with_its_step() -> None:
    _, line = folded(STARTED, StepFailed("spire", BROKEN))
    assert line.error is BROKEN


def test_the_time_of_a_running_step_goes_on_and_of_an_ended_one_stands_still() -> None:
    later = START + timedelta(seconds=30)
    assert folded(STARTED)[1].elapsed(later) == timedelta(seconds=30)
    assert folded(STARTED, StepDone("spire", timedelta(seconds=4)))[1].elapsed(later) == timedelta(seconds=4)
    assert folded()[1].elapsed(later) == timedelta(0)


def test_the_line_an_event_was_about_is_given_back_where_it_is_shown() -> None:
    board, line = folded(STARTED)
    assert board.note(WAITS, START) is line
    assert board.note(Applied("settings", REF, Outcome.CREATED), START) is None
    assert board.note(Tick(), START) is None
