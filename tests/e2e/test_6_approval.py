"""Policies in the place of cert-manager's own approver: what the mesh asks for is issued, and no rogue's CA ever is."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.e2e import staging
from tests.e2e.conftest import Audit, Mesh, Verify, fresh, listing, warnings
from tests.e2e.staging import NAMESPACE, Object

# approver-policy is built for no other test, which the first run on a machine would wait for
pytestmark = [pytest.mark.lab, pytest.mark.acceptance]

CRD = "CustomResourceDefinition /certificaterequestpolicies.policy.cert-manager.io"
APPROVER = "cert-manager-approver-policy"
ID = "spiffe://example.org"
EVE = f"system:serviceaccount:{NAMESPACE}:eve"


def wish(folder: Path, *, policy: bool) -> Path:
    """A settings file as any user could write it."""
    file = folder / f"policy-{policy}.yaml"
    lines = ("apiVersion: meshpki.dev/v1alpha1", "kind: Mesh", f"approval: {{policy: {str(policy).lower()}}}", "")
    file.write_text("\n".join(lines))
    return file


def kept(mesh: Mesh) -> list[str]:
    """How to reach the cluster with the settings that are kept in it."""
    return mesh.where()[:4]


def brought_up(meshpki: Command, file: Path) -> dict[str, Any]:
    done = meshpki("up", "--lab", "-f", str(file), "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def policed(
    mesh: Mesh, meshpki: Command, tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> Iterator[Mesh]:
    """The mesh with policies, and after it as it was before."""
    folder, began = tmp_path_factory.mktemp("approval"), time.monotonic()
    report = brought_up(meshpki, wish(folder, policy=True))
    say(f"approval: policies on over a running mesh in {time.monotonic() - began:.0f} s")
    assert [step["name"] for step in report["steps"]][:3] == ["cert-manager", "approval", "root-ca"]
    mesh.kubectl("create", "namespace", NAMESPACE)
    mesh.kubectl("-n", NAMESPACE, "create", "serviceaccount", "eve")
    asks = ("--verb=create", "--resource=certificaterequests.cert-manager.io")
    mesh.kubectl("-n", NAMESPACE, "create", "role", "asks", *asks)
    mesh.kubectl("-n", NAMESPACE, "create", "rolebinding", "eve", "--role=asks", f"--serviceaccount={NAMESPACE}:eve")
    yield mesh
    mesh.kubectl("delete", "namespace", NAMESPACE)
    brought_up(meshpki, wish(folder, policy=False))


def conditions(mesh: Mesh, request: Object) -> Iterator[tuple[dict[str, Object], Object]]:
    """A request's conditions by type, and the whole of it, as they come to be within a quarter of a minute."""
    space, name = request["metadata"]["namespace"], request["metadata"]["name"]
    for _ in range(60):
        live = mesh.json("-n", space, "get", "certificaterequest", name)
        yield {one["type"]: one for one in live.get("status", {}).get("conditions", [])}, live
        time.sleep(0.25)


def decided(mesh: Mesh, request: Object) -> tuple[str, Object]:
    """How a request was decided on, and the whole of it."""
    for said, live in conditions(mesh, request):
        for kind in ("Denied", "Approved"):
            if kind in said and said[kind]["status"] == "True":
                return kind, live
    return "nothing", live


def settled(mesh: Mesh, request: Object) -> Object:
    """A request that was denied, once cert-manager itself is done with it: it would have issued by then."""
    for said, live in conditions(mesh, request):
        ready = said.get("Ready", {})
        if (ready.get("status"), ready.get("reason")) == ("False", "Denied"):
            return live
    pytest.fail(f"cert-manager has not answered: {live}")


def leaf(name: str) -> Object:
    """A certificate with the identity of a workload, straight from the root."""
    request, _ = staging.asked_for_ca(name, f"{ID}/ns/bookinfo/sa/bookinfo-details")
    return {**request, "spec": {**request["spec"], "isCA": False, "usages": ["digital signature", "server auth"]}}


ROGUES = {
    "spire-like": staging.asked_for_ca("spire-like", ID)[0],
    "in-spires-own-namespace": staging.asked_for_ca("rogue", ID, "spire-server")[0],
    "in-istiods-own-namespace": staging.asked_for_ca("cacerts-99", ID, "istio-system")[0],
    "a-workloads-identity": leaf("leaf"),
}


def test_a_mesh_is_born_under_policies_moves_to_another_root_and_leaves_nothing(
    mesh: Mesh, meshpki: Command, tmp_path: Path, say: Callable[[str], None]
) -> None:
    fresh(meshpki)
    bare, began = listing(mesh.lab), time.monotonic()
    brought_up(meshpki, wish(tmp_path, policy=True))
    say(f"approval: a mesh from nothing under policies in {time.monotonic() - began:.0f} s")
    where = kept(mesh)
    done = meshpki("rotate", "root", *where, "--yes", "--soak", "12s", seconds=900)
    assert done.returncode == 0, done.stderr
    assert meshpki("verify", *where).returncode == 0
    done = meshpki("down", *where, "--yes", "--purge-ca", "meshpki-root-g2", seconds=300)
    assert done.returncode == 0, done.stderr
    assert listing(mesh.lab) - bare == set()
    assert meshpki("up", "--lab").returncode == 0


