import os
from collections.abc import Callable
from pathlib import Path

import pytest

from meshpki.errors import PreconditionError, UsageError
from meshpki.lab import spec
from meshpki.lab.home import Home, held
from meshpki.lab.kubeadm import AUDIT_LOG
from meshpki.lab.native import Native, check_machine
from meshpki.lab.parts import Parts
from meshpki.lab.progress import Report
from meshpki.lab.spec import Spec
from meshpki.lab.story import Ready, append

SPEC = Spec("lab", 2, {"kubectl": "/cache/kubectl"}, (), "/cache/artifacts")


def never(_cache: Path, _report: Report) -> Parts:
    raise AssertionError("something was built")


@pytest.fixture
def place(tmp_path: Path) -> Home:
    """The files of a lab of two nodes that was whole."""
    home = Home(tmp_path / "lab", "lab")
    home.make()
    spec.write(home.spec, SPEC)
    home.ready.touch()
    append(home.story, Ready(22.0))
    home.first_process("lab-1").write_text("11")
    home.first_process("lab-2").write_text("12")
    return home


@pytest.mark.parametrize(
    ("system", "machine", "user", "reason"),
    [
        ("darwin", "x86_64", 0, "this is darwin"),
        ("win32", "AMD64", 0, "this is win32"),
        ("linux", "aarch64", 0, "this is aarch64"),
        ("linux", "x86_64", 1000, "needs root"),
        ("darwin", "arm64", 501, "this is darwin"),
    ],
)
def test_a_machine_that_cannot_hold_the_lab_is_told_why_and_what_else_there_is(
    system: str, machine: str, user: int, reason: str
) -> None:
    with pytest.raises(PreconditionError, match=reason) as refused:
        check_machine(system, machine, user)
    assert refused.value.code == "MPK-500"
    assert "--driver kind" in refused.value.remedy


@pytest.mark.parametrize("machine", ["x86_64", "amd64"])
def test_root_on_linux_on_amd64_can_hold_the_lab(machine: str) -> None:
    check_machine("linux", machine, 0)


def test_a_running_lab_says_how_it_is_reached(place: Home) -> None:
    with held(place.supervisor):
        lab = Native(place, never).lab()
    assert lab is not None
    assert (lab.kubeconfig, lab.context, lab.settings) == (place.kubeconfig, "lab", place.settings)
    assert lab.artifacts == Path("/cache/artifacts")
    assert lab.audit_log == place.node_root("lab-1") / AUDIT_LOG.lstrip("/")


def test_a_stopped_lab_is_none(place: Home) -> None:
    assert Native(place, never).lab() is None


@pytest.mark.parametrize(("node", "pid"), [(None, "11"), ("lab-1", "11"), ("lab-2", "12")])
def test_a_command_enters_the_node_that_was_named_or_the_first(place: Home, node: str | None, pid: str) -> None:
    with held(place.supervisor):
        argv = Native(place, never).exec_argv(("kubectl", "get", "nodes"), node)
    assert argv[:3] == ("nsenter", "--target", pid)
    assert argv[-3:] == ("kubectl", "get", "nodes")


@pytest.mark.parametrize("node", ["lab-3", "elsewhere"])
def test_an_unknown_node_is_refused_with_the_known_ones(place: Home, node: str) -> None:
    with held(place.supervisor), pytest.raises(UsageError) as refused:
        Native(place, never).exec_argv(("ls",), node)
    assert (refused.value.code, refused.value.remedy) == ("MPK-506", "nodes: lab-1, lab-2")


DEMANDS: tuple[Callable[[Native], object], ...] = (
    lambda native: native.exec_argv(("ls",), None),
    lambda native: native.exec_argv(("ls",), "lab-1"),
    lambda native: native.load_image(Path(os.devnull)),
)


@pytest.mark.parametrize("demand", DEMANDS)
def test_a_dead_labs_process_ids_are_not_entered(place: Home, demand: Callable[[Native], object]) -> None:
    with pytest.raises(PreconditionError) as refused:
        demand(Native(place, never))
    assert refused.value.code == "MPK-504"
