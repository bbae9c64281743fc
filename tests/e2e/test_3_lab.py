"""The lab itself: two nodes, repaired after a kill, and gone without a trace."""

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshpki.lab import topology
from tests.conftest import Command
from tests.support import driver
from tests.support.processes import wait_until

pytestmark = pytest.mark.lab

NAME = driver.own_name("two", os.getpid())
OTHER = os.environ.get("MESHPKI_LAB_NAME", "meshpki-lab")
COUNTERS = re.compile(r"\[\d+:\d+\]")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a second lab, apart from the one that the other tests use."""
    with driver.own_lab("two", tmp_path / "lab") as environment:
        yield environment


def traces(home: str) -> dict[str, set[str]]:
    """What the lab has on the machine beside its namespaces: processes, mounts, links, cgroups and rules."""
    links = said("ip", "-brief", "link")
    return {
        "links": {name for line in links if (name := line.split()[0].partition("@")[0]) == topology.link(NAME)},
        "rules": rules("iptables-save"),
        "old rules": rules("iptables-legacy-save"),
        "mounts": {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if home in line},
        "cgroups": cgroups(),
        "processes": {str(pid) for pid in processes(home)},
    }


def cgroups() -> set[str]:
    """The lab's own, and those above it where they hold no other lab."""
    own = topology.cgroup(NAME)
    above = own.rpartition("/")[0]
    groups = os.walk("/sys/fs/cgroup")
    return {path for path, inside, _ in groups if path.endswith(own) or (path.endswith(above) and not inside)}


def said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def rules(save: str) -> set[str]:
    """Those that name the lab, its link or an address of it, without the counts that change by themselves."""
    subnet = topology.plan(NAME, 2).host.rpartition(".")[0]
    ours = re.compile(rf"\b({re.escape(topology.link(NAME))}|{NAME}|{re.escape(subnet)}\.\d+)\b")
    return {COUNTERS.sub("", line) for line in said(save) if ours.search(line) and not line.startswith("#")}


def left_behind(home: str, before: dict[str, set[str]], held: set[str]) -> dict[str, set[str]]:
    """What is there and was not before, and which namespaces of the lab; some of it ends a moment after the lab."""
    for _ in range(10):
        now = traces(home)
        found = {kind: now[kind] - before[kind] for kind in now if now[kind] - before[kind]}
        # a number is given again: to a pod of the other tests' lab, say
        if still := held & namespaces(lambda group: f"/{OTHER}/" not in group):
            found["namespaces"] = still
        if not found:
            break
        time.sleep(1)
    return found


def namespaces(wanted: Callable[[str], bool]) -> set[str]:
    """Those of the processes in a cgroup like that, as the kernel numbers them, without the test's own."""
    pids = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    found = {name for pid in pids if wanted(cgroup(pid)) for name in namespaces_of(pid)}
    return found - namespaces_of(Path("/proc/self"))


def namespaces_of(process: Path) -> set[str]:
    try:
        return {str(link.readlink()) for link in (process / "ns").iterdir()}
    except OSError:
        return set()  # it ended while we looked


def cgroup(process: Path) -> str:
    try:
        return (process / "cgroup").read_text()
    except OSError:
        return ""  # likewise


def processes(home: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and home in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
        except OSError:
            continue  # likewise
    return [pid for pid in found if pid != os.getpid()]


def test_two_nodes_are_attested_and_everything_is_gone_afterwards(meshpki: Command, elsewhere: dict[str, str]) -> None:
    home = elsewhere["MESHPKI_LAB_HOME"]
    before = traces(home)
    done = meshpki("up", "--lab", *driver.UP[2:], "--nodes", "2", "-o", "json", env=elsewhere)
    try:
        assert done.returncode == 0, done.stderr
        held = namespaces(lambda group: topology.cgroup(NAME) in group)
        assert {name.partition(":")[0] for name in held} >= {"net", "mnt", "pid"}
        report = json.loads(done.stdout)
        spire = next(step for step in report["steps"] if step["name"] == "spire")
        assert spire["gates"]["agents"] == f"attested on {NAME}-1, {NAME}-2"
        assert spire["gates"]["csi"] == "csi.spiffe.io on 2 nodes"
        assert report["verify"]["summary"]["broken"] == 0
        again = meshpki(*driver.UP, env=elsewhere)
        assert again.returncode == 0
        assert "..." not in again.stderr, "a second `lab up` made something"
        other = meshpki("lab", "up", "--nodes", "1", env=elsewhere)
        assert other.returncode == 4
        assert "MPK-505" in other.stderr
    finally:
        gone = meshpki("lab", "down", env=elsewhere)
    assert gone.returncode == 0, gone.stderr
    assert left_behind(home, before, held) == {}


def test_a_lab_whose_supervisor_is_killed_comes_back(meshpki: Command, elsewhere: dict[str, str]) -> None:
    try:
        assert meshpki(*driver.UP, env=elsewhere).returncode == 0
        supervisor = next(
            pid for pid in processes("meshpki.lab.supervisor") if pid in processes(elsewhere["MESHPKI_LAB_HOME"])
        )
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: meshpki("lab", "status", env=elsewhere).returncode == 4)
        back = meshpki(*driver.UP, env=elsewhere)
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
            child = meshpki.start(*driver.UP, env=elsewhere)
            time.sleep(after)
            child.kill()
            child.communicate(timeout=30)
            done = meshpki(*driver.UP, env=elsewhere)
            assert done.returncode == 0, f"killed after {after} s: {done.stderr}"
            assert meshpki("lab", "status", env=elsewhere).returncode == 0
        finally:
            meshpki("lab", "down", env=elsewhere)
