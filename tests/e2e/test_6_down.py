"""`down` on the lab: who forbids it, what stays, under which root it comes back, and that --purge-ca leaves nothing.

It ends with an `up`, so that whatever runs after it finds a mesh.
"""

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meshpki.install_role import WITHDRAWAL
from tests.conftest import Command
from tests.e2e.conftest import Audit, Bare, Mesh, listing
from tests.e2e.roles import unused

pytestmark = pytest.mark.lab

OURS = ("meshpki/", "istioctl/")
REFUSED = 403
# Namespaces are printed before the roles that lie in them.
RARELY = {("create", "namespaces", "")}
SOCKET = {"csi": {"driver": "csi.spiffe.io", "readOnly": True}}
USER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "user", "namespace": "team"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "app", "image": "docker.io/curlimages/curl:none", "imagePullPolicy": "Never"}],
        "volumes": [{"name": "socket", **SOCKET}],
    },
}


@pytest.fixture(scope="module")
def bare(mesh: Mesh, bare: Bare) -> Bare:
    """The listing from before the first `up`; where there is none, the lab is made anew for one."""
    bare.required()
    mesh.accounts.forget()
    return bare


@pytest.fixture
def down(mesh: Mesh, meshpki: Command) -> Callable[..., Any]:
    return lambda *options: meshpki("down", *mesh.where(), *options, seconds=300)


@pytest.fixture
def whole_log(mesh: Mesh) -> Audit:
    """All that was asked of this lab's API server."""
    assert mesh.lab.audit_log is not None
    return Audit(mesh.lab.audit_log, since=0)


def pin(mesh: Mesh) -> tuple[str, str]:
    """Name and fingerprint of the root; rotations before this may have made it another than the first."""
    data = mesh.json("-n", "kube-system", "get", "configmap", "meshpki-trust")["data"]
    return mesh.root_name(), str(data["root.sha256"])


