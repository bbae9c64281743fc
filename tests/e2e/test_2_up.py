"""`up` on the lab: what it installs, that it does so once, and that independent tools see the same."""

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from meshpki.install import OUTLINE
from meshpki.lab.home import locate
from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh

pytestmark = pytest.mark.lab

OURS = ("meshpki/", "istioctl/")


def test_every_step_is_done_and_every_identity_proven(mesh: Mesh) -> None:
    assert [step["name"] for step in mesh.report["steps"]] == [row.name for row in OUTLINE]
    assert {step["state"] for step in mesh.report["steps"]} == {"done"}
    summary = mesh.report["verify"]["summary"]
    assert summary["broken"] == summary["unknown"] == 0
    assert summary["proven"] >= 8


def test_a_second_up_changes_no_object_and_runs_no_istioctl(mesh: Mesh, meshpki: Command, audit: Audit) -> None:
    again = meshpki("up", "--lab", "-o", "json")
    assert again.returncode == 0, again.stderr
    outcomes = {outcome for step in json.loads(again.stdout)["steps"] for outcome in step["objects"]}
    assert outcomes == {"unchanged"}
    assert audit.persisted(*OURS) == []


def test_neither_up_nor_verify_reads_a_secret(mesh: Mesh, meshpki: Command, audit: Audit) -> None:
    assert meshpki("verify", *mesh.where()).returncode == 0
    assert audit.secrets_read(*OURS) == []
    assert meshpki("up", "--lab").returncode == 0
    # preflight looks at the metadata of one: the API answers PartialObjectMetadata, without data
    assert set(audit.secrets_read("meshpki/")) <= {"/api/v1/namespaces/istio-system/secrets/cacerts"}


def test_openssl_istioctl_envoy_and_spire_agree_with_verify(mesh: Mesh, meshpki: Command, tmp_path: Path) -> None:
    said = json.loads(meshpki("verify", *mesh.where(), "-o", "json").stdout)
    workload = next(one for one in said["workloads"] if one["name"] == "productpage-v1")
    pod = workload["pods"][0]["name"]
    chain = chain_of(envoy_says(mesh, pod))
    shown = mesh.istioctl("proxy-config", "secret", f"{pod}.bookinfo", "-o", "json")
    root = base64.b64decode(mesh.json("-n", "cert-manager", "get", "secret", mesh.root_name())["data"]["tls.crt"])
    # each of three looks at every byte of what the sidecar sends
    sent = [fingerprint(block) for block in chain]
    assert [fingerprint(block) for block in chain_of(shown)] == sent
    assert [one["sha256"] for one in workload["pods"][0]["path"]] == [*sent, fingerprint(root.decode())]
    files = {name: tmp_path / f"{name}.pem" for name in ("leaf", "ca", "root")}
    files["leaf"].write_text(chain[0])
    files["ca"].write_text("".join(chain[1:]))
    files["root"].write_bytes(root)
    argv = ["openssl", "verify", "-x509_strict", "-CAfile", str(files["root"]), "-untrusted", str(files["ca"])]
    assert subprocess.run([*argv, str(files["leaf"])], capture_output=True, check=False).returncode == 0
    names_of = ["openssl", "x509", "-in", str(files["leaf"]), "-noout", "-ext", "subjectAltName"]
    names = subprocess.run(names_of, capture_output=True, text=True, check=True).stdout
    expected = "spiffe://example.org/ns/bookinfo/sa/bookinfo-productpage"
    assert f"URI:{expected}" in names
    assert workload["pods"][0]["spiffeID"] == expected
    entries = mesh.kubectl(
        *("-n", "spire-server", "exec", "spire-server-0", "-c", "spire-server", "--"),
        *("/opt/spire/bin/spire-server", "entry", "show", "-spiffeID", expected),
    )
    uid = mesh.json("-n", "bookinfo", "get", "pod", pod)["metadata"]["uid"]
    assert f"k8s:pod-uid:{uid}" in entries


