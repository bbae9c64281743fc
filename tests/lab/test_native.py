import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshpki.errors import PreconditionError, UsageError
from meshpki.lab import builds, images, packages, spec
from meshpki.lab.home import Home, held
from meshpki.lab.kubeadm import AUDIT_LOG
from meshpki.lab.lab import Wish
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


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with every package, where what is given to a command inside a node lands in this file instead."""
    given, bins = tmp_path / "given", tmp_path / "bin"
    bins.mkdir()
    there = (*packages.NODE_PACKAGES, *builds.DEBIAN_PACKAGES, *images.DEBIAN_PACKAGES)
    said = "".join(f"echo installed {name}\n" for name in there)
    for program, text in (("dpkg-query", said), ("nsenter", f"cat >> {given}")):
        (bins / program).write_text(f"#!/bin/sh\n{text}\n")
        (bins / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bins}:{os.environ['PATH']}")
    return given


@pytest.mark.skipif(os.geteuid() != 0, reason="the native lab needs root")
def test_a_whole_lab_of_another_release_gets_the_images_that_it_lacks_once(
    place: Home, machine: Path, tmp_path: Path
) -> None:
    archives = {name: tmp_path / "new" / name for name in ("pause_3.10.tar", "spire-server_1.15.tar")}
    (tmp_path / "new").mkdir()
    for name, archive in archives.items():
        archive.write_text(f"{name};")
    old = ("/old/pause_3.10.tar", "/old/spire-server_1.14.tar")
    spec.write(place.spec, replace(SPEC, images=old))
    binaries = {name: tmp_path / name for name in spec.NODE_PROGRAMS}
    made = Parts(binaries, tuple(archives.values()), tmp_path / "artifacts", {})
    with held(place.supervisor):
        for _ in range(2):
            lab = Native(place, lambda _cache, _report: made).up(Wish(), lambda _: None)
    assert machine.read_text() == "spire-server_1.15.tar;" * 2, "each of two nodes, once"
    assert lab.artifacts == made.artifacts
    kept = spec.read(place.spec)
    assert kept is not None
    assert (kept.programs, kept.images) == (SPEC.programs, (*old, str(archives["spire-server_1.15.tar"])))
    assert str(made.artifacts) in place.settings.read_text()
