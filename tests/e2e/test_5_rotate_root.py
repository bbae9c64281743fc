"""`rotate root` on the lab, with its probe: stopped, gone on with, gone back from; openssl and SPIRE say the same."""

import base64
import json
import random
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshpki.rotate import goals
from meshpki.rotate.acts import RETIRED
from meshpki.rotate.compromise import DRAIN
from tests.conftest import Command
from tests.e2e import traffic
from tests.e2e.conftest import Audit, Mesh, Verify
from tests.e2e.staging import apply, pinned_root, spire_server

pytestmark = pytest.mark.lab

STAGES = goals.NAMES
# from these there is a way back
BEFORE_THE_TAINT = STAGES[: STAGES.index(goals.TAINT)]
REFUSED = 4


def argv(mesh: Mesh, *words: str) -> list[str]:
    return ["rotate", "root", *words, *mesh.as_a("operate")]


def rotated(mesh: Mesh, meshpki: Command, *words: str) -> dict[str, Any]:
    done = meshpki(*argv(mesh, *words), "--yes", "-o", "json", seconds=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def kept_anchors(mesh: Mesh) -> list[str]:
    """The PEM of every ConfigMap and caBundle that holds trust of the mesh."""
    maps = mesh.json("get", "configmaps", "-A", "--field-selector", "metadata.name=istio-ca-root-cert")["items"]
    found = [one["data"]["root-cert.pem"] for one in maps]
    found.append(mesh.json("-n", "spire-system", "get", "configmap", "spire-bundle")["data"]["bundle.crt"])
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        for one in mesh.json("get", kind, "-l", "operator.istio.io/component")["items"]:
            found += [base64.b64decode(hook["clientConfig"]["caBundle"]).decode() for hook in one["webhooks"]]
    return found


def spires_roots(mesh: Mesh) -> list[bytes]:
    return [base64.b64decode(one["asn1"]) for one in spire_server(mesh, "bundle", "show")["x509_authorities"]]


def openssl_accepts(mesh: Mesh, pod: str, root: Path, folder: Path) -> bool:
    """Whether openssl, in strict mode, finds a path from what a pod's Envoy presents to this root alone."""
    namespace, _, name = pod.partition("/")
    dump = json.loads(mesh.istioctl("proxy-config", "secret", f"{name}.{namespace}", "-o", "json"))
    secrets = {one["name"]: one["secret"] for one in dump["dynamicActiveSecrets"]}
    chain = folder / "chain.pem"
    chain.write_bytes(base64.b64decode(secrets["default"]["tlsCertificate"]["certificateChain"]["inlineBytes"]))
    said = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", str(root), "-untrusted", str(chain), str(chain)],
        capture_output=True,
        text=True,
        check=False,
    )
    return said.returncode == 0


@dataclass(frozen=True)
class Trial:
    """What befalls a rotation: it is killed in a stage, the old root's key is lost, parts start again meanwhile."""

    killed_in: str = ""
    compromised: bool = False
    disturbed: bool = False
    istiods: int = 1

    @property
    def options(self) -> tuple[str, ...]:
        return ("--compromised",) if self.compromised else ()


TRIALS = [
    *map(Trial, STAGES),
    *(Trial(stage, compromised=True) for stage in (goals.TRUST, goals.FORGET, DRAIN)),
    Trial(disturbed=True),
    Trial(istiods=2),
]


def killed(mesh: Mesh, meshpki: Command, trial: Trial) -> None:
    """A run that is no more once a stage of it has begun."""
    child = meshpki.start(*argv(mesh, *trial.options), "--yes")
    assert child.stderr is not None
    for line in child.stderr:
        if f"step={trial.killed_in} state=start" in line:
            child.send_signal(signal.SIGKILL)
            break
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL, trial


def scaled(mesh: Mesh, istiods: int) -> None:
    mesh.kubectl("-n", "istio-system", "scale", "deployment/istiod", f"--replicas={istiods}")
    mesh.kubectl("-n", "istio-system", "rollout", "status", "deployment/istiod", "--timeout=90s")


def disturbed(mesh: Mesh, meshpki: Command) -> dict[str, Any]:
    """A run in whose trust stages an istiod, an agent and a pod start again, and a Deployment is scaled up and down."""
    extra = extra_workload(mesh)
    child = meshpki.start(*argv(mesh), "--yes", "-o", "json")
    assert child.stderr is not None
    story = []
    for line in child.stderr:
        story.append(line)
        if f"step={goals.TRUST_ISTIOD} state=start" in line:
            mesh.kubectl("-n", "istio-system", "delete", "pod", "-l", "app=istiod", "--wait=false")
            mesh.kubectl("-n", "bookinfo", "scale", extra, "--replicas=2")
        if f"step={goals.TRUST} state=start" in line:
            mesh.kubectl(
                "-n", "spire-system", "delete", "pod", "-l", "app.kubernetes.io/name=spire-agent", "--wait=false"
            )
            mesh.kubectl("-n", "bookinfo", "delete", "pod", "-l", "app=ratings", "--wait=false")
        if f"step={goals.ACTIVATE} state=start" in line:
            mesh.kubectl("-n", "bookinfo", "scale", extra, "--replicas=3")
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, "".join(story)
    mesh.kubectl("-n", "bookinfo", "delete", extra)
    mesh.kubectl("-n", "bookinfo", "wait", "pod", "-l", "app=extra", "--for=delete", "--timeout=90s")
    return json.loads(out)  # type: ignore[no-any-return]


