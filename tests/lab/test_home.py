import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from meshpki.errors import PreconditionError
from meshpki.lab.home import DEFAULT_NAME, Home, held, holder, turn
from meshpki.lab.kind import Kind
from meshpki.lab.lab import Wish
from meshpki.lab.native import Native
from meshpki.lab.parts import Parts
from meshpki.lab.progress import Report

LOCATE = """\
from meshpki.errors import UsageError
from meshpki.lab.home import locate
try:
    print(locate().name, locate().root)
except UsageError as refused:
    print(refused.code)
"""
HOLD = """\
import sys
from pathlib import Path
from meshpki.lab.home import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab of the other tests bears the default name on this machine."""
    monkeypatch.setattr("meshpki.lab.home.CLAIMS", tmp_path)


def located(**environment: str) -> list[str]:
    """What a process with this environment finds."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MESHPKI_LAB_")}
    argv = [sys.executable, "-c", LOCATE]
    return subprocess.run(argv, env=plain | environment, capture_output=True, check=True, text=True).stdout.split()


@pytest.mark.parametrize("name", ["", "a", "A1", "1a", "a-", "a_b", "a/b", "../a", "abcdefghijkl", "ab\n"])
def test_what_cannot_name_a_network_link_cannot_name_a_lab(name: str) -> None:
    assert located(MESHPKI_LAB_NAME=name) == ["MPK-509"]


@pytest.mark.parametrize("name", ["ab", "a-1", "abcdefghijk"])
def test_a_lab_of_another_name_has_a_directory_of_that_name(tmp_path: Path, name: str) -> None:
    found, root = located(MESHPKI_LAB_NAME=name, XDG_STATE_HOME=str(tmp_path))
    assert (found, root) == (name, str(tmp_path / "meshpki" / name))


def test_the_users_own_lab_has_the_default_name_and_place(tmp_path: Path) -> None:
    assert located(XDG_STATE_HOME=str(tmp_path)) == [DEFAULT_NAME, str(tmp_path / "meshpki" / "lab")]


def test_a_lab_can_be_kept_anywhere(tmp_path: Path) -> None:
    assert located(MESHPKI_LAB_HOME=str(tmp_path / "here")) == [DEFAULT_NAME, str(tmp_path / "here")]


def test_a_home_that_is_set_to_nothing_is_the_users_own_and_not_the_working_directory(tmp_path: Path) -> None:
    own = [DEFAULT_NAME, str(tmp_path / "meshpki" / "lab")]
    assert located(MESHPKI_LAB_HOME="", XDG_STATE_HOME=str(tmp_path)) == own


def never(_cache: Path, _report: Report) -> Parts:
    raise AssertionError("something was built")


COMMANDS: dict[str, Callable[[Home], object]] = {
    "up, native": lambda place: Native(place, never).up(Wish(), [].append),
    "down, native": lambda place: Native(place, never).down([].append),
    "up, kind": lambda place: Kind(place).up(Wish(), [].append),
    "down, kind": lambda place: Kind(place).down([].append),
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can carry either lab; whatever kind's driver asks of its programs ends well."""
    monkeypatch.setattr("meshpki.lab.native.check_machine", lambda *_: None)
    (tmp_path / "bin").mkdir()
    for name in ("kind", "kubectl", "docker"):
        (tmp_path / "bin" / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("foreign", ["notes.txt", "log/notes.txt", "supervisor.lock", "spec.json", "kubeconfig"])
def test_a_directory_that_no_lab_began_is_refused_and_left_as_it_is(
    tmp_path: Path, foreign: str, command: Callable[[Home], object]
) -> None:
    place = Home(tmp_path / "data", "lab")
    (place.root / foreign).parent.mkdir(parents=True)
    (place.root / foreign).write_text("mine")
    before = sorted(place.root.rglob("*"))
    with pytest.raises(PreconditionError) as refused:
        command(place)
    assert (refused.value.code, refused.value.where) == ("MPK-518", str(place.root))
    assert "MESHPKI_LAB_HOME" in refused.value.remedy
    assert sorted(place.root.rglob("*")) == before
    assert (place.root / foreign).read_text() == "mine"


def test_a_file_is_no_labs_directory(tmp_path: Path) -> None:
    place = Home(tmp_path / "file", "lab")
    place.root.write_text("mine")
    with pytest.raises(PreconditionError, match="MPK-518"), turn(place):
        pass


def test_an_empty_directory_becomes_a_labs(tmp_path: Path) -> None:
    place = Home(tmp_path / "empty", "lab")
    place.root.mkdir()
    with turn(place):
        (place.root / "lab-1").mkdir()
    with turn(place):
        pass


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("down", [COMMANDS["down, native"], COMMANDS["down, kind"]], ids=["native", "kind"])
def test_a_lab_that_was_taken_down_or_killed_in_its_first_moment_is_known_again(
    tmp_path: Path, down: Callable[[Home], object]
) -> None:
    place = Home(tmp_path / "lab", "lab")
    place.root.mkdir()
    place.turn.touch()
    place.spec.touch()
    down(place)
    assert not place.spec.exists()
    down(place)


def test_a_labs_directory_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "state" / "lab")
    home.make()
    home.make()
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    assert home.log("switch").parent.is_dir()


def test_a_lock_says_which_process_holds_it_and_nobody_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert holder(lock) is None
    with held(lock):
        assert holder(lock) == os.getpid()
    assert holder(lock) is None
    assert lock.exists()


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    with held(tmp_path / "lock"), pytest.raises(BlockingIOError), held(tmp_path / "lock"):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    argv = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert holder(lock) == child.pid
        child.kill()
    assert holder(lock) is None


def test_who_asks_for_the_holder_never_keeps_another_from_the_lock(tmp_path: Path) -> None:
    lock, enough = tmp_path / "lock", threading.Event()
    lock.touch()

    def ask() -> None:
        while not enough.is_set():
            holder(lock)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(200):
            with held(lock):
                pass
    finally:
        enough.set()
        asking.join()


def test_only_one_command_is_at_work_on_a_lab(tmp_path: Path) -> None:
    home = Home(tmp_path / "lab")
    with turn(home), pytest.raises(PreconditionError) as refused, turn(home):
        pass
    assert (refused.value.code, refused.value.where) == ("MPK-503", str(home.root))
    assert f"process {os.getpid()}" in refused.value.what
    with turn(home):
        assert holder(home.turn) == os.getpid()


def test_a_lab_of_the_same_name_from_another_home_is_let_be(tmp_path: Path) -> None:
    one, two, beside = Home(tmp_path / "one"), Home(tmp_path / "two"), Home(tmp_path / "three", "beside")
    one.make()
    argv = [sys.executable, "-c", HOLD, str(one.claim)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(PreconditionError, match="runs already, of another home") as refused, turn(two):
            pytest.fail("it had its turn")
        assert refused.value.code == "MPK-515"
        with turn(beside):
            pass
        child.kill()
    with turn(two):
        pass


def test_the_home_whose_supervisor_holds_the_name_has_its_turn(tmp_path: Path) -> None:
    home = Home(tmp_path / "one")
    home.make()
    with held(home.supervisor), held(home.claim), turn(home):
        assert holder(home.claim) == os.getpid()
