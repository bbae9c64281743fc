"""Runs that are killed: the first tests on a fresh lab, since they are what installs the mesh."""

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshpki.cluster.manifest import ours
from meshpki.install import OUTLINE
from meshpki.lab.lab import Lab
from tests.conftest import Command
from tests.e2e.conftest import Bare, Mesh, fresh
from tests.e2e.roles import Accounts

pytestmark = pytest.mark.lab


# up to how long after its beginning each step is killed; the last ones have begun beside the one before them, and what
# was applied goes on in the cluster while `up` does not run
LASTS = {"cert-manager": 4.0, "root-ca": 0.2, "istiod-ca": 0.25, "spire": 4.0, "istio": 3.0, "workloads": 0.5}
KINDS = (
    *("Deployment", "StatefulSet", "DaemonSet", "Service", "ConfigMap", "ServiceAccount"),
    *("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Certificate", "Issuer", "ClusterIssuer"),
    *("ClusterSPIFFEID", "Gateway.networking.istio.io", "VirtualService", "PeerAuthentication"),
)
OF_CERTIFICATE = "cert-manager.io/certificate-name"
# what no manifest holds: the pin, which is made of an issued root
PIN = ("ConfigMap", "kube-system", "meshpki-trust")


def kill_in(meshpki: Command, step: str, after: float) -> str:
    """Start `up` and kill it some time after a step began; what it had still said of itself then."""
    child = meshpki.start("up", "--lab")
    assert child.stderr is not None
    await_line(iter(child.stderr.readline, ""), f"step={step} state=start")
    time.sleep(after)
    child.kill()
    _, rest = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    return str(rest)


def names(mesh: Mesh) -> set[tuple[str, str, str]]:
    """Every object that carries our label and that no other object owns, by kind, namespace and name."""
    found = mesh.json("get", ",".join(KINDS), "-A", "-l", "app.kubernetes.io/managed-by=meshpki")["items"]
    return {named(one) for one in found if "ownerReferences" not in one["metadata"]}


def named(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def wanted(meshpki: Command, mesh: Mesh) -> set[tuple[str, str, str]]:
    """What bears our label in an installation that nothing disturbed."""
    rendered = meshpki("render", "-f", str(mesh.lab.settings))
    assert rendered.returncode == 0, rendered.stderr
    manifests = [one for one in yaml.safe_load_all(rendered.stdout) if one and ours(one)]
    return {named(one) for one in manifests if one["kind"] in {kind.partition(".")[0] for kind in KINDS}}


def issued(mesh: Mesh) -> Counter[str]:
    """How many certificates were issued for each Certificate: a second one is another key."""
    requests = mesh.json("get", "certificaterequests", "-A")["items"]
    made = (one["metadata"].get("annotations", {}) for one in requests if one.get("status", {}).get("certificate"))
    return Counter(notes[OF_CERTIFICATE] for notes in made if OF_CERTIFICATE in notes)


def test_up_killed_in_each_step_goes_on_and_converges(
    bare: Bare, meshpki: Command, sample: random.Random, accounts: Accounts, request: pytest.FixtureRequest
) -> None:
    rounds = 3 if request.config.getoption("--full") else 1
    for _ in range(rounds):
        fresh(meshpki)
        bare.note()
        for step in (row.name for row in OUTLINE):
            after = sample.uniform(0, LASTS[step])
            rest = kill_in(meshpki, step, after)
            assert f"step={step} state=done" not in rest, f"{after:.2f} s were too late: {rest}"
        done = meshpki("up", "--lab", "-o", "json")
        assert done.returncode == 0, done.stderr
        mesh = Mesh(bare.lab, json.loads(done.stdout), accounts)
        assert mesh.report["verify"]["summary"]["broken"] == 0
        once, undisturbed = names(mesh), wanted(meshpki, mesh)
        assert once - undisturbed == {PIN}
        assert undisturbed - once == set()
        assert issued(mesh) == {"meshpki-root-g1": 1, "cacerts": 1}
        again = meshpki("up", "--lab", "-o", "json")
        assert again.returncode == 0, again.stderr
        assert names(mesh) == once


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
