import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from meshpki.lab.cgroups import hierarchies, make, remove

CONTROLLERS = "cpuset cpu memory pids\n"


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """What /sys/fs/cgroup looks like on version 1, with a controller of two names."""
    for name in ("cpu,cpuacct", "cpuset", "memory"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "net").mkdir()
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text(CONTROLLERS)
    (tmp_path / "cgroup.procs").touch()
    return tmp_path


def test_version_1_has_a_hierarchy_for_each_controller_once(version_1: Path) -> None:
    assert [path.name for path in hierarchies(version_1)] == ["cpu,cpuacct", "cpuset", "memory"]


def test_version_2_has_one_hierarchy(version_2: Path) -> None:
    assert hierarchies(version_2) == (version_2,)


def test_a_cgroup_is_made_in_every_hierarchy_and_again_changes_nothing(version_1: Path) -> None:
    for _ in range(2):
        make("/meshpki/lab/node-1", version_1)
    assert all((each / "meshpki/lab/node-1").is_dir() for each in hierarchies(version_1))


def test_children_may_use_every_controller_of_version_2(version_2: Path) -> None:
    make("/meshpki/lab", version_2)
    assert (version_2 / "cgroup.subtree_control").read_text() == "+cpuset +cpu +memory +pids"


def test_a_cgroup_is_removed_with_all_its_children_and_nothing_beside_it(version_1: Path) -> None:
    make("/meshpki/lab/node-1", version_1)
    make("/meshpki/other", version_1)
    remove("/meshpki/lab", version_1)
    for each in hierarchies(version_1):
        assert [path.name for path in (each / "meshpki").iterdir()] == ["other"]


def test_the_parent_goes_with_the_last_of_its_children(version_1: Path) -> None:
    before = sorted(version_1.rglob("*"))
    make("/meshpki/lab/node-1", version_1)
    remove("/meshpki/lab", version_1)
    assert sorted(version_1.rglob("*")) == before


def test_a_parent_that_vanishes_while_a_child_is_made_is_made_again(version_2: Path) -> None:
    parent = version_2 / "meshpki"
    parent.mkdir()
    os.mkfifo(parent / "cgroup.controllers")

    def other_lab() -> None:
        """Removed between the step that makes the parent and the one that makes the child, for which it waits."""
        with (parent / "cgroup.controllers").open("w") as controllers:
            shutil.rmtree(parent)
            controllers.write(CONTROLLERS)

    removing = threading.Thread(target=other_lab, daemon=True)
    removing.start()
    make("/meshpki/lab/node-1", version_2)
    removing.join()
    assert (parent / "lab" / "node-1").is_dir()


def test_what_runs_in_a_cgroup_is_killed_before_it_is_removed(version_2: Path) -> None:
    group = version_2 / "meshpki" / "pod"
    group.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as child:
        (group / "cgroup.procs").write_text(f"{child.pid}\n")

        def kernel() -> None:
            """Files of a plain directory do not vanish with it, as a cgroup's do."""
            child.wait()
            (group / "cgroup.procs").unlink()

        emptying = threading.Thread(target=kernel)
        emptying.start()
        remove("/meshpki", version_2)
        emptying.join()
    assert child.returncode == -signal.SIGKILL
    assert not group.parent.exists()


def test_removing_what_is_not_there_is_no_failure(version_1: Path) -> None:
    remove("/meshpki/lab", version_1)
