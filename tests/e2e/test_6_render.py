"""What `render` wrote, applied by plain kubectl with the commands it printed: the same objects, and the same mesh."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshpki.lab.home import cache
from meshpki.lab.lab import Lab
from meshpki.lab.parts import prepare
from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh, fresh
from tests.e2e.roles import Accounts

pytestmark = pytest.mark.lab

OURS = ("meshpki/", "istioctl/")


@pytest.fixture
def shell(lab: Lab) -> dict[str, str]:
    """An environment in which a plain `kubectl` is the lab's own, on the lab's cluster."""
    built = str(prepare(cache(), lambda _: None).binaries["kubectl"].parent)
    alone = {"NO_PROXY": "*", "no_proxy": "*"}  # the cluster is on this machine
    path = os.pathsep.join([built, os.environ["PATH"]])
    return {**os.environ, **alone, "PATH": path, "KUBECONFIG": str(lab.kubeconfig)}


def rendered(meshpki: Command, lab: Lab, folder: Path, *words: str) -> str:
    """The commands that render printed."""
    done = meshpki("render", *words, "-f", str(lab.settings), "-o", str(folder), env={"KUBECONFIG": os.devnull})
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(commands: str, shell: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-ex"], input=commands, capture_output=True, text=True, env=shell, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_what_is_rendered_is_what_up_applied(
    mesh: Mesh, meshpki: Command, shell: dict[str, str], tmp_path: Path
) -> None:
    ours = "statefulset,daemonset,deployment,certificate,clusterissuer,configmap,clusterspiffeid"

    def versions() -> dict[str, str]:
        found = mesh.json("get", ours, "-A", "-l", "app.kubernetes.io/managed-by=meshpki")["items"]
        return {f"{one['kind']} {one['metadata']['name']}": one["metadata"].get("generation", 0) for one in found}

    before = versions()
    # whatever was rotated before this: the root of generation 1, applied, would come into use again
    newest = ("--generation", str(mesh.generation()))
    run(rendered(meshpki, mesh.lab, tmp_path / "mesh", "root-ca", "istiod-ca", "spire", *newest), shell)
    assert versions() == before
    planned = meshpki("plan", *mesh.where(), "--detailed-exitcode")
    assert planned.returncode == 0, planned.stdout


@pytest.fixture
def empty_lab(lab: Lab, meshpki: Command) -> Iterator[Lab]:
    """A lab with nothing on it; afterwards it bears a mesh of `up` again."""
    fresh(meshpki)
    yield lab
    fresh(meshpki)
    assert meshpki("up", "--lab").returncode == 0


@pytest.mark.acceptance
def test_plain_kubectl_yields_the_same_mesh_with_nothing_left_for_up_but_the_pin(  # noqa: PLR0917 - fixtures
    empty_lab: Lab,
    meshpki: Command,
    shell: dict[str, str],
    tmp_path: Path,
    accounts: Accounts,
    record_property: Callable[[str, object], None],
) -> None:
    where = Mesh(empty_lab, {}, accounts).where()
    began = time.monotonic()
    run(rendered(meshpki, empty_lab, tmp_path / "mesh"), shell)
    record_property("seconds_of_kubectl", round(time.monotonic() - began, 1))
    planned = meshpki("plan", *where, "--detailed-exitcode", "-o", "json")
    assert planned.returncode == 3, planned.stderr
    report = json.loads(planned.stdout)
    assert (report["summary"]["create"], report["summary"]["change"]) == (0, 0), planned.stdout
    programs = {program["name"]: program["pending"] for step in report["steps"] for program in step["programs"]}
    assert programs == {"pin": True, "istioctl install": False, "withdraw approver-policy": False}

    assert empty_lab.audit_log is not None
    audit = Audit(empty_lab.audit_log)
    done = meshpki("up", *where, "--yes", "-o", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {outcome for step in result["steps"] for outcome in step["objects"]} == {"unchanged"}
    written = [one.partition("?")[0] for one in audit.persisted(*OURS) if "/leases" not in one]
    assert written == ["patch /api/v1/namespaces/kube-system/configmaps/meshpki-trust"]
    assert result["verify"]["summary"]["broken"] == result["verify"]["summary"]["unknown"] == 0
    assert result["verify"]["summary"]["proven"] >= 8
    assert meshpki("verify", *where).returncode == 0
    assert meshpki("plan", *where, "--detailed-exitcode").returncode == 0