def extra_workload(mesh: Mesh) -> str:
    """A user's own Deployment in the mesh, as `client` is one, without a pod."""
    of_client = mesh.json("-n", "bookinfo", "get", "deployment", "client")
    template, labels = of_client["spec"]["template"], {"app": "extra"}
    metadata = {**template["metadata"], "labels": {**template["metadata"]["labels"], **labels}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": {**template, "metadata": metadata}}
    named = {"name": "extra", "namespace": "bookinfo"}
    apply(mesh, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": spec})
    return "deployment/extra"


def test_a_rotation_that_is_killed_or_disturbed_comes_to_its_end_and_loses_no_request(  # noqa: PLR0917 - fixtures
    mesh: Mesh, meshpki: Command, verify: Verify, sample: random.Random, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    full = request.config.getoption("--full")
    for trial in TRIALS if full else [sample.choice(TRIALS)]:
        old, before, pods = pinned_root(mesh), mesh.generation(), proxied(mesh)
        scaled(mesh, trial.istiods)
        if trial.killed_in:
            killed(mesh, meshpki, trial)
        said = disturbed(mesh, meshpki) if trial.disturbed else rotated(mesh, meshpki)
        scaled(mesh, 1)
        if trial.killed_in != DRAIN:
            assert (said["verdict"], said["failed"], said["finished"]) == ("proven", 0, True), (trial, said["why"])
            assert said["handshakes"] > said["requests"] > 0
        assert mesh.generation() == before + 1
        new = tmp_path / "root.pem"
        new.write_text(pinned_root(mesh))
        asked = verify("--authorities")
        assert (asked.code, asked.broken(), asked.unknown(), asked.broken_places()) == (0, {}, {}, {}), trial
        assert [pod for pod in asked.pods if not openssl_accepts(mesh, pod, new, tmp_path)] == []
        assert not [pem for pem in kept_anchors(mesh) if old.strip() in pem]
        assert spires_roots(mesh) == [_der(new.read_text())]
        assert not (trial.compromised and pods & proxied(mesh)), "a pod is from before"


def proxied(mesh: Mesh) -> set[str]:
    """The uids of the pods that hold connections of the mesh."""
    found = set()
    for pod in mesh.json("get", "pods", "-A")["items"]:
        parts = {one["name"] for one in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])}
        if parts & {"istio-proxy", "discovery", "spire-server"}:
            found.add(str(pod["metadata"]["uid"]))
    return found


BEGUN = re.compile(r"step=(\S+) state=start")
# what changes SPIRE's CAs, of all that is run in spire-server
ACT = re.compile(r"localauthority x509 (prepare|activate)|upstreamauthority taint")
# one of the probe's many stands for its kind, one pod that a kubelet is hurried for stands for all
ALIKE = (re.compile(r"(?<=/namespaces/meshpki-probe/)(\w+)/.*"), re.compile(r"(?<=/)(pods)/.*"))


def alike(write: str) -> str:
    for pattern in ALIKE:
        write = pattern.sub(r"\1", write)
    return write


@dataclass
class Written:
    """What meshpki has changed since the last time somebody asked; its Lease is left out."""

    log: Path
    read: int

    def new(self) -> list[str]:
        with self.log.open("rb") as content:
            content.seek(self.read)
            came = content.read()
        since, self.read = Audit(self.log, self.read), self.read + came.rfind(b"\n") + 1
        persisted = (one.partition("?")[0] for one in since.persisted("meshpki/") if "/leases" not in one)
        acts = (found[0] for one in since.commands("meshpki/") if (found := ACT.search(one)))
        return [*map(alike, persisted), *acts]


def killed_after_a_write(mesh: Mesh, meshpki: Command, known: set[tuple[str, str]]) -> tuple[str, str] | None:
    """Run on until something is written that no run before it wrote in that stage; None where it came to its end."""
    assert mesh.lab.audit_log is not None
    written, story = Written(mesh.lab.audit_log, mesh.lab.audit_log.stat().st_size), list[str]()
    with meshpki.start(*argv(mesh), "--yes") as child, ThreadPoolExecutor(1) as pool:
        assert child.stderr is not None
        pool.submit(story.extend, child.stderr)
        try:
            while child.poll() is None:
                at = next((found[1] for line in reversed(story) if (found := BEGUN.search(line))), "")
                new = next((one for write in written.new() if (one := (at, write)) not in known), None)
                if new:
                    return new
                time.sleep(0.02)
        finally:
            child.kill()
    assert child.returncode == 0, "".join(story)
    return None


@pytest.mark.acceptance
def test_a_rotation_that_is_killed_after_each_of_its_writes_comes_to_its_end_and_no_request_is_refused(
    mesh: Mesh, meshpki: Command, verify: Verify
) -> None:
    old, before, known = pinned_root(mesh), mesh.generation(), set[tuple[str, str]]()
    with traffic.single(mesh), traffic.flowing(mesh) as flow:
        while killed_at := killed_after_a_write(mesh, meshpki, known):
            known.add(killed_at)
    told = "\n".join(" ".join(one) for one in sorted(known))
    print(f"{len(known)} kills, {len(flow.answers)} requests\n{told}")  # noqa: T201 - figures of a drill
    assert flow.refused() == [], told
    assert {stage for stage, _ in known} >= {goals.NEW_ROOT, goals.ACTIVATE, goals.TAINT, goals.FORGET}, told
    asked = verify("--authorities")
    assert (asked.code, asked.broken(), asked.unknown(), asked.broken_places()) == (0, {}, {}, {})
    assert mesh.generation() >= before + 1
    assert not [pem for pem in kept_anchors(mesh) if old.strip() in pem]
    assert spires_roots(mesh) == [_der(pinned_root(mesh))]


def test_up_keeps_the_new_generation(mesh: Mesh, meshpki: Command, audit: Audit) -> None:
    again = meshpki("up", "--lab", "-o", "json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert {outcome for step in report["steps"] for outcome in step["objects"]} == {"unchanged"}
    assert audit.persisted("meshpki/", "istioctl/") == []


def test_a_rotation_stopped_at_a_stage_is_shown_refuses_up_and_goes_back_without_a_failed_request(
    mesh: Mesh, meshpki: Command, verify: Verify, sample: random.Random, request: pytest.FixtureRequest
) -> None:
    full = request.config.getoption("--full")
    for stage in BEFORE_THE_TAINT if full else [sample.choice(BEFORE_THE_TAINT)]:
        old, before = pinned_root(mesh), mesh.generation()
        there = rotated(mesh, meshpki, "--until", stage)
        assert (there["failed"], there["finished"]) == (0, False), there["why"]
        assert verify("--authorities").code == 0
        seen = json.loads(meshpki("status", *mesh.as_a("operate"), "-o", "json").stdout)["rotation"]
        assert seen["stage"] in STAGES
        assert seen["next"] == ["meshpki rotate root", "meshpki rotate root --abort"]
        refused = meshpki("up", "--lab", "--yes")
        assert (refused.returncode, "MPK-430" in refused.stderr) == (REFUSED, True)
        back = rotated(mesh, meshpki, "--abort")
        assert (back["verdict"], back["failed"], back["finished"]) == ("proven", 0, True), back["why"]
        assert (pinned_root(mesh), mesh.generation()) == (old, before)
        asked = verify("--authorities")
        assert (asked.code, asked.broken(), asked.broken_places()) == (0, {}, {})
        assert spires_roots(mesh) == [_der(old)]


def roots_left(mesh: Mesh) -> list[str]:
    """Those that a rotation has left, the oldest first."""
    found = mesh.json("-n", "cert-manager", "get", "certificates", "-l", RETIRED)["items"]
    return sorted((str(one["metadata"]["name"]) for one in found), key=lambda name: int(name.rpartition("-g")[2]))


@pytest.fixture
def left(mesh: Mesh, meshpki: Command) -> str:
    """A root that the mesh has left; it leaves one now if it has not yet."""
    if not roots_left(mesh):
        rotated(mesh, meshpki)
    return roots_left(mesh)[0]


def test_a_root_that_was_left_is_destroyed_by_name_alone(mesh: Mesh, meshpki: Command, left: str) -> None:
    pinned = mesh.root_name()
    refused = meshpki(*argv(mesh, "--retire", pinned, "--yes"))
    assert (refused.returncode, "MPK-444" in refused.stderr) == (REFUSED, True)
    done = meshpki(*argv(mesh, "--retire", left, "--yes"))
    assert done.returncode == 0, done.stderr
    names = mesh.kubectl("-n", "cert-manager", "get", "secrets,certificates", "-o", "name").split()
    there = {name.rpartition("/")[2] for name in names}
    assert (left in there, pinned in there) == (False, True)


def _der(pem: str) -> bytes:
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return base64.b64decode(body)
