"""`meshpki verify` on a good mesh: what it asks the cluster for, and the same judgement of files."""

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh, Said, Verify
from tests.e2e.staging import pinned_root
from tests.support.certificates import root

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def dumps(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The secrets of one pod's Envoy, as istioctl prints them and as Envoy itself does; and the pinned root."""
    pods = mesh.json("-n", "bookinfo", "get", "pods", "-l", "app=productpage")["items"]
    name = pods[0]["metadata"]["name"]
    folder = tmp_path_factory.mktemp("dumps")
    asked = ("pilot-agent", "request", "GET", "config_dump?mask=dynamic_active_secrets")
    said = {
        "istioctl": mesh.istioctl("proxy-config", "secret", f"{name}.bookinfo", "-o", "json"),
        "envoy": mesh.kubectl("-n", "bookinfo", "exec", name, "-c", "istio-proxy", "--", *asked),
        "root": pinned_root(mesh),
        "other root": root().pem.decode(),
    }
    files = {what: folder / what.replace(" ", "-") for what in said}
    for what, text in said.items():
        files[what].write_text(text)
    return files


def test_a_whole_verify_asks_each_pod_once_and_never_for_a_secret(
    mesh: Mesh, verify: Verify, audit: Audit, say: Callable[[str], None]
) -> None:
    said = verify()
    made = audit.requests("meshpki/")
    assert said.code == 0, said.stderr
    assert not [kind for kind in made if "secrets" in kind]
    forwards = sum(count for kind, count in made.items() if "portforward" in kind)
    assert forwards == len(said.pods) + len(said.places("istiod")) + len(said.places("spire-server"))
    others = sum(made.values()) - forwards
    say(f"verify of {len(said.pods)} pods: {forwards} port-forwards, {others} other requests: {dict(made)}")
    # lists and single objects: their number does not grow with the pods
    assert others <= 40, made


def test_every_part_of_the_mesh_is_looked_at_and_proven(mesh: Mesh, verify: Verify) -> None:
    said = verify()
    pods = mesh.json("get", "pods", "-A")["items"]
    meshed = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]  # an earlier test's, on its way out
        and "istio-proxy" in str(pod["spec"].get("initContainers", [])) + str(pod["spec"]["containers"])
    }
    assert set(said.pods) == meshed
    kinds = {one["kind"] for one in said.report["places"]}
    assert kinds >= {"root", "istiod-ca", "istiod", "spire-server", "spire-bundle", "istio-bundle", "webhook", "clock"}
    assert said.broken_places() == {}


@pytest.mark.parametrize("source", ["istioctl", "envoy"])
def test_a_dump_of_a_pods_secrets_is_proven_offline(source: str, dumps: dict[str, Path], meshpki: Command) -> None:
    judged = offline(meshpki, "--config-dump", str(dumps[source]), "--anchors", str(dumps["root"]))
    assert judged.code == 0, judged.stderr
    refused = offline(meshpki, "--config-dump", str(dumps[source]), "--anchors", str(dumps["other root"]))
    assert refused.code == 5


def test_the_chain_that_istioctl_shows_is_proven_offline_by_its_root_alone(
    mesh: Mesh, dumps: dict[str, Path], meshpki: Command, tmp_path: Path
) -> None:
    shown = {one["name"]: one["secret"] for one in json.loads(dumps["istioctl"].read_text())["dynamicActiveSecrets"]}
    chain = tmp_path / "chain.pem"
    chain.write_bytes(b64decode(shown["default"]["tlsCertificate"]["certificateChain"]["inlineBytes"]))
    assert offline(meshpki, "--file", str(chain), "--anchors", str(dumps["root"])).code == 0
    assert offline(meshpki, "--file", str(chain), "--anchors", str(dumps["other root"])).code == 5


def offline(meshpki: Command, *options: str) -> Said:
    """Judge files where no cluster can be found."""
    done = meshpki("verify", *options, "-o", "json", env={"KUBECONFIG": "/nonexistent"})
    return Said(done.returncode, json.loads(done.stdout or "{}"), done.stderr)