def envoy_says(mesh: Mesh, pod: str) -> str:
    """The secrets of a pod's Envoy, asked within its sidecar, as `istioctl proxy-config secret -o json` prints them."""
    asked = ("pilot-agent", "request", "GET", "config_dump?mask=dynamic_active_secrets")
    dump = json.loads(mesh.kubectl("-n", "bookinfo", "exec", pod, "-c", "istio-proxy", "--", *asked))
    return json.dumps(next(one for one in dump["configs"] if "dynamic_active_secrets" in one))


def chain_of(dump: str) -> list[str]:
    """The PEM blocks of the chain in a dump of Envoy's secrets, with no private key among them."""
    assert "PRIVATE KEY" not in dump
    content = json.loads(dump)
    secrets = content.get("dynamicActiveSecrets") or content["dynamic_active_secrets"]
    held = {one["name"]: one["secret"] for one in secrets}["default"]
    certificate = held.get("tlsCertificate") or held["tls_certificate"]
    source = certificate.get("certificateChain") or certificate["certificate_chain"]
    pem = base64.b64decode(source.get("inlineBytes") or source["inline_bytes"]).decode()
    end = "-----END CERTIFICATE-----\n"
    return [block + end for block in pem.split(end) if block.strip()]


def fingerprint(pem: str) -> str:
    """SHA-256 as openssl tells it, in our form."""
    argv = ["openssl", "x509", "-noout", "-fingerprint", "-sha256"]
    said = subprocess.run(argv, input=pem, capture_output=True, text=True, check=True).stdout
    return said.strip().rpartition("=")[2].replace(":", "").lower()


def authority(mesh: Mesh) -> str:
    answer = mesh.kubectl(
        *("-n", "spire-server", "exec", "spire-server-0", "-c", "spire-server", "--"),
        *("/opt/spire/bin/spire-server", "localauthority", "x509", "show", "-output", "json"),
    )
    return str(json.loads(answer)["active"]["authority_id"])


def test_a_restarted_spire_server_keeps_its_ca(mesh: Mesh) -> None:
    before = authority(mesh)
    mesh.kubectl("-n", "spire-server", "delete", "pod", "spire-server-0")
    mesh.kubectl("-n", "spire-server", "rollout", "status", "statefulset/spire-server", "--timeout=90s")
    assert authority(mesh) == before


ACCOUNT = """apiVersion: v1
kind: ServiceAccount
metadata: {name: verifier, namespace: default}
"""


def told(story: str) -> set[str]:
    """The rights that are missing, as they are told."""
    return set(story.partition("missing rights: ")[2].partition("\n")[0].split(", "))


