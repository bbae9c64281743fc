from pathlib import Path

import pytest

from meshpki.lab.progress import Progress
from meshpki.lab.story import Event, Failure, Ready, append, line, parse, read, timed

EVENTS: tuple[Event, ...] = (
    Progress("kubeadm init", "start"),
    Progress("kubeadm init", "done", 6.1),
    Progress("24 images", "kept"),
    Progress("build etcd", "start", log="/cache/log/etcd.log"),
    Failure("MPK-520", 'exit code 1\n"quoted" and näme', "kubeadm init", ""),
    Ready(22.4),
)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_one_line_and_comes_back_as_it_was(event: Event) -> None:
    written = line(event)
    assert written.count("\n") == 1
    assert parse(written) == event


def test_a_story_is_read_on_from_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "story.jsonl"
    assert read(path, 0) == []
    for told, event in enumerate(EVENTS):
        append(path, event)
        assert read(path, told) == [event]
    assert read(path, 0) == list(EVENTS)


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    path = tmp_path / "story.jsonl"
    append(path, EVENTS[0])
    with path.open("a") as story:
        story.write(line(EVENTS[1])[:-1])
    assert read(path, 0) == [EVENTS[0]]
    with path.open("a") as story:
        story.write("\n")
    assert read(path, 1) == [EVENTS[1]]


def test_a_failure_is_the_same_error_for_who_waited() -> None:
    error = Failure("MPK-521", "not ready", "lab-1", "look").error()
    assert (error.code, error.what, error.where, error.remedy) == ("MPK-521", "not ready", "lab-1", "look")


def test_what_is_timed_is_told_before_and_after() -> None:
    told: list[Progress] = []
    with timed(told.append, "lab down"):
        assert told == [Progress("lab down", "start")]
    assert [(one.what, one.state) for one in told] == [("lab down", "start"), ("lab down", "done")]


def test_what_is_timed_tells_where_it_writes_its_own_words(tmp_path: Path) -> None:
    told: list[Progress] = []
    with timed(told.append, "build etcd", tmp_path / "etcd.log"):
        pass
    assert [one.log for one in told] == [str(tmp_path / "etcd.log"), ""]


def test_what_fails_is_never_told_as_done() -> None:
    told: list[Progress] = []
    with pytest.raises(OSError, match="gone"), timed(told.append, "lab down"):
        raise OSError("gone")
    assert told == [Progress("lab down", "start")]
