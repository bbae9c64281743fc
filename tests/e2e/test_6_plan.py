"""`plan` on the lab: nothing pending on a mesh as it should be, each field of a change, no write and no Secret read."""

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh

pytestmark = pytest.mark.lab

OURS = ("meshpki/", "istioctl/")
SCHEMA = json.loads(files("meshpki").joinpath("schemas/plan-report.json").read_text(encoding="utf-8"))
WISH = """apiVersion: meshpki.dev/v1alpha1
kind: Mesh
spire: {logLevel: DEBUG}
istio: {operator: {values: {pilot: {traceSampling: 10}}}}
"""


def changed(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The objects that are not as they should be, by kind and name."""
    return {f"{one['object']['kind']} {one['object']['name']}": one for one in objects if one["action"] != "same"}


def as_an_installer(mesh: Mesh) -> list[str]:
    """The options of somebody who has the printed role of `install`, and no right besides."""
    return [*mesh.as_a("install"), *mesh.where()[4:]]


def test_a_mesh_as_it_should_be_has_nothing_pending_and_nothing_is_written(
    mesh: Mesh, meshpki: Command, audit: Audit
) -> None:
    planned = meshpki("plan", *as_an_installer(mesh), "--detailed-exitcode")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert ": 0 to create, 0 to change, " in f": {planned.stdout.splitlines()[-1]}"
    assert audit.persisted(*OURS) == []
    assert set(audit.secrets_read(*OURS)) <= {"/api/v1/namespaces/istio-system/secrets/cacerts"}
    requests = audit.requests("meshpki/")
    assert requests["patch certificates"] == 2


def test_a_change_is_foreseen_field_by_field_with_what_istioctl_would_do(
    mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text(WISH)
    planned = meshpki("plan", *as_an_installer(mesh), "-f", str(settings), "--detailed-exitcode", "-o", "json")
    assert planned.returncode == 3, planned.stderr
    report = json.loads(planned.stdout)
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(report)] == []
    steps = {step["name"]: step for step in report["steps"]}
    spire = changed(steps["spire"]["objects"])
    assert set(spire) == {
        "ConfigMap spire-server",
        "ConfigMap spire-agent",
        "StatefulSet spire-server",
        "DaemonSet spire-agent",
    }
    assert [field["path"] for field in spire["ConfigMap spire-agent"]["fields"]] == ["data.agent.conf"]
    (program,) = steps["istio"]["programs"]
    assert program["pending"]
    istio = changed(program["objects"])
    assert (
        {"Deployment istiod"}
        <= set(istio)
        <= {"Deployment istiod", "ConfigMap values", "ConfigMap istio-sidecar-injector"}
    )
    (field,) = istio["Deployment istiod"]["fields"]
    assert field == {
        "path": "spec.template.spec.containers[discovery].env[PILOT_TRACE_SAMPLING].value",
        "kind": "change",
        "before": "1",
        "after": "10",
    }
    assert {name for name, step in steps.items() if changed(step["objects"])} == {"settings", "spire"}
    assert audit.persisted(*OURS) == []


def test_what_the_api_server_would_refuse_istioctl_is_told_before_it_runs(
    mesh: Mesh, meshpki: Command, tmp_path: Path
) -> None:
    settings = tmp_path / "mesh.yaml"
    # the chart sets this variable itself, and a list may name it once
    twice = 'istio: {operator: {values: {pilot: {env: {PILOT_TRACE_SAMPLING: "1"}}}}}'
    settings.write_text(f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n{twice}\n")
    refused = meshpki("plan", *mesh.where(), "-f", str(settings), "--only", "istio")
    assert refused.returncode == 1
    assert "duplicate entries" in refused.stderr
    assert "istio-system/istiod" in refused.stderr


def test_the_diff_of_a_change_shows_the_line_that_changes(mesh: Mesh, meshpki: Command, tmp_path: Path) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text(WISH)
    shown = meshpki("plan", *mesh.where(), "-f", str(settings), "--only", "spire", "-o", "diff")
    assert shown.returncode == 0, shown.stderr
    added = [line[1:].strip() for line in shown.stdout.splitlines() if line.startswith("+")]
    assert 'log_level = "DEBUG"' in added


def test_with_nothing_to_change_up_asks_nobody(mesh: Mesh, meshpki: Command, audit: Audit) -> None:
    again = meshpki("up", *mesh.where())
    assert again.returncode == 0, again.stderr
    assert "plan: 0 to create, 0 to change, " in again.stderr
    assert "Go on" not in again.stderr
    assert audit.persisted(*OURS) == []
    requests = audit.requests("istioctl/")
    assert requests == {}


def test_on_a_terminal_up_shows_the_plan_and_a_no_changes_nothing(mesh: Mesh, audit: Audit, tmp_path: Path) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text(WISH)
    person, terminal = os.openpty()
    argv = [sys.executable, "-m", "meshpki", "up", *mesh.where(), "-f", str(settings)]
    with subprocess.Popen(argv, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        os.write(person, b"n\n")
        _, story = child.communicate(timeout=60)
    os.close(person)
    os.close(terminal)
    assert child.returncode == 2
    assert "to change" in story
    assert "to run: istioctl install" in story
    assert f"Go on, on {mesh.lab.context}? [y/N]" in story
    assert "MPK-112" in story
    assert audit.persisted(*OURS) == []
