"""A support bundle of a real mesh in which secrets lie about: what is in it, and that none of them is."""

import base64
import hashlib
import json
import stat
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh
from tests.e2e.staging import NAMESPACE, apply, idle_pod
from tests.support.canaries import Canaries, members

pytestmark = pytest.mark.lab

FOLDER = "meshpki-support-bundle/"
SPOKEN = ("sh", "-c", 'echo "$SPOKEN"; sleep infinity')

Object = dict[str, Any]


@pytest.fixture(scope="module")
def canaries(mesh: Mesh) -> Iterator[Canaries]:
    """More than 25 of them, in a namespace of their own, in istio-system and on our objects; gone afterwards."""
    planted = Canaries()
    mesh.kubectl("create", "namespace", NAMESPACE)
    try:
        apply(mesh, *objects(planted))
        note, certificate = f"example.org/note={planted.word('Certificate note')}", ("certificate", "cacerts")
        mesh.kubectl("-n", "istio-system", "annotate", *certificate, note)
        mesh.kubectl("-n", "kube-system", "annotate", "configmap", "meshpki", f"example.org/a={planted.word('wish')}")
        mesh.kubectl("annotate", "clusterspiffeids", "--all", f"example.org/note={planted.word('ClusterSPIFFEID')}")
        token = mesh.kubectl("-n", "spire-system", "create", "token", "spire-agent").strip()
        planted.planted["ServiceAccount token"] = token.rpartition(".")[2].encode()
        held = mesh.json("-n", "istio-system", "get", "secret", "cacerts")["data"]["tls.key"]
        planted.planted["key of cacerts"] = base64.b64decode(held)[60:100]
        mesh.kubectl("-n", NAMESPACE, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")
        yield planted
    finally:
        mesh.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        mesh.kubectl("-n", "istio-system", "delete", "secret,configmap,event", "-l", f"staged={NAMESPACE}")
        mesh.kubectl("-n", "istio-system", "annotate", "certificate", "cacerts", "example.org/note-")
        mesh.kubectl("-n", "kube-system", "annotate", "configmap", "meshpki", "example.org/a-")
        mesh.kubectl("annotate", "clusterspiffeids", "--all", "example.org/note-")


def objects(planted: Canaries) -> Iterator[Object]:
    """kubectl keeps a copy of each whole in an annotation, secrets and all."""
    word = planted.word
    spoken = [
        f"authorization: Bearer {word('log bearer')}",
        planted.pem("log PEM"),
        base64.b64encode(planted.key("log base64")).decode(),
        base64.encodebytes(planted.key("log wrapped", "RSA-2048")).decode(),
        f"token {planted.jwt('log token')}",
        f'{{"clientSecret":"{word("log JSON")}"}}',
        f"GET https://user:{word('log URL')}@registry.example.org/v2/",
        f"DB_PASSWORD={word('log assignment')}",
        "spoken to the end",
    ]
    pod = idle_pod("leaky", container="istio-proxy", command=SPOKEN)
    pod["metadata"]["annotations"]["example.org/note"] = word("pod note")
    (container,) = pod["spec"]["containers"]
    container["env"] = [
        {"name": "SPOKEN", "value": "\n".join(spoken)},
        {"name": "PLAIN", "value": word("pod env")},
    ]
    container["args"] = ["--api-token", word("argument"), f"--password={word('argument of one piece')}"]
    yield pod
    hidden = {"labels": {"staged": NAMESPACE}, "namespace": "istio-system"}
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "staged", **hidden, "annotations": {"example.org/note": word("Secret note")}},
        "stringData": {"password": word("Secret"), "tls.key": planted.pem("Secret key")},
    }
    data = {"any": word("ConfigMap"), "key.pem": planted.pem("ConfigMap key")}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "staged", **hidden}, "data": data}
    for number, message in enumerate(
        (f"Error: password={word('event')}", f"pull https://u:{word('event URL')}@r.example.org/", planted.pem("event"))
    ):
        about = {"kind": "Pod", "apiVersion": "v1", "namespace": "istio-system", "name": "staged"}
        yield {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"staged-{number}", **hidden},
            "involvedObject": about,
            "type": "Warning",
            "reason": "Staged",
            "message": message,
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }


@pytest.fixture(scope="module")
def bundle(
    mesh: Mesh, canaries: Canaries, meshpki: Command, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("bundle")
    config = yaml.safe_load(mesh.lab.kubeconfig.read_text())
    canaries.planted["kubeconfig key"] = base64.b64decode(config["users"][0]["user"]["client-key-data"])[60:100]
    config["users"].append({"name": "other", "user": {"token": canaries.jwt("kubeconfig token")}})
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    out, environment = folder / "bundle.tar.gz", {"SOME_PASSWORD": canaries.word("environment")}
    where = ["--kubeconfig", str(kubeconfig), "--context", mesh.lab.context, "--out", str(out)]
    audit = Audit(mesh.lab.audit_log) if mesh.lab.audit_log else None
    done = meshpki("support-bundle", *where, env=environment, seconds=120)
    assert done.returncode == 0, done.stderr
    assert f"written to {out}" in done.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    again = meshpki("support-bundle", *where, seconds=60)
    assert (again.returncode, "MPK-260" in again.stderr) == (2, True)
    if audit:
        assert audit.persisted("meshpki/") == []
        assert audit.secrets_read("meshpki/") == []
    return members(out.read_bytes())


def test_no_canary_of_a_real_mesh_is_in_its_bundle(bundle: dict[str, bytes], canaries: Canaries) -> None:
    assert len(canaries.planted) >= 25
    assert canaries.found(bundle) == {}
    log = bundle[f"{FOLDER}logs/{NAMESPACE}/leaky/istio-proxy.log"]
    assert b"spoken to the end" in log
    assert log.count(b"***") >= 6


def test_a_bundle_of_a_real_mesh_holds_its_certificates_reports_and_logs(bundle: dict[str, bytes], mesh: Mesh) -> None:
    manifest = json.loads(bundle[f"{FOLDER}manifest.json"])
    digests = {f"{FOLDER}{one['name']}": one["sha256"] for one in manifest["members"]}
    assert digests == {name: hashlib.sha256(one).hexdigest() for name, one in bundle.items() if "manifest" not in name}
    assert set(digests) >= {f"{FOLDER}reports/{name}.json" for name in ("certs", "forecast", "status", "verify")}
    logged = {name.split("/")[-1] for name in bundle if name.startswith(f"{FOLDER}logs/")}
    assert {"spire-server.log", "spire-agent.log", "discovery.log", "istio-proxy.log"} <= logged
    assert any(name.startswith("cert-manager") for name in logged), logged
    for name in ("certificates/pin.pem", "certificates/served/spire-server-0-8081.pem", "objects/certificate.json"):
        assert bundle[f"{FOLDER}{name}"]
    pods = json.loads(bundle[f"{FOLDER}reports/verify.json"])["summary"]
    envoys = [name for name in bundle if name.startswith(f"{FOLDER}certificates/envoys/")]
    assert len(envoys) == pods["proven"]
    unread = {one["what"]: one["why"] for one in manifest["missing"]}
    assert [what for what, why in unread.items() if "MPK-" in why and NAMESPACE not in what] == [], unread
    assert (
        json.loads(bundle[f"{FOLDER}versions.json"])["kubernetes"]
        == mesh.json("version")["serverVersion"]["gitVersion"]
    )