def lease(renewed: datetime) -> str:
    """A Lease of a run on another machine."""
    at = f"{renewed:%Y-%m-%dT%H:%M:%S.000000Z}"
    times = {"acquireTime": at, "renewTime": at, "leaseDurationSeconds": 60, "holderIdentity": "ci@runner pid 1 beef"}
    notes = {"meshpki.dev/command": "meshpki rotate root --yes", "meshpki.dev/process": ""}
    metadata = {"name": "meshpki", "namespace": "kube-system", "annotations": notes}
    return json.dumps({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": times})


def test_while_pods_of_others_use_the_mesh_nothing_is_removed_and_they_are_named(
    bare: Bare, mesh: Mesh, down: Callable[..., Any], audit: Audit
) -> None:
    mesh.kubectl("create", "namespace", "team")
    try:
        mesh.kubectl("apply", "-f", "-", given=json.dumps(USER))
        refused = down("--yes")
        assert refused.returncode == 4
        assert "MPK-233" in refused.stderr
        assert "team/user" in refused.stderr
        assert audit.persisted(*OURS) == []
        assert [path for path in audit.secrets_read("meshpki/") if path.startswith("/api/v1/secrets")] == []
    finally:
        mesh.kubectl("delete", "namespace", "team")


def test_one_run_at_a_time_and_reading_needs_no_lease(
    bare: Bare, mesh: Mesh, meshpki: Command, down: Callable[..., Any], audit: Audit
) -> None:
    mesh.kubectl("apply", "-f", "-", given=lease(datetime.now(UTC)))
    try:
        for refused in (down("--yes"), meshpki("rotate", *mesh.where()[:4], "--yes")):
            assert refused.returncode == 4
            assert "MPK-230" in refused.stderr
            assert "`meshpki rotate root --yes` of ci@runner pid 1" in refused.stderr
        assert meshpki("verify", *mesh.where()).returncode == 0
        assert meshpki("up", "--lab").returncode == 0  # which has nothing to do, and so needs none either
        assert audit.persisted(*OURS) == []
    finally:
        mesh.kubectl("apply", "-f", "-", given=lease(datetime.now(UTC) - timedelta(minutes=2)))


def test_down_under_its_printed_role_keeps_the_root_and_up_comes_back_under_it(
    bare: Bare, mesh: Mesh, meshpki: Command, down: Callable[..., Any], audit: Audit
) -> None:
    root = pin(mesh)
    would = down("--dry-run")
    assert "Deployment bookinfo/details-v1" in would.stdout
    assert audit.persisted(*OURS) == []
    printed = mesh.accounts.manifests("down")
    done = meshpki("down", *mesh.as_a("down"), "--yes", "-o", "json", seconds=300)
    assert done.returncode == 0, done.stderr
    assert "took the Lease over from ci@runner pid 1" in done.stderr
    requests = audit.asked_by("down")
    assert [one for one in requests if one.status == REFUSED] == []
    # the Lease was taken over, and pods of ours are taken out of the API only where they hang
    rarely = {("create", "leases"), ("delete", "pods")}
    assert {one for one in unused(printed, requests) if one[:2] not in rarely} == set()
    mesh.accounts.forget()
    kept = {f"{one['kind']} {one['namespace']}/{one['name']}" for one in json.loads(done.stdout)["kept"]}
    left = listing(mesh.lab) - bare.listing
    everywhere = {"ConfigMap cert-manager/kube-root-ca.crt", "ServiceAccount cert-manager/default"}
    assert {one for one in left if not one.startswith("CustomResourceDefinition")} == everywhere | {
        one for one in kept if not one.startswith("CustomResourceDefinition")
    }
    assert not any("issuer" in one.lower() and "CustomResourceDefinition" not in one for one in left)
    back = meshpki("up", "--lab", "-o", "json")
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["verify"]["summary"]["broken"] == 0
    assert pin(mesh) == root


def test_with_purge_nothing_is_left_also_when_it_was_killed_and_up_works_again(
    bare: Bare, mesh: Mesh, meshpki: Command, down: Callable[..., Any]
) -> None:
    name, root = pin(mesh)
    assert down("--yes", "--purge-ca").returncode == 2
    child = meshpki.start("down", *mesh.where(), "--yes", "--purge-ca", name)
    assert child.stderr is not None
    for line in child.stderr:
        if "step=istio state=start" in line:
            child.send_signal(signal.SIGKILL)
            break
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    done = down("--yes", "--purge-ca", name, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "its process has ended" in done.stderr
    assert json.loads(done.stdout)["kept"] == []
    assert listing(mesh.lab) - bare.listing == set()
    assert bare.listing - listing(mesh.lab) == set()
    install = [*mesh.as_a("install"), "-f", str(mesh.lab.settings)]
    foreseen = created_by_a_plan(mesh, meshpki, install)
    again = meshpki("up", *install, "--yes", "-o", "json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert report["verify"]["summary"]["broken"] == 0
    assert {step["name"]: step["objects"].get("created", 0) for step in report["steps"]} == foreseen
    assert pin(mesh)[0] == "meshpki-root-g1"
    assert pin(mesh)[1] != root


def created_by_a_plan(mesh: Mesh, meshpki: Command, where: list[str]) -> dict[str, int]:
    """How many objects each step would create on a cluster without a mesh, which is planned and not written to."""
    assert mesh.lab.audit_log is not None
    audit = Audit(mesh.lab.audit_log)
    planned = meshpki("plan", *where, "--detailed-exitcode", "-o", "json")
    assert planned.returncode == 3, planned.stderr
    assert audit.persisted(*OURS) == []
    steps = {step["name"]: step["objects"] for step in json.loads(planned.stdout)["steps"]}
    offline = {one["reason"] for objects in steps.values() for one in objects if one["validated"] == "offline"}
    assert {reason.rpartition(" is ")[2] for reason in offline} >= {"not there yet"}
    assert [one["action"] for one in steps.pop("settings")] == ["create"]
    return {name: sum(one["action"] == "create" for one in objects) for name, objects in steps.items()}


def test_the_role_of_up_was_enough_for_all_of_it_and_each_right_was_needed(
    mesh: Mesh, meshpki: Command, whole_log: Audit
) -> None:
    where = [*mesh.as_a("install"), "-f", str(mesh.lab.settings)]
    for argv in (["preflight"], ["plan", "--detailed-exitcode"], ["up"], ["verify", "--strict"]):
        done = meshpki(*argv, *where)
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
    requests = whole_log.asked_by("install")
    # cert-manager's webhook answers the Certificate that it has to refuse with the same status
    assert [one for one in requests if one.status == REFUSED and one.name != "meshpki-probe"] == []
    printed = [one for one in mesh.accounts.manifests("install") if one["metadata"]["name"] != WITHDRAWAL]
    assert unused(printed, requests) == RARELY


@pytest.mark.acceptance
def test_pods_that_hang_without_their_csi_driver_are_healed(
    mesh: Mesh, meshpki: Command, down: Callable[..., Any]
) -> None:
    mesh.kubectl("-n", "spire-system", "delete", "daemonset", "spiffe-csi-driver", "--cascade=foreground", "--wait")
    done = down("--yes", "-o", "json")
    assert done.returncode == 0, done.stderr
    forced = {one["namespace"] for one in json.loads(done.stdout)["forced"]}
    assert forced == {"bookinfo", "istio-system"}
    back = meshpki("up", "--lab", "-o", "json")
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["verify"]["summary"]["broken"] == 0


def test_status_and_step_status_say_that_all_is_well(mesh: Mesh, meshpki: Command) -> None:
    steps = meshpki("step", "status", *mesh.where(), "-o", "json")
    assert steps.returncode == 0, steps.stdout
    assert {one["state"] for one in json.loads(steps.stdout)} == {"ready"}
    watched = meshpki.start("status", *mesh.where(), "--watch", "--every", "1s")
    assert watched.stdout is not None
    assert "6 of 6 steps well" in watched.stdout.readline()
    watched.send_signal(signal.SIGINT)
    watched.communicate(timeout=30)
    assert watched.returncode == 130
