"""`rotate` of the CAs below the root on the lab: what cert-manager, istiod and SPIRE themselves say of it."""

import base64
import json
import signal
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh, Verify

pytestmark = pytest.mark.lab

OURS = ("meshpki/",)
METRIC = "citadel_server_cert_chain_expiry_timestamp"


@dataclass(frozen=True)
class Cluster:
    """What the cluster says of istiod's CA, asked by kubectl and openssl."""

    mesh: Mesh

    def certificate(self) -> dict[str, Any]:
        return self.mesh.json("-n", "istio-system", "get", "certificate", "cacerts")

    def revision(self) -> int:
        return int(self.certificate()["status"]["revision"])

    def lifetime(self) -> tuple[str, str]:
        spec = self.certificate()["spec"]
        return spec["duration"], spec["renewBefore"]

    def serial(self, folder: Path) -> str:
        """The serial of the Secret's certificate, by openssl."""
        secret = self.mesh.json("-n", "istio-system", "get", "secret", "cacerts")["data"]["tls.crt"]
        file = folder / "cacerts.pem"
        file.write_bytes(base64.b64decode(secret))
        argv = ["openssl", "x509", "-in", str(file), "-noout", "-serial"]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        return said.strip().partition("=")[2].lower().lstrip("0")

    def pods(self) -> list[str]:
        found = self.mesh.json("-n", "istio-system", "get", "pods", "-l", "app=istiod")["items"]
        return [one["metadata"]["name"] for one in found]

    def restarts(self) -> dict[str, int]:
        """How often the container of each istiod was started again."""
        found = self.mesh.json("-n", "istio-system", "get", "pods", "-l", "app=istiod")["items"]
        return {one["metadata"]["name"]: one["status"]["containerStatuses"][0]["restartCount"] for one in found}

    def metric(self, pod: str) -> float:
        text = self.mesh.kubectl("get", "--raw", f"/api/v1/namespaces/istio-system/pods/{pod}:15014/proxy/metrics")
        return float(next(line for line in text.splitlines() if line.startswith(f"{METRIC} ")).split()[1])

    def namespaces(self) -> set[str]:
        """Those that stay."""
        found = self.mesh.json("get", "namespaces")["items"]
        return {one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]}


@pytest.fixture(scope="module")
def cluster(mesh: Mesh) -> Cluster:
    return Cluster(mesh)


def argv(mesh: Mesh, *words: str) -> list[str]:
    return ["rotate", *words, *mesh.as_a("operate")]


def rotated(mesh: Mesh, meshpki: Command, *words: str) -> dict[str, Any]:
    done = meshpki(*argv(mesh, *words), "--yes", "-o", "json", seconds=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_a_new_lifetime_is_in_use_everywhere_and_no_secret_was_read(
    cluster: Cluster, mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    before, restarts = cluster.revision(), cluster.restarts()
    said = rotated(mesh, meshpki, "--duration", "720h", "--renew-before", "180h")
    assert audit.secrets_read(*OURS) == []
    serial = said["new"]["serial"]
    assert (cluster.revision(), cluster.lifetime()) == (before + 1, ("720h", "180h"))
    assert cluster.serial(tmp_path) == serial != said["old"]["serial"]
    assert {one["pod"] for one in said["replicas"]} == set(cluster.pods())
    for replica in said["replicas"]:
        assert replica["served"] == {"15012": serial, "15017": serial}
        # one that was started again meanwhile has found the new files there, and the log of before is gone
        if cluster.restarts()[replica["pod"]] == restarts.get(replica["pod"]):
            assert replica["loadedAt"]
            assert replica["seconds"] >= 0
            since = f"--since-time={said['new']['notBefore']}"
            log = mesh.kubectl("-n", "istio-system", "logs", replica["pod"], since)
            assert f"SN: {serial}" in log.partition("Update Istiod cacerts")[2]
        assert cluster.metric(replica["pod"]) == datetime.fromisoformat(said["new"]["notAfter"]).timestamp()
    assert "meshpki-rotate" not in cluster.namespaces()


def test_the_same_again_still_rotates(cluster: Cluster, mesh: Mesh, meshpki: Command, tmp_path: Path) -> None:
    before, lifetime = cluster.revision(), cluster.lifetime()
    said = rotated(mesh, meshpki)
    assert (cluster.revision(), cluster.lifetime()) == (before + 1, lifetime)
    assert cluster.serial(tmp_path) == said["new"]["serial"]


def test_a_killed_run_is_finished_and_not_begun_anew(
    cluster: Cluster, mesh: Mesh, meshpki: Command, tmp_path: Path
) -> None:
    before = cluster.revision()
    child = meshpki.start(*argv(mesh, "--duration", "300h"), "--yes")
    assert child.stderr is not None
    for line in child.stderr:
        if "step=istiod state=start" in line:
            child.send_signal(signal.SIGKILL)
            break
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    said = rotated(mesh, meshpki, "--duration", "300h")
    assert (said["resumed"], said["wish"]) == (True, {"duration": "300h", "renewBefore": "75h"})
    assert (cluster.revision(), cluster.lifetime()) == (before + 1, ("300h", "75h"))
    assert cluster.serial(tmp_path) == said["new"]["serial"]
    assert "meshpki-rotate" not in cluster.namespaces()


REFUSED = (
    (["--duration", "24h"], 4, "MPK-404"),
    (["--duration", "300h", "--renew-before", "360h"], 2, "MPK-018"),
    (["--duration", "20000h"], 4, "MPK-405"),
)


def test_what_would_harm_is_refused_before_any_write(mesh: Mesh, meshpki: Command, audit: Audit) -> None:
    for words, code, told in REFUSED:
        done = meshpki(*argv(mesh, *words), "--yes")
        assert (done.returncode, done.stdout) == (code, ""), words
        assert told in done.stderr
    assert audit.persisted(*OURS) == []


def test_without_a_person_and_without_yes_nothing_is_written(mesh: Mesh, meshpki: Command, audit: Audit) -> None:
    done = meshpki(*argv(mesh, "--duration", "400h"))
    assert (done.returncode, "MPK-112" in done.stderr) == (2, True)
    assert mesh.lab.context in done.stderr
    assert audit.persisted(*OURS) == []


def test_spires_ca_is_changed_and_everything_has_moved(
    mesh: Mesh, meshpki: Command, verify: Verify, audit: Audit
) -> None:
    said = rotated(mesh, meshpki, "spire-ca", "--restart-agents", "--compromised")
    assert audit.secrets_read(*OURS) == []
    assert all(one["before"] != one["after"] for one in said["servers"])
    moved = said["certificates"]
    assert (moved["moved"], moved["staying"], moved["silent"]) == (moved["total"], [], {})
    assert moved["total"] >= 9
    asked = verify("--authorities")
    assert (asked.code, asked.broken(), asked.unknown(), asked.broken_places()) == (0, {}, {}, {})
    issuers = {pod["path"][1]["sha256"] for pod in asked.pods.values()}
    assert len(issuers) == len(said["servers"])


def test_up_changes_nothing_afterwards(mesh: Mesh, meshpki: Command, audit: Audit) -> None:
    again = meshpki("up", "--lab", "-o", "json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert {outcome for step in report["steps"] for outcome in step["objects"]} == {"unchanged"}
    assert audit.persisted(*OURS) == []
    assert report["verify"]["summary"]["broken"] == 0
