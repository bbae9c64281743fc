import stat
from pathlib import Path

import pytest

from meshpki.lab import containerd
from meshpki.lab.rootfs import KERNEL_WISHES, PROGRAMS, files, mounts, populate
from meshpki.lab.topology import plan

TOPOLOGY = plan("lab", 2)
PROGRAM_PATHS = {"kubelet": "/cache/kubelet", "kubectl": "/cache/kubectl"}
CONTENTS = {**files(TOPOLOGY, TOPOLOGY.first), **containerd.files(TOPOLOGY.first)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    populate(tmp_path, CONTENTS, PROGRAM_PATHS)
    return tmp_path


def test_a_root_filesystem_has_a_place_for_every_mount(root: Path) -> None:
    targets = [root / mount.target.lstrip("/") for mount in mounts(root, PROGRAM_PATHS)]
    own = [target for target in targets if not {root / "proc", root / "sys"} & set(target.parents)]
    assert [target for target in own if not target.exists()] == []


def test_making_a_root_filesystem_again_changes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))
    populate(root, CONTENTS, PROGRAM_PATHS)
    assert sorted(root.rglob("*")) == before


def test_everybody_may_write_into_tmp_and_var_run_is_run(root: Path) -> None:
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert str((root / "var/run").readlink()) == "/run"


def test_the_hosts_own_files_are_mounted_read_only(tmp_path: Path) -> None:
    bound = [mount for mount in mounts(tmp_path, PROGRAM_PATHS) if mount.source.startswith(("/etc", "/cache"))]
    assert {mount.source for mount in bound} == {"/etc/ssl", "/etc/alternatives", *PROGRAM_PATHS.values()}
    assert all("ro" in mount.options for mount in bound)


def test_a_mount_is_below_the_nodes_root(tmp_path: Path) -> None:
    for mount in mounts(tmp_path, PROGRAM_PATHS):
        argv = mount.argv(tmp_path)
        assert (argv[0], argv[-2]) == ("mount", mount.source)
        assert Path(argv[-1]).is_relative_to(tmp_path)


def test_the_kubelet_sees_the_kernel_settings_it_wants_and_the_machine_keeps_its_own(root: Path) -> None:
    shown = {mount.target: mount.source for mount in mounts(root, {}) if mount.target.startswith("proc/sys/")}
    assert {target.removeprefix("proc/sys/") for target in shown} == set(KERNEL_WISHES)
    for target, source in shown.items():
        assert Path(source).read_text() == f"{KERNEL_WISHES[target.removeprefix('proc/sys/')]}\n"


def test_a_node_knows_every_node_by_name_and_asks_only_itself_for_others() -> None:
    hosts = CONTENTS["etc/hosts"]
    assert all(f"{node.address} {node.name}\n" in hosts for node in TOPOLOGY.nodes)
    assert f"nameserver {TOPOLOGY.first.address}\n" in CONTENTS["etc/resolv.conf"]


def test_programs_are_on_the_path_of_the_node(root: Path) -> None:
    assert {path.name for path in (root / PROGRAMS.lstrip("/")).iterdir()} == set(PROGRAM_PATHS)
