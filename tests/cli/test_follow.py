from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from meshpki.cli.board import Board
from meshpki.cli.follow import Lines, LiveList, following
from meshpki.cluster.manifest import Ref
from meshpki.errors import StepError
from meshpki.workflow.event import (
    Applied,
    Event,
    GateOpened,
    GateWaits,
    Outcome,
    StepDone,
    StepFailed,
    StepStarted,
    StepStopped,
    Tick,
)

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
STARTED = StepStarted("spire")
WAITS = GateWaits("spire", "server", "0 of 1 ready")
APPLIED = Applied("spire", Ref("v1", "ConfigMap", "kube-system", "one"), Outcome.CREATED)
Timed = list[tuple[float, Event]]


class Watch:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at


def followed(timed: Timed, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that events, each at its second, leave on standard error; nothing else may be written anywhere."""
    board, watch = Board([("spire", "SPIRE runs"), ("istio", "Istio runs")]), Watch()
    lines = Lines(board, watch.now)
    for second, event in timed:
        watch.at = START + timedelta(seconds=second)
        lines.show(event, board.note(event, watch.now()))
    written = capsys.readouterr()
    assert written.out == ""
    return written.err.splitlines()


def ticks(first: int, last: int) -> Timed:
    return [(second, Tick()) for second in range(first, last + 1)]


def test_each_event_that_tells_something_new_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    timed: Timed = [
        (0, STARTED),
        (0.5, APPLIED),
        (2, WAITS),
        (4, GateOpened("spire", "server", "1 of 1 ready")),
        (5, StepDone("spire", timedelta(seconds=5))),
        (5, StepStarted("istio")),
        (6, StepFailed("istio", StepError("MPK-206", "istioctl failed"))),
    ]
    assert followed(timed, capsys) == [
        "12:00:00 step=spire state=start",
        "12:00:02 step=spire state=waiting gate=server 0 of 1 ready",
        "12:00:04 step=spire state=open gate=server 1 of 1 ready",
        "12:00:05 step=spire state=done elapsed=5.0s",
        "12:00:05 step=istio state=start",
        "12:00:06 step=istio state=failed code=MPK-206",
    ]


def test_ten_seconds_of_silence_are_broken_by_a_heartbeat(capsys: pytest.CaptureFixture[str]) -> None:
    lines = followed([(0, STARTED), (2, WAITS), *ticks(3, 33)], capsys)
    assert lines[2:] == [
        f"12:00:{second} step=spire state=waiting gate=server elapsed={second - 2}s 0 of 1 ready"
        for second in (12, 22, 32)
    ]


def test_a_step_at_work_without_a_gate_has_a_heartbeat_too(capsys: pytest.CaptureFixture[str]) -> None:
    lines = followed([(0, STARTED), *ticks(1, 21)], capsys)
    assert lines[1:] == [f"12:00:{second} step=spire state=running elapsed={second}s" for second in (10, 20)]


@pytest.mark.parametrize(
    "timed",
    [
        ticks(0, 30),
        [(0, STARTED), (1, StepDone("spire", timedelta(seconds=1))), *ticks(2, 30)],
        [(0, STARTED), (1, StepStopped("spire")), *ticks(2, 30)],
    ],
    ids=["not begun", "done", "stopped"],
)
def test_a_step_that_does_not_run_has_no_heartbeat(timed: Timed, capsys: pytest.CaptureFixture[str]) -> None:
    assert not [line for line in followed(timed, capsys) if line > "12:00:01 step=spire state=stopped"]


def test_a_step_that_is_stopped_says_what_it_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    lines = followed([(0, STARTED), (2, WAITS), (3, StepStopped("spire"))], capsys)
    assert lines[-1] == "12:00:03 step=spire state=stopped gate=server 0 of 1 ready"


FIRST = GateWaits("spire", "apply", "Namespace spire-server: no answer yet")


def test_a_first_object_that_hangs_has_a_heartbeat_until_a_step_begins(capsys: pytest.CaptureFixture[str]) -> None:
    lines = followed([(1, FIRST), *ticks(2, 24), (25, StepStarted("istio")), *ticks(26, 34)], capsys)
    assert lines == [
        "12:00:01 step=spire state=waiting gate=apply Namespace spire-server: no answer yet",
        "12:00:11 step=spire state=waiting gate=apply elapsed=10s Namespace spire-server: no answer yet",
        "12:00:21 step=spire state=waiting gate=apply elapsed=20s Namespace spire-server: no answer yet",
        "12:00:25 step=istio state=start",
    ]


def test_reasons_that_change_many_times_a_second_are_not_all_told(capsys: pytest.CaptureFixture[str]) -> None:
    flapping: Timed = [(2 + step / 10, GateWaits("spire", "server", f"reason {step}")) for step in range(40)]
    assert len(followed([(0, STARTED), *flapping], capsys)) <= 6


def test_lines_are_only_added_and_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\r\u202egnp\x07"
    timed: Timed = [
        (0, STARTED),
        (2, GateWaits("spire", "server", hostile)),
        *ticks(3, 15),
        (16, GateOpened("spire", "server", hostile)),
    ]
    lines = followed(timed, capsys)
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert "\\u001b[2J\\u000d\\u202egnp\\u0007" in lines[1]


def test_where_nobody_watches_lines_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with following(Board([("spire", "SPIRE runs")])) as follower:
        assert isinstance(follower, Lines)
        follower.show(STARTED, None)
    assert capsys.readouterr().err.endswith("step=spire state=start\n")


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((STARTED, GateWaits("spire", "server", "0 of 1\x1b[2J ready")), "server: 0 of 1\\u001b[2J ready"),
        ((STARTED, WAITS, StepStopped("spire")), "server: 0 of 1 ready"),
        ((FIRST,), "apply: Namespace spire-server: no answer yet"),
        ((FIRST, APPLIED), "SPIRE runs"),
        ((FIRST, STARTED), "SPIRE runs"),
    ],
    ids=["waiting", "stopped", "not begun, and hanging", "answered", "begun"],
)
def test_the_live_list_shows_every_step_and_what_it_is_at(events: tuple[Event, ...], told: str) -> None:
    board = Board([("spire", "SPIRE runs"), ("istio", "Istio runs")])
    for event in events:
        board.note(event, START)
    drawn = StringIO()
    Console(file=drawn, width=100).print(LiveList(board).render())
    first, second = drawn.getvalue().splitlines()
    assert f"1/2 spire {told} " in first
    assert "2/2 istio Istio runs" in second
