"""The control plane put out of order: found by `meshpki verify` at the place where it is, and healed."""

import base64
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e import staging
from tests.e2e.conftest import Mesh, Said, Verify, refusals, warnings
from tests.support.certificates import ROOT, root

pytestmark = pytest.mark.lab

ISTIO = "istio-system"
CERTIFICATE = ("-n", ISTIO, "certificate", "cacerts")
HOOKS = "mutatingwebhookconfiguration/istio-sidecar-injector"
PIN = ("-n", "kube-system", "configmap", "meshpki-trust")


@dataclass(frozen=True)
class Story:
    """What verify said: right after cacerts was issued anew; without istiod, its bundles changed; in the end."""

    reissued: Said
    tampered: Said
    healed: Said


@pytest.fixture(scope="module")
def story(mesh: Mesh, verify: Verify) -> Story:
    """istiod is held still while its bundles are changed, as it writes them back at once."""
    reissued = overtaken(mesh, verify)
    try:
        scale(mesh, 0)
        mesh.kubectl("-n", ISTIO, "wait", "pod", "-l", "app=istiod", "--for=delete", "--timeout=60s")
        tamper(mesh)
        tampered = verify()
    finally:
        scale(mesh, 1)
        mesh.kubectl("-n", ISTIO, "rollout", "status", "deployment/istiod", "--timeout=90s")
    return Story(reissued, tampered, settled(verify))


def overtaken(mesh: Mesh, verify: Verify) -> Said:
    """What verify says between a new cacerts and istiod, who may have it at once: the kubelet looks in its own time."""
    said = verify()  # who asks for the first time is granted the rights then, which takes seconds
    for _ in range(3):
        reissue(mesh)
        said = verify()
        if behind(said):
            break
    return said


def behind(said: Said) -> list[dict[str, Any]]:
    """The listeners of istiod whose certificate is by another CA than the newest cacerts."""
    (cacerts,) = said.places("istiod-ca").values()
    newest = cacerts["path"][0]["sha256"]
    return [one for one in said.places("istiod").values() if newest not in {ca["sha256"] for ca in one["path"][1:]}]


def reissue(mesh: Mesh) -> None:
    """Have cert-manager issue cacerts anew, as `cmctl renew` does; istiod sees the new Secret some time later."""
    before = revision(mesh)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    renew = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "lastTransitionTime": now}
    patch = json.dumps([{"op": "add", "path": "/status/conditions/-", "value": renew}])
    mesh.kubectl("patch", *CERTIFICATE, "--subresource=status", "--type=json", "-p", patch)
    until = time.monotonic() + 30
    while revision(mesh) == before:
        assert time.monotonic() < until, "cert-manager did not issue cacerts anew"
        time.sleep(0.2)


def revision(mesh: Mesh) -> int:
    return int(mesh.json("get", *CERTIFICATE)["status"]["revision"])


def scale(mesh: Mesh, replicas: int) -> None:
    mesh.kubectl("-n", ISTIO, "scale", "deployment/istiod", f"--replicas={replicas}")


def tamper(mesh: Mesh) -> None:
    stranger = foreign_root()
    bundle = base64.b64encode(stranger.encode()).decode()
    path = "/webhooks/0/clientConfig/caBundle"
    mesh.kubectl("patch", HOOKS, "--type=json", "-p", json.dumps([{"op": "replace", "path": path, "value": bundle}]))
    mesh.kubectl(
        *("-n", "bookinfo", "patch", "configmap", "istio-ca-root-cert", "--type=merge"),
        *("-p", json.dumps({"data": {"root-cert.pem": stranger}})),
    )


def foreign_root() -> str:
    now = datetime.now(UTC)
    return root(ROOT.but(not_before=now - timedelta(hours=1), not_after=now + timedelta(days=900))).pem.decode()


def settled(verify: Verify) -> Said:
    """What verify says once istiod has written its bundles; the last word after a minute."""
    until = time.monotonic() + 60
    while True:
        said = verify("--strict")
        if said.code == 0 or time.monotonic() > until:
            return said
        time.sleep(1)


def test_an_istiod_that_serves_through_the_cacerts_of_before_is_found(story: Story) -> None:
    assert {one["detail"] for one in story.reissued.places("istiod").values()} == {"port 15012", "port 15017"}
    late = behind(story.reissued)
    assert late, "istiod had the new cacerts before verify looked, three times"
    assert [refusals(one) for one in late] == [{"MPK-347"}] * len(late)


def test_a_changed_ca_bundle_is_found_by_its_webhook(story: Story) -> None:
    broken = {name for name, one in story.tampered.places("webhook").items() if refusals(one) == {"MPK-348"}}
    assert len(broken) == 1
    assert "istio-sidecar-injector" in broken.pop()


def test_a_changed_bundle_for_proxies_is_found_in_its_namespace(story: Story) -> None:
    broken = {name for name, one in story.tampered.places("istio-bundle").items() if refusals(one) == {"MPK-348"}}
    assert broken == {"bookinfo/istio-ca-root-cert"}


def test_an_istiod_that_is_not_there_is_never_counted_as_proven(story: Story) -> None:
    assert {one["result"] for one in story.tampered.places("istiod").values()} & {"proven"} == set()
    assert story.tampered.code == 5


def test_a_control_plane_out_of_order_breaks_no_pod(story: Story) -> None:
    assert (story.reissued.broken(), story.tampered.broken()) == ({}, {})


def test_the_control_plane_is_proven_again_once_istiod_is_back(story: Story) -> None:
    assert story.healed.code == 0, story.healed.broken_places()


def test_a_second_root_in_the_pin_is_warned_of_in_every_envoy_and_bundle(mesh: Mesh, verify: Verify) -> None:
    pin = mesh.json("get", *PIN)
    kept = {name: pin["metadata"][name] for name in ("name", "namespace", "labels", "annotations")}
    both = staging.pinned_root(mesh) + foreign_root()
    try:
        mesh.kubectl("patch", *PIN, "--type=merge", "-p", json.dumps({"data": {"root.pem": both}}))
        said = verify()
    finally:
        # as meshpki itself, or the field would stay kubectl's, and a rotation would not touch it
        ours = ("--server-side", "--force-conflicts", "--field-manager=meshpki")
        mesh.kubectl("apply", *ours, "-f", "-", given=json.dumps({**pin, "metadata": kept}))
    assert (said.code, said.broken(), said.broken_places()) == (0, {}, {})
    assert all("MPK-341" in warnings(pod) for pod in said.pods.values())
    bundles = [one for kind in ("spire-bundle", "istio-bundle", "webhook") for one in said.places(kind).values()]
    assert {frozenset(warnings(one)) for one in bundles} == {frozenset({"MPK-348"})}
    assert verify("--strict").code == 0