def test_verify_needs_a_token_with_few_rights_and_up_says_which_it_lacks(
    mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    roles = meshpki("rbac", "verify", "--subject", "serviceaccount:default/verifier").stdout
    reader = f"{ACCOUNT}---\n{roles}"
    mesh.kubectl("apply", "-f", "-", given=reader)
    try:
        config = yaml.safe_load(mesh.lab.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": mesh.kubectl("create", "token", "verifier").strip()}
        limited = tmp_path / "kubeconfig"
        limited.write_text(yaml.safe_dump(config))
        proven = meshpki("verify", "--kubeconfig", str(limited))
        assert proven.returncode == 0, proven.stderr
        assert "0 broken, 0 unknown" in proven.stdout
        refused = meshpki("up", "--kubeconfig", str(limited), "-f", str(mesh.lab.settings), "--yes")
        assert refused.returncode == 4
        assert "MPK-118" in refused.stderr
        assert {"create deployments.apps", "get secrets", "list storageclasses.storage.k8s.io"} <= told(refused.stderr)
        assert "MPK-110" not in refused.stderr
        assert audit.persisted(*OURS) == []
    finally:
        mesh.kubectl("delete", "-f", "-", given=reader)


def test_another_root_than_the_pinned_one_is_refused_before_it_is_issued(
    mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nroot: {duration: 30000h}\n")
    refused = meshpki("up", *mesh.where(), "-f", str(settings), "--yes")
    assert refused.returncode == 4
    assert "MPK-117" in refused.stderr
    assert audit.persisted(*OURS) == []


def test_what_somebody_took_out_of_istio_is_put_back(mesh: Mesh, meshpki: Command) -> None:
    mesh.kubectl("-n", "istio-system", "delete", "configmap", "istio-sidecar-injector")
    healed = meshpki("up", "--lab", "-o", "json")
    assert healed.returncode == 0, healed.stderr
    istio = next(step for step in json.loads(healed.stdout)["steps"] if step["name"] == "istio")
    assert istio["programs"] == {"istioctl install": "ran"}
    assert mesh.json("-n", "istio-system", "get", "configmap", "istio-sidecar-injector")


def test_without_spires_socket_a_pod_gets_no_certificate_and_verify_says_why(mesh: Mesh, meshpki: Command) -> None:
    nowhere = '{"spec":{"template":{"spec":{"nodeSelector":{"meshpki.dev/nowhere":"true"}}}}}'
    back = '{"spec":{"template":{"spec":{"nodeSelector":null}}}}'
    mesh.kubectl("-n", "spire-system", "patch", "daemonset", "spire-agent", "-p", nowhere)
    try:
        mesh.kubectl("-n", "spire-system", "wait", "pod", "-l", "app.kubernetes.io/name=spire-agent", "--for=delete")
        mesh.kubectl("-n", "bookinfo", "delete", "pod", "-l", "app=details")
        time.sleep(20)
        pods = mesh.json("-n", "bookinfo", "get", "pods", "-l", "app=details")["items"]
        ready = [one for pod in pods for one in pod["status"].get("conditions", []) if one["type"] == "Ready"]
        assert [one["status"] for one in ready] == ["False"]
        said = meshpki("verify", *mesh.where(), "-n", "bookinfo")
        assert said.returncode == 5
        assert "details-v1" in said.stdout
        assert "no SPIRE agent runs on node" in said.stdout
    finally:
        mesh.kubectl("-n", "spire-system", "patch", "daemonset", "spire-agent", "-p", back)
        mesh.kubectl("-n", "spire-system", "rollout", "status", "daemonset/spire-agent", "--timeout=90s")
        mesh.kubectl("-n", "bookinfo", "rollout", "status", "deployment/details-v1", "--timeout=120s")
    assert meshpki("verify", *mesh.where()).returncode == 0


# what is refused: its code, the object, what is said of it, the settings, and what somebody has put there
FOREIGN = {
    "a cert-manager of somebody else": (
        *("MPK-104", "Deployment foreign/cert-manager", "a cert-manager is there that meshpki did not install"),
        "",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cert-manager, namespace: foreign}\nspec: {POD}",
    ),
    "an Istio of somebody else": (
        *("MPK-105", "Deployment foreign/istiod", "an Istio is there that meshpki did not install"),
        "",
        """
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: foreign, labels: {app: istiod}}
spec: {POD}""",
    ),
    "a SPIRE of somebody else": (
        *("MPK-106", "StatefulSet foreign/spire-server", "a SPIRE is there that meshpki did not install"),
        "",
        """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: spire-server, namespace: foreign}
spec: {serviceName: x, POD}""",
    ),
    "a cacerts of somebody else": (
        *("MPK-107", "Secret foreign/cacerts", "it is not ours: istiod has another CA already"),
        "namespaces: {istio: foreign}",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: cacerts, namespace: foreign}\nstringData: {ca-key.pem: canary}",
    ),
    "another trust domain than the one that runs": (
        *("MPK-108", "ConfigMap istio-system/istio", "Istio runs with trust domain example.org"),
        *("trustDomain: other.example", ""),
    ),
}
POD = (
    "replicas: 0, selector: {matchLabels: {app: foreign}}, "
    "template: {metadata: {labels: {app: foreign}}, spec: {containers: [{name: x, image: x}]}}"
)


@pytest.mark.parametrize("situation", FOREIGN)
def test_what_is_not_ours_is_refused_before_the_first_write(
    situation: str, mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    code, about, message, wish, foreign = FOREIGN[situation]
    settings = tmp_path / "mesh.yaml"
    settings.write_text(f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n{wish}\n")
    mesh.kubectl("create", "namespace", "foreign")
    try:
        if foreign:
            mesh.kubectl("apply", "-f", "-", given=foreign.replace("POD", POD))
        refused = meshpki("up", *mesh.where(), "-f", str(settings), "--yes")
        assert refused.returncode == 4
        told = refused.stderr.partition(f"error {code}: ")[2].splitlines()
        assert told[0].startswith(message), refused.stderr
        assert told[1] == f"  where: {about}"
        assert told[2].startswith("  to do: ")
        assert "canary" not in refused.stderr + refused.stdout
        assert audit.persisted(*OURS) == []
    finally:
        mesh.kubectl("delete", "namespace", "foreign")


def test_without_a_cluster_both_ways_to_one_are_named(meshpki: Command, tmp_path: Path) -> None:
    lost = meshpki("up", env={"KUBECONFIG": str(tmp_path / "none")})
    assert lost.returncode == 4
    assert "--context" in lost.stderr
    assert "--lab" in lost.stderr


def test_without_a_terminal_up_never_asks_and_never_hangs(mesh: Mesh, meshpki: Command, tmp_path: Path) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nspire: {logLevel: DEBUG}\n")
    asked = meshpki("up", *mesh.where(), "-f", str(settings), seconds=60)
    assert asked.returncode == 2
    assert "--yes" in asked.stderr


@pytest.mark.parametrize("on_lab", [False, True], ids=["a cluster", "the lab"])
def test_a_dry_run_lists_what_would_change_and_changes_nothing(
    mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path, *, on_lab: bool
) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nspire: {logLevel: DEBUG}\n")
    where = ["--lab"] if on_lab else mesh.where()
    would = meshpki("up", *where, "-f", str(settings), "--dry-run")
    assert would.returncode == 0, would.stderr
    assert would.stderr.startswith(f"looking at {mesh.lab.context}: ")
    assert "configured ConfigMap spire-server/spire-server" in would.stdout
    assert "StatefulSet spire-server/spire-server" in would.stdout
    assert audit.persisted(*OURS) == []


LATE = ("--timeout", "15s", "-o", "json")


def test_a_gate_that_stays_shut_times_out_with_the_reason_and_the_way_on(
    mesh: Mesh, meshpki: Command, tmp_path: Path
) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nresources: {cpu: '64'}\n")
    try:
        shut = meshpki("up", *mesh.where(), "-f", str(settings), "--yes", "--only", "spire", *LATE)
        assert shut.returncode == 124
        assert "Unschedulable" in shut.stderr
        assert "MPK-214" in shut.stderr
        assert "  again: meshpki up " in shut.stderr
        told = json.loads(shut.stdout)
        assert (told["error"]["code"], told["error"]["step"]) == ("MPK-214", "spire")
        assert [step["state"] for step in told["steps"]] == ["failed"]
    finally:
        healed = meshpki("up", "--lab", "-f", str(mesh.lab.settings))
    assert healed.returncode == 0, healed.stderr


HOPELESS = ("--only", "workloads", "--timeout", "15m", "--yes", "-o", "json")


def failed_for_good(run: subprocess.CompletedProcess[str], why: str) -> None:
    """`up` ended with its step's failure, neither by the gate's time-out nor by this test's."""
    assert run.returncode == 1, run.stderr
    told = json.loads(run.stdout)
    assert (told["error"]["code"], told["error"]["step"]) == ("MPK-219", "workloads")
    assert re.search(why, told["error"]["message"]), told["error"]["message"]
    assert [step["state"] for step in told["steps"]] == ["failed"]


@contextmanager
def empty_registry(folder: Path) -> Iterator[str]:
    """A registry on the node's own loopback, which containerd asks by plain HTTP; it has no image."""
    folder.mkdir()
    home = locate()
    network = f"--net=/proc/{home.first_process(f'{home.name}-1').read_text().strip()}/ns/net"
    command = [sys.executable, "-m", "http.server", "5999", "--bind", "127.0.0.1", "--directory", str(folder)]
    served = subprocess.Popen(["nsenter", network, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield "127.0.0.1:5999/nowhere"
    finally:
        served.terminate()
        served.wait(10)


def test_an_image_that_is_not_there_ends_the_wait_and_one_whose_registry_is_down_is_waited_for(
    mesh: Mesh, meshpki: Command, tmp_path: Path
) -> None:
    settings = tmp_path / "mesh.yaml"

    def mirror(where: str) -> None:
        settings.write_text(f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nimages: {{mirror: '{where}'}}\n")

    asked = ("up", *mesh.where(), "-f", str(settings), *HOPELESS)
    try:
        mirror("127.0.0.1:9/nowhere")
        late = meshpki(*asked, "--total-timeout", "8s")
        assert late.returncode == 124, late.stderr
        assert "error MPK-203: not done within 8 s" in late.stderr
        assert re.search(r"step workloads, gate rollout: expected: .* rolled out; seen: .*Pod bookinfo/", late.stderr)
        assert "  again: meshpki up " in late.stderr
        with empty_registry(tmp_path / "empty") as where:
            mirror(where)
            failed = meshpki(*asked, seconds=600)
        failed_for_good(failed, r"Pod bookinfo/\S+: container \S+: (ErrImagePull|ImagePullBackOff): .*: not found")
    finally:
        healed = meshpki("up", "--lab", "-f", str(mesh.lab.settings))
    assert healed.returncode == 0, healed.stderr


def test_an_istiod_whose_image_was_not_there_is_mended_by_the_run_with_the_right_settings(
    mesh: Mesh, meshpki: Command, tmp_path: Path
) -> None:
    settings = tmp_path / "mesh.yaml"
    try:
        with empty_registry(tmp_path / "empty") as where:
            settings.write_text(f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nimages: {{mirror: '{where}'}}\n")
            failed = meshpki("up", *mesh.where(), "-f", str(settings), "--only", "istio", "--timeout", "15m", "--yes")
        assert failed.returncode == 1, failed.stderr
        assert re.search(r"Pod istio-system/istiod-\S+: container discovery: \w+: .*: not found", failed.stderr)
    finally:
        mended = meshpki("up", *mesh.where(), "--only", "istio", "--yes", "-o", "json")
    assert mended.returncode == 0, mended.stderr
    assert [(step["name"], step["state"]) for step in json.loads(mended.stdout)["steps"]] == [("istio", "done")]
    assert json.loads(mended.stdout)["verify"]["summary"]["broken"] == 0


@pytest.mark.acceptance
def test_a_crash_loop_ends_the_wait_before_the_time_out_and_says_how_the_container_ended(
    mesh: Mesh, meshpki: Command
) -> None:
    def outside(startup_probe: dict[str, object] | None) -> None:
        spec = {"containers": [{"name": "curl", "startupProbe": startup_probe}]}
        patch = json.dumps({"spec": {"template": {"spec": spec}}})
        mesh.kubectl("-n", "bookinfo", "patch", "deployment", "outside", "-p", patch)

    outside({"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1})
    try:
        failed = meshpki("up", *mesh.where(), *HOPELESS, seconds=600)
        failed_for_good(failed, r"container curl: CrashLoopBackOff: .*\(restarts: \d+, last: Error, exit code 137\)")
    finally:
        outside(None)
    assert meshpki("up", *mesh.where(), *HOPELESS).returncode == 0
