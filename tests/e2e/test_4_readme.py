"""What the README promises and the other suites do not show: each sentence is run as a user would."""

import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from meshpki.lab import archive
from meshpki.lab.archive import Config, File
from tests.conftest import Command
from tests.e2e.conftest import Mesh
from tests.support.driver import own_lab
from tests.support.reach import asked_for, reaching

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


def test_an_artifact_directory_brings_the_release_files_without_a_network(
    mesh: Mesh, meshpki: Command, tmp_path: Path
) -> None:
    assert mesh.lab.settings is not None
    wish = yaml.safe_load(mesh.lab.settings.read_text())
    wish["artifacts"].pop("directory")
    wish["proxy"] = {"https": "http://127.0.0.1:9"}  # where nobody listens
    settings = tmp_path / "mesh.yaml"
    settings.write_text(yaml.safe_dump(wish))
    (cluster,) = yaml.safe_load(mesh.lab.kubeconfig.read_text())["clusters"]
    # nor does an earlier download lie there, nor is there any other way
    nowhere = reaching(
        cluster["cluster"]["server"], tmp_path / "addresses", {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    )
    where = ["--kubeconfig", str(mesh.lab.kubeconfig), "--context", mesh.lab.context, "-f", str(settings)]
    brought = meshpki("up", *where, "--yes", "--artifact-dir", str(mesh.lab.artifacts), "-o", "json", env=nowhere)
    assert brought.returncode == 0, brought.stderr
    assert {step["state"] for step in json.loads(brought.stdout)["steps"]} == {"done"}
    assert asked_for(nowhere) == {urlsplit(cluster["cluster"]["server"]).netloc}
    without = meshpki("up", *where, "--yes", env=nowhere)
    assert without.returncode == 4
    assert "MPK-053" in without.stderr


def test_an_image_that_was_loaded_runs_without_a_registry(mesh: Mesh, meshpki: Command, tmp_path: Path) -> None:
    name, file = "example.com/mine/app:1", tmp_path / "app.tar"
    archive.write(file, name, Config(("/busybox", "sleep", "600")), [File("/busybox", Path("/bin/busybox"))])
    loaded = meshpki("lab", "load-image", str(file))
    assert loaded.returncode == 0, loaded.stderr
    mesh.kubectl("run", "mine", "--image", name, "--image-pull-policy", "Never")
    try:
        mesh.kubectl("wait", "pod/mine", "--for=condition=Ready", "--timeout=60s")
    finally:
        mesh.kubectl("delete", "pod", "mine", "--now")


def test_lab_status_tells_what_the_processes_say_of_themselves(mesh: Mesh, meshpki: Command) -> None:
    said = json.loads(meshpki("lab", "status", "-o", "json").stdout)["components"]
    api = json.loads(mesh.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    etcd = mesh.kubectl("-n", "kube-system", "exec", f"etcd-{mesh.lab.context}-1", "--", "etcd", "--version")
    coredns = mesh.kubectl("-n", "kube-system", "exec", "deploy/coredns", "--", "/coredns", "-version")
    assert said["kube-apiserver"] == api
    assert said["kube-proxy"].startswith(f"{api} (")
    assert f"etcd Version: {said['etcd'].partition(' ')[0]}\n" in etcd
    assert f"CoreDNS-{said['coredns'].partition(' ')[0]}\n" in coredns
    istio = mesh.istioctl("version", "--remote=false", "--short").split()[-1]
    assert said["pilot"].startswith(f"{istio} (")
    proxy = ("-n", "bookinfo", "exec", "deploy/details-v1", "-c", "istio-proxy", "--")
    info = json.loads(mesh.kubectl(*proxy, "pilot-agent", "request", "GET", "server_info"))
    assert said["envoy"].startswith(f"{info['version'].split('/')[1]} (")
    assert {said[name] for name in ("kube-controller-manager", "kube-scheduler")} == {f"{api} (1 asked)"}
    agent = mesh.kubectl(*proxy, "pilot-agent", "version", "--short").split()[-1]
    assert said["proxyv2"].startswith(f"{agent} (")
    for namespace, kind, name in (("spire-server", "sts", "spire-server"), ("spire-system", "ds", "spire-agent")):
        inside = ("kubectl", "-n", namespace, "exec", f"{kind}/{name}", "-c", name, "--")
        spire = meshpki("lab", "exec", "--", *inside, f"/opt/spire/bin/{name}", "--version").stderr.split()[-1]
        assert said[name].startswith(f"{spire} (")
    for name in ("spiffe-csi-driver", *(f"cert-manager-{part}" for part in ("controller", "webhook", "cainjector"))):
        assert re.fullmatch(r"v?\d+\.\d+\.\d+ \(\d+ asked\)", said[name])


def test_the_production_preset_runs_two_of_each_under_a_disruption_budget(
    mesh: Mesh, meshpki: Command, tmp_path: Path
) -> None:
    settings = tmp_path / "production.yaml"
    settings.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\npreset: production\n")
    try:
        done = meshpki("up", *mesh.where(), "-f", str(settings), "--yes", "-o", "json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        istio = next(step for step in report["steps"] if step["name"] == "istio")
        assert istio["gates"]["istiod"].startswith("2 istiod, 15012 and 15017 through cacerts")
        assert (report["verify"]["summary"]["broken"], report["verify"]["summary"]["unknown"]) == (0, 0)
        budgets = mesh.json("-n", "istio-system", "get", "poddisruptionbudgets")["items"]
        allowed = {one["metadata"]["name"]: one["status"]["disruptionsAllowed"] for one in budgets}
        assert allowed == {"istiod": 1, "istio-ingressgateway": 1}
    finally:
        healed = meshpki("up", "--lab", "-f", str(mesh.lab.settings))
    assert healed.returncode == 0, healed.stderr


def test_the_first_command_of_the_readme_ends_with_a_proven_mesh(tmp_path: Path) -> None:
    """In a clone with no environment; only what the lab was built of is kept, and the lab stands apart from ours."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    line = next(
        line.removeprefix("$ ")
        for line in (clone / "README.md").read_text().splitlines()
        if line.startswith("$ python3 -m venv")
    )
    assert line.endswith("up --lab --driver native --install-packages")
    with own_lab("rdm", tmp_path / "lab") as own:
        environment = {**os.environ, **own}
        try:
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=clone,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=900,
            )
            assert done.returncode == 0, done.stderr
            assert "meshpki-root-g1" in done.stdout
            assert "next:" in done.stdout
        finally:
            down = [clone / ".venv" / "bin" / "meshpki", "lab", "down"]
            subprocess.run(down, env=environment, capture_output=True, check=True)