@pytest.mark.parametrize("name", ROGUES)
def test_what_an_administrator_asks_for_past_the_mesh_is_denied_and_never_issued(policed: Mesh, name: str) -> None:
    request = ROGUES[name]
    staging.apply(policed, request)
    try:
        kind, live = decided(policed, request)
        assert kind == "Denied", live
        assert "meshpki-nothing-else" in str(live["status"]["conditions"])
        assert "certificate" not in settled(policed, request)["status"]
    finally:
        policed.kubectl(
            "-n", request["metadata"]["namespace"], "delete", "certificaterequest", request["metadata"]["name"]
        )


def test_the_rogue_of_the_verify_suite_is_denied_to_whoever_has_only_the_right_to_ask(policed: Mesh) -> None:
    request, _ = staging.asked_for_ca("eves", ID)
    policed.kubectl("--as", EVE, "create", "-f", "-", given=json.dumps(request))
    kind, live = decided(policed, request)
    assert (kind, live["spec"]["username"]) == ("Denied", EVE)
    assert "certificate" not in settled(policed, request)["status"]


def test_a_certificate_beside_cacerts_with_the_same_names_is_denied(policed: Mesh) -> None:
    cacerts = policed.json("-n", "istio-system", "get", "certificate", "cacerts")
    spec = {**cacerts["spec"], "secretName": "cacerts-mine"}
    metadata = {"name": "cacerts-mine", "namespace": "istio-system"}
    staging.apply(
        policed, {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "spec": spec}
    )
    try:
        request = {"metadata": {"name": "cacerts-mine-1", "namespace": "istio-system"}}
        policed.kubectl(
            "-n", "istio-system", "wait", "certificaterequest/cacerts-mine-1", "--for=create", "--timeout=20s"
        )
        kind, live = decided(policed, request)
        assert kind == "Denied"
        assert "is not asked for by Certificate cacerts" in str(live["status"]["conditions"])
    finally:
        policed.kubectl("-n", "istio-system", "delete", "certificate", "cacerts-mine")
        policed.kubectl("-n", "istio-system", "delete", "secret", "cacerts-mine", "--ignore-not-found")


def test_every_identity_is_proven_and_who_may_ask_is_no_warning_any_more(policed: Mesh, verify: Verify) -> None:
    said = verify(where=kept(policed))
    assert (said.code, said.broken(), said.unknown(), said.broken_places()) == (0, {}, {}, {})
    (asked,) = said.places("requesters").values()
    assert warnings(asked) == set()


def test_the_cas_are_renewed_under_the_policies_also_for_another_duration(
    policed: Mesh, meshpki: Command, verify: Verify, say: Callable[[str], None]
) -> None:
    where, began = kept(policed), time.monotonic()
    for words in (("istiod-ca", "--duration", "2000h"), ("spire-ca", "--restart-agents")):
        done = meshpki("rotate", *words, *where, "--yes", seconds=300)
        assert done.returncode == 0, done.stderr
    say(f"approval: both CAs rotated under policies in {time.monotonic() - began:.0f} s")
    allowed = policed.json("get", "certificaterequestpolicy", "meshpki-istiod-ca")["spec"]["constraints"]
    assert allowed["maxDuration"] == "2000h"
    assert verify(where=where).code == 0


def test_up_again_changes_nothing_and_every_step_is_ready(policed: Mesh, meshpki: Command, audit: Audit) -> None:
    done = meshpki("up", "--lab")
    assert done.returncode == 0, done.stderr
    assert audit.persisted("meshpki/", "istioctl/") == []
    steps = meshpki("step", "status", *kept(policed), "-o", "json")
    assert {one["name"]: one["state"] for one in json.loads(steps.stdout)}["approval"] == "ready"


def test_without_policies_cert_manager_approves_again_and_nothing_of_them_is_left(
    policed: Mesh, meshpki: Command, tmp_path: Path, say: Callable[[str], None]
) -> None:
    began = time.monotonic()
    # back to the default duration, so that cacerts is issued anew: by cert-manager's own approval
    brought_up(meshpki, wish(tmp_path, policy=False))
    say(f"approval: policies off, cacerts issued by cert-manager's own approval, in {time.monotonic() - began:.0f} s")
    newest = policed.json("-n", "istio-system", "get", "certificate", "cacerts")["status"]["revision"]
    request = {"metadata": {"name": f"cacerts-{newest}", "namespace": "istio-system"}}
    _, live = decided(policed, request)
    approved = next(one for one in live["status"]["conditions"] if one["type"] == "Approved")
    assert approved["reason"] == "cert-manager.io"
    theirs = ("approver-policy", "meshpki-approval", "meshpki-rogue", "policy.cert-manager.io", "CertificateRequestPol")
    assert {one for one in listing(policed.lab) if any(part in one for part in theirs)} == {CRD}
