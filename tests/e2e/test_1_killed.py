"""Runs that are killed: the first tests on a fresh lab, since they are what installs the mesh."""

import json
import random
import signal
import subprocess
import time

import pytest

from meshpki.install import OUTLINE
from meshpki.lab.lab import Lab
from tests.conftest import Command
from tests.e2e.conftest import Mesh

pytestmark = pytest.mark.lab


def fresh(meshpki: Command) -> None:
    for argv in (["lab", "down"], ["lab", "up"]):
        done = meshpki(*argv)
        assert done.returncode == 0, done.stderr


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
    lab: Lab, meshpki: Command, sample: random.Random, request: pytest.FixtureRequest
) -> None:
    rounds = 3 if request.config.getoption("--full") else 1
    for _ in range(rounds):
        fresh(meshpki)
        for step in (row.name for row in OUTLINE):
            child = kill_in(meshpki, step, sample.uniform(0, 1.5), signal.SIGKILL)
            child.communicate(timeout=60)
            assert child.returncode == -signal.SIGKILL
        done = meshpki("up", "--lab", "-o", "json")
        assert done.returncode == 0, done.stderr
        mesh = Mesh(lab, json.loads(done.stdout))
        assert mesh.report["verify"]["summary"]["broken"] == 0
        once = names(mesh)
        again = meshpki("up", "--lab", "-o", "json")
        assert again.returncode == 0, again.stderr
        assert names(mesh) == once
        roots = [name for kind, _, name in once if kind == "Certificate" and name.startswith("meshpki-root")]
        assert roots == ["meshpki-root-g1"]


def test_ctrl_c_stops_within_two_seconds_and_says_how_to_go_on(lab: Lab, meshpki: Command) -> None:
    fresh(meshpki)
    child = kill_in(meshpki, "cert-manager", 0.5, signal.SIGINT)
    began = time.monotonic()
    _, err = child.communicate(timeout=30)
    assert time.monotonic() - began < 2.5
    assert child.returncode == 130
    assert "goes on from here" in err
