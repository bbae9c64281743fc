import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from meshpki.errors import LabError, PreconditionError
from meshpki.lab.home import Home, held, holder
from meshpki.lab.lifecycle import Act, State, clear, decide, follow, observe, remove_files
from meshpki.lab.progress import Progress
from meshpki.lab.spec import Spec, write
from meshpki.lab.story import Failure, Ready, append

ONE = Spec("lab", 1, {"kubectl": "/cache/kubectl"}, ("/cache/pause.tar",), "/cache/artifacts")
TWO = replace(ONE, nodes=2)
NEWER = replace(ONE, images=("/cache/newer.tar",))

LATE = """\
import sys, time
from pathlib import Path
from meshpki.lab.home import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Home:
    home = Home(tmp_path / "lab", "lab")
    home.make()
    return home


@pytest.mark.parametrize(
    ("state", "had", "act"),
    [
        ("whole", ONE, "keep"),
        ("whole", NEWER, "keep"),
        ("coming up", ONE, "wait"),
        ("stopped", ONE, "resume"),
        ("stopped", NEWER, "rebuild"),
        ("stopped", None, "rebuild"),
        ("half-made", ONE, "rebuild"),
        ("half-made", TWO, "rebuild"),
        ("absent", None, "rebuild"),
    ],
)
def test_the_state_and_the_parts_decide_what_up_does(state: State, had: Spec | None, act: Act) -> None:
    assert decide(state, had, ONE) == act


@pytest.mark.parametrize("state", ["whole", "coming up", "stopped"])
def test_a_lab_of_another_size_is_left_alone(state: State) -> None:
    with pytest.raises(PreconditionError, match=r"has 1 node\(s\), not 2") as refused:
        decide(state, ONE, TWO)
    assert refused.value.code == "MPK-505"
    assert "lab down" in refused.value.remedy


@pytest.mark.parametrize(
    ("alive", "asked", "ready", "told", "state"),
    [
        (False, False, False, False, "absent"),
        (False, True, False, False, "half-made"),
        (False, True, True, True, "stopped"),
        (True, True, False, False, "coming up"),
        (True, True, True, False, "coming up"),
        (True, True, True, True, "whole"),
    ],
)
def test_lock_and_files_say_what_is_there(
    place: Home, *, alive: bool, asked: bool, ready: bool, told: bool, state: State
) -> None:
    with ExitStack() as stack:
        if alive:
            stack.enter_context(held(place.supervisor))
        if asked:
            write(place.spec, ONE)
        if ready:
            place.ready.touch()
        if told:
            append(place.story, Ready(22.0))
        assert observe(place) == state


def test_who_follows_hears_everything_until_the_lab_is_ready(place: Home) -> None:
    steps = [Progress("kubeadm init", "start"), Progress("kubeadm init", "done", 6.0)]
    for event in (*steps, Ready(22.0), Progress("later", "start")):
        append(place.story, event)
    heard: list[Progress] = []
    follow(place, heard.append)
    assert heard == steps


def test_who_follows_meets_the_supervisors_own_error(place: Home) -> None:
    append(place.story, Failure("MPK-521", "not ready", "lab-1", "look"))
    with pytest.raises(LabError) as failed:
        follow(place, lambda _: None)
    error = failed.value
    assert (error.code, error.what, error.where, error.remedy) == ("MPK-521", "not ready", "lab-1", "look")


def test_who_follows_is_told_when_the_supervisor_has_ended_without_a_word(place: Home) -> None:
    append(place.story, Progress("kubeadm init", "start"))
    with pytest.raises(LabError) as failed:
        follow(place, lambda _: None)
    assert (failed.value.code, failed.value.where) == ("MPK-522", str(place.log("supervisor")))


def test_removing_a_labs_files_leaves_its_lock_and_what_links_point_to(place: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (place.root / "link").symlink_to(outside)
    (place.root / "lab-1" / "etc").mkdir(parents=True)
    place.turn.touch()
    write(place.spec, ONE)
    remove_files(place)
    assert list(place.root.iterdir()) == [place.turn]
    assert (outside / "file").exists()


def test_a_supervisor_that_begins_late_is_stopped_before_its_lab_is_cleared(tmp_path: Path) -> None:
    place = Home(tmp_path, "late")
    place.make()
    place.spec.write_text("{}")
    late = [sys.executable, "-c", LATE, str(place.supervisor)]
    with subprocess.Popen(late, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"held\n"
        clear(place)
        assert supervisor.wait(timeout=10) == -signal.SIGKILL
    assert not place.spec.exists()
    assert holder(place.supervisor) is None
