"""`up` of some of the steps on a mesh that stands, and what it refuses of them before it writes."""

import json
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh

pytestmark = pytest.mark.lab

OURS = ("meshpki/", "istioctl/")
ENFORCE = "pod-security.kubernetes.io/enforce"


@pytest.mark.parametrize(
    ("selection", "steps"),
    [
        (["--from", "istiod-ca", "--to", "spire"], ["istiod-ca", "spire"]),
        (["--to", "istiod-ca", "--skip", "root-ca"], ["cert-manager", "istiod-ca"]),
        (["--from", "root-ca", "--skip", "istio", "--skip", "workloads"], ["root-ca", "istiod-ca", "spire"]),
    ],
    ids=" ".join,
)
def test_only_the_steps_that_were_asked_for_are_taken(
    selection: list[str], steps: list[str], mesh: Mesh, meshpki: Command, audit: Audit
) -> None:
    done = meshpki("up", *mesh.where(), *selection, "--yes", "-o", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [(step["name"], step["state"]) for step in report["steps"]] == [(name, "done") for name in steps]
    assert {outcome for step in report["steps"] for outcome in step["objects"]} == {"unchanged"}
    assert audit.persisted(*OURS) == []


def test_a_step_is_refused_while_one_that_it_needs_was_left_out_and_is_not_in_place(
    mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    settings = tmp_path / "policy.yaml"
    settings.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\napproval: {policy: true}\n")
    refused = meshpki("up", *mesh.where(), "-f", str(settings), "--only", "root-ca", "--yes")
    assert refused.returncode == 4, refused.stderr
    assert "MPK-205: step approval is left out, but is not in place" in refused.stderr
    assert "meshpki up --only approval" in refused.stderr
    # the kept settings would change, and whoever may come to write has the Lease
    assert {one for one in audit.persisted(*OURS) if "/leases" not in one} == set()


def test_pod_security_that_forbids_the_meshs_pods_is_refused_and_can_be_ignored_by_name(
    mesh: Mesh, meshpki: Command, audit: Audit
) -> None:
    where = [*mesh.where(), "--only", "istiod-ca", "--yes"]
    mesh.kubectl("label", "namespace", "istio-system", f"{ENFORCE}=restricted")
    try:
        refused = meshpki("up", *where)
        assert refused.returncode == 4, refused.stderr
        assert "MPK-121: it enforces `restricted`, its pods need `baseline`" in refused.stderr
        passed = meshpki("up", *where, "--ignore", "pod-security")
        assert passed.returncode == 0, passed.stderr
        assert "warning MPK-121 pod-security: it enforces `restricted`" in passed.stderr
        assert audit.persisted(*OURS) == []
    finally:
        mesh.kubectl("label", "namespace", "istio-system", f"{ENFORCE}-")
