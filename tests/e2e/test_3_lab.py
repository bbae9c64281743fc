"""The lab itself: two nodes, repaired after a kill, and gone without a trace."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Command

pytestmark = [pytest.mark.lab, pytest.mark.native]

NAME = "two"
OTHER = os.environ.get("MESHPKI_LAB_NAME", "meshpki-lab")


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """The environment of a second lab, apart from the one that the other tests use."""
    return {"MESHPKI_LAB_HOME": str(tmp_path / "lab"), "MESHPKI_LAB_NAME": NAME}


def traces(home: str) -> dict[str, set[str]]:
    """What a lab makes on the machine: processes, mounts, network namespaces, links, cgroups and rules."""
    commands = {
        "links": ["ip", "-brief", "link"],
        "rules": ["iptables-save"],
        "old rules": ["iptables-legacy-save"],
    }
    said = {
        name: set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())
        for name, argv in commands.items()
    }
    said["namespaces"] = namespaces()
    said["rules"] = {line for line in said["rules"] if not line.startswith("#")}
    said["links"] = {line.split()[0].split("@")[0] for line in said["links"]}
    said["mounts"] = {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if home in line}
    said["cgroups"] = {str(path) for path in Path("/sys/fs/cgroup").glob(f"**/*{NAME}*") if path.is_dir()}
    said["processes"] = {str(pid) for pid in processes(home)}
    return said


def left_behind(home: str, before: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is there and was not before; looked for again, since the other lab's containers begin and end meanwhile."""
    for _ in range(10):
        now = traces(home)
        found = {kind: now[kind] - before[kind] for kind in now if now[kind] - before[kind]}
        if not found:
            break
        time.sleep(1)
    return found


def namespaces() -> set[str]:
    """Those of the whole machine, but for the other tests' lab, whose pods come and go meanwhile."""
    argv = ["lsns", "--noheadings", "--raw", "--output", "NS,TYPE,PID"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in said.splitlines()]
    return {f"{number} {kind}" for number, kind, pid in rows if f"/{OTHER}/" not in cgroup(pid)}


def cgroup(pid: str) -> str:
    try:
        return Path("/proc", pid, "cgroup").read_text()
    except OSError:
        return f"/{OTHER}/"  # it ended while we looked


def processes(home: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and home in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return [pid for pid in found if pid != os.getpid()]


def test_two_nodes_are_attested_and_everything_is_gone_afterwards(meshpki: Command, elsewhere: dict[str, str]) -> None:
    home = elsewhere["MESHPKI_LAB_HOME"]
    before = traces(home)
    done = meshpki("up", "--lab", "--nodes", "2", "-o", "json", env=elsewhere)
    try:
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        spire = next(step for step in report["steps"] if step["name"] == "spire")
        assert spire["gates"]["agents"] == f"attested on {NAME}-1, {NAME}-2"
        assert spire["gates"]["csi"] == "csi.spiffe.io on 2 nodes"
        assert report["verify"]["summary"]["broken"] == 0
        again = meshpki("lab", "up", env=elsewhere)
        assert again.returncode == 0
        assert "..." not in again.stderr, "a second `lab up` made something"
        other = meshpki("lab", "up", "--nodes", "1", env=elsewhere)
        assert other.returncode == 4
        assert "MPK-505" in other.stderr
    finally:
        gone = meshpki("lab", "down", env=elsewhere)
    assert gone.returncode == 0, gone.stderr
    assert left_behind(home, before) == {}


def test_a_lab_whose_supervisor_is_killed_comes_back(meshpki: Command, elsewhere: dict[str, str]) -> None:
    try:
        assert meshpki("lab", "up", env=elsewhere).returncode == 0
        supervisor = next(
            pid for pid in processes("meshpki.lab.supervisor") if pid in processes(elsewhere["MESHPKI_LAB_HOME"])
        )
        os.kill(supervisor, signal.SIGKILL)
        time.sleep(2)
        assert meshpki("lab", "status", env=elsewhere).returncode == 4
        back = meshpki("lab", "up", env=elsewhere)
        assert back.returncode == 0, back.stderr
        assert meshpki("lab", "status", env=elsewhere).returncode == 0
    finally:
        meshpki("lab", "down", env=elsewhere)


MOMENTS = (0.5, 4.0, 12.0, 25.0)


def test_a_lab_up_killed_at_any_moment_is_repaired_by_the_next(
    meshpki: Command, elsewhere: dict[str, str], request: pytest.FixtureRequest, sample: random.Random
) -> None:
    for after in MOMENTS if request.config.getoption("--full") else (sample.choice(MOMENTS),):
        try:
            child = meshpki.start("lab", "up", env=elsewhere)
            time.sleep(after)
            child.kill()
            child.communicate(timeout=30)
            done = meshpki("lab", "up", env=elsewhere)
            assert done.returncode == 0, f"killed after {after} s: {done.stderr}"
            assert meshpki("lab", "status", env=elsewhere).returncode == 0
        finally:
            meshpki("lab", "down", env=elsewhere)
