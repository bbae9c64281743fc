"""Runs that are killed: the first tests on a fresh lab, since they are what installs the mesh."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshpki.install import OUTLINE
from meshpki.lab.lab import Lab
from tests.conftest import Command
from tests.e2e.conftest import Bare, Mesh, fresh
from tests.e2e.roles import Accounts

pytestmark = pytest.mark.lab


def kill_in(meshpki: Command, step: str, after: float, number: signal.Signals) -> subprocess.Popen[str]:
    """Start `up` and send a signal some time after a step began; the process is left to end."""
    child = meshpki.start("up", "--lab")
    assert child.stderr is not None
    for line in child.stderr:
        if f"step={step} state=start" in line:
            time.sleep(after)
            child.send_signal(number)
            break
    else:
        pytest.fail(f"up ended before step {step} began")
    return child


def names(mesh: Mesh) -> set[tuple[str, str, str]]:
    """Every object that carries our label, by kind, namespace and name."""
    kinds = "all,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,certificates,issuers"
    kinds += ",clusterissuers,clusterspiffeids,gateways.networking.istio.io,virtualservices,peerauthentications"
    found = mesh.json("get", kinds, "-A", "-l", "app.kubernetes.io/managed-by=meshpki")["items"]
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in found}


def test_up_killed_in_each_step_goes_on_and_converges(
    bare: Bare, meshpki: Command, sample: random.Random, accounts: Accounts, request: pytest.FixtureRequest
) -> None:
    rounds = 3 if request.config.getoption("--full") else 1
    for _ in range(rounds):
        fresh(meshpki)
        bare.note()
        for step in (row.name for row in OUTLINE):
            child = kill_in(meshpki, step, sample.uniform(0, 1.5), signal.SIGKILL)
            child.communicate(timeout=60)
            assert child.returncode == -signal.SIGKILL
        done = meshpki("up", "--lab", "-o", "json")
        assert done.returncode == 0, done.stderr
        mesh = Mesh(bare.lab, json.loads(done.stdout), accounts)
        assert mesh.report["verify"]["summary"]["broken"] == 0
        once = names(mesh)
        again = meshpki("up", "--lab", "-o", "json")
        assert again.returncode == 0, again.stderr
        assert names(mesh) == once
        roots = [name for kind, _, name in once if kind == "Certificate" and name.startswith("meshpki-root")]
        assert roots == ["meshpki-root-g1"]


def applies(child: subprocess.Popen[str], lines: Iterator[str]) -> None:
    await_line(lines, "step=cert-manager state=start")


def waits_at_a_gate(child: subprocess.Popen[str], lines: Iterator[str]) -> None:
    await_line(lines, "state=waiting gate=")


def runs_istioctl(child: subprocess.Popen[str], lines: Iterator[str]) -> None:
    await_line(lines, "step=istio state=start")
    until = time.monotonic() + 60
    while not any("istioctl\0install" in program for program in children(child.pid)):
        assert time.monotonic() < until, "istioctl was never run"
        time.sleep(0.05)


def verifies(child: subprocess.Popen[str], lines: Iterator[str]) -> None:
    await_line(lines, "seconds: ")


# in this order, since each run goes on from where the one before was stopped; up to how long each moment lasts
MOMENTS = ((applies, 0.3), (waits_at_a_gate, 1.0), (runs_istioctl, 2.0), (verifies, 0.1))


def await_line(lines: Iterator[str], part: str) -> None:
    seen = []
    for line in lines:
        seen.append(line)
        if part in line:
            return
    pytest.fail(f"up ended before {part!r}: {''.join(seen)}")


def children(process: int) -> list[str]:
    """The command lines of a process's children and of theirs."""
    found = []
    for child in Path(f"/proc/{process}").glob("task/*/children"):
        for pid in child.read_text().split():
            try:
                found += [Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"), *children(int(pid))]
            except OSError:
                continue  # it ended while we looked
    return found


def test_ctrl_c_at_any_moment_stops_within_two_seconds_and_the_same_command_goes_on(
    lab: Lab, meshpki: Command, sample: random.Random
) -> None:
    fresh(meshpki)
    for reached, lasts in MOMENTS:
        child = meshpki.start("up", "--lab")
        assert child.stderr is not None
        reached(child, iter(child.stderr.readline, ""))
        after = sample.uniform(0, lasts)
        time.sleep(after)
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
        moment = f"{reached.__name__}, {after:.2f} s in: {err}"
        assert time.monotonic() - began < 2, moment
        assert (child.returncode, out) == (130, ""), moment
        assert "goes on from here" in err, moment
        assert "Traceback" not in err, moment
    done = meshpki("up", "--lab", "-o", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {step["state"] for step in report["steps"]} == {"done"}
    assert report["verify"]["summary"]["broken"] == 0
