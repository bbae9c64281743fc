"""The examples: every command of their READMEs and pipelines, as their readers run them.

They run on the mesh of the session, so that an `up` has little to do. 02-existing-root is in test_6_existing.py.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from junitparser import JUnitXml

from meshpki.rendering.folder import MARKER
from tests.conftest import Command
from tests.e2e.conftest import Mesh
from tests.e2e.shell import Shell, environment, own_lab, placed
from tests.support import pipelines
from tests.support.reach import asked_for, reaching

pytestmark = pytest.mark.lab

MIRROR = "registry.example.com/mesh/"
RECORDED = 'echo "$@" >> copied.txt\n'
# the lab's nodes have no registry to pull from: an image is there under its new name, and no more under the old one;
# that of cert-manager's ACME solver, which a mesh never starts, is not there at all
AT_THE_NODE = """from=${3#docker://} to=${4#docker://}
case $from in */cert-manager-acmesolver:*) exit ;; esac
meshpki lab exec -- ctr -n k8s.io images tag "$from" "$to" < /dev/null
meshpki lab exec -- ctr -n k8s.io images rm "$from" < /dev/null
"""
NOTHING_WRITTEN = """case $1 in
apply) shift; exec {kubectl} apply --dry-run=server --force-conflicts "$@" ;;
*) exec {kubectl} "$@" ;;
esac
"""


@pytest.fixture
def shell(mesh: Mesh, tmp_path: Path) -> Callable[[str], Shell]:
    """A shell in a copy of an example that has the trust domain of the session's mesh."""

    def opened(example: str) -> Shell:
        assert mesh.lab.settings is not None
        around = environment(mesh.lab.kubeconfig, tmp_path)
        return Shell(placed(example, tmp_path, "example.org"), around, mesh.lab.context, (mesh.lab.settings,))

    return opened


@pytest.fixture
def restored(mesh: Mesh, meshpki: Command) -> Iterator[None]:
    """The settings that are kept in the cluster are the lab's own again."""
    yield
    assert meshpki("up", "--lab", "-f", str(mesh.lab.settings)).returncode == 0


def with_program(shell: Shell, name: str, script: str) -> Shell:
    """The shell with a program of the test's before any other of that name."""
    bins = shell.folder.with_name("stand-ins")
    bins.mkdir()
    bins.joinpath(name).write_text(f"#!/bin/sh -e\n{script}")
    bins.joinpath(name).chmod(0o755)
    return replace(shell, environment={**shell.environment, "PATH": f"{bins}:{shell.environment['PATH']}"})


def cut_off(shell: Shell) -> Shell:
    """The shell where no download can come: an empty cache, no folder that the lab's settings name, a dead proxy.

    Nor can it come past the proxy: what of it is Python reaches the API server alone.
    """
    (overlay,) = shell.overlays
    wish = yaml.safe_load(overlay.read_text())
    artifacts = wish["artifacts"].pop("directory")
    wish["proxy"] = {"https": "http://127.0.0.1:9"}  # where nobody listens
    cut = shell.folder.with_name("cut.yaml")
    cut.write_text(yaml.safe_dump(wish))
    # what a connected machine would have fetched: `artifacts fetch` finds each file there, as pinned
    shell.folder.joinpath("files").symlink_to(artifacts)
    nowhere = {**shell.environment, "XDG_CACHE_HOME": str(shell.folder.with_name("cache"))}
    alone = reaching(server(shell), shell.folder.with_name("addresses"), nowhere)
    return replace(shell, overlays=(cut,), environment=alone)


def server(shell: Shell) -> str:
    """The URL of the API server that the shell's kubeconfig leads to."""
    (one,) = yaml.safe_load(Path(shell.environment["KUBECONFIG"]).read_text())["clusters"]
    return str(one["cluster"]["server"])


def test_the_least_finds_nothing_to_do_on_a_mesh_that_is_as_it_says(shell: Callable[[str], Shell]) -> None:
    told = shell("01-minimal").readme(0)
    assert "0 created, 0 configured" in told
    assert "0 broken, 0 unknown" in told


def test_of_two_callers_the_one_whose_identity_the_policy_names_is_let_in(
    shell: Callable[[str], Shell], restored: None
) -> None:
    example = shell("03-own-workloads")
    try:
        brought = example.readme(0)
        assert "workloads" not in brought
        example.readme(1)
        proven = example.readme(2)
    finally:
        example.readme(3)
    for identity in ("/ns/team-a/sa/shop", "/ns/team-a/sa/reports", "/ns/team-b/sa/stock"):
        assert identity in proven
    assert "2 of 2 pods proven, 0 broken, 0 unknown" in proven
    assert "1 of 1 pods proven, 0 broken, 0 unknown" in proven


@pytest.mark.parametrize("pipeline", pipelines.commands())
def test_what_a_pipeline_runs_comes_through_in_its_order(
    pipeline: str, shell: Callable[[str], Shell], mesh: Mesh, request: pytest.FixtureRequest
) -> None:
    example = shell("04-ci")
    example = replace(example, environment={**example.environment, "CONTEXT": mesh.lab.context})
    for line in pipelines.commands()[pipeline]:
        here = example.here(line.replace("kind-mesh", mesh.lab.context))
        rotates = line.startswith("meshpki rotate") and not request.config.getoption("--full")
        example.run(f"{here} --dry-run" if rotates else here)
    reports = list(example.folder.glob("*.xml"))
    assert reports
    for report in reports:
        found = JUnitXml.fromfile(str(report))
        assert (found.failures, found.errors) == (0, 0)
        assert found.tests > 8


def test_the_readme_of_the_pipelines_has_what_they_run(shell: Callable[[str], Shell]) -> None:
    assert "0 broken, 0 unknown" in shell("04-ci").readme(0)


def test_without_a_network_the_mesh_is_brought_up_from_a_folder(shell: Callable[[str], Shell], restored: None) -> None:
    example = with_program(cut_off(shell("05-air-gap")), "skopeo", RECORDED)
    example.readme(0)
    told = example.readme(1)
    copied = re.findall(r"copy --all docker://(\S+) docker://(\S+)", example.folder.joinpath("copied.txt").read_text())
    assert {target for _, target in copied} == {line for line in told.splitlines() if line.startswith(MIRROR)}
    assert len({source for source, _ in copied}) == len(copied) > 15
    # the nodes of this lab have the images under upstream's names
    example.folder.joinpath("mirror.yaml").write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n")
    assert "0 broken, 0 unknown" in example.readme(2)
    assert asked_for(example.environment) == {urlsplit(server(example)).netloc}


@pytest.mark.acceptance
def test_without_a_network_a_whole_mesh_comes_from_a_folder_and_a_mirror(tmp_path: Path) -> None:
    with own_lab("air", "05-air-gap", tmp_path) as lab:
        example = with_program(cut_off(lab), "skopeo", AT_THE_NODE)
        for block in (0, 1):
            example.readme(block)
        assert "8 of 8 pods proven, 0 broken, 0 unknown" in example.readme(2)
        assert asked_for(example.environment) == {urlsplit(server(example)).netloc}
        form = "jsonpath={.items[*].spec.containers[*].image}"
        images = lab.run(f"kubectl get pods -A --field-selector metadata.namespace!=kube-system -o '{form}'").split()
        assert [image for image in images if not image.startswith(MIRROR)] == []


def test_what_is_rendered_for_git_is_what_the_mesh_has_and_its_readers_can_follow(
    shell: Callable[[str], Shell], first_generation: None
) -> None:
    example = shell("06-gitops")
    kubectl = example.folder.with_name("bin") / "kubectl"
    # a whole mesh by these commands is in test_6_render.py
    with_program(example, "kubectl", NOTHING_WRITTEN.format(kubectl=kubectl)).readme(0)
    example.readme(1)
    followed_by_argo_cd(example.folder)
    example.readme(2)
    followed_by_flux(example.folder, example.run("kubectl kustomize mesh-flux"))
    assert "0 created, 0 configured" in example.readme(3)


def followed_by_argo_cd(folder: Path) -> None:
    """Each file that Argo CD reads below the path of the Application is a manifest in the wave of its folder."""
    source = yaml.safe_load(folder.joinpath("application.yaml").read_text())["spec"]["source"]
    below = folder / source["path"]
    read = [path for path in below.rglob("*") if path.suffix in (".yaml", ".yml", ".json")]
    assert source["directory"] == {"recurse": True, "exclude": MARKER}
    for path in (one for one in read if one.name != MARKER):
        wave = yaml.safe_load(path.read_text())["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
        assert int(wave) == int(path.parent.name.partition("-")[0])
    assert len(read) > 100


def followed_by_flux(folder: Path, built: str) -> None:
    """What the example's Kustomization leads to is one for each stage, whose folder is there, after the one before."""
    first = yaml.safe_load(folder.joinpath("kustomization.yaml").read_text())["spec"]
    assert first["path"] == "./mesh-flux"
    found = {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(built)}
    stages = {name: folder / spec["path"] for name, spec in found.items()}
    assert sorted(stages.values()) == sorted(folder.joinpath("mesh-flux").glob("[0-9]*"))
    in_order = sorted(stages, key=lambda name: stages[name])
    needs = [[one["name"] for one in found[name].get("dependsOn", [])] for name in in_order]
    assert needs == [[], *([name] for name in in_order[:-1])]
    assert {spec["sourceRef"]["name"] for spec in found.values()} == {first["sourceRef"]["name"]}


def test_the_examples_leave_the_mesh_as_they_found_it(mesh: Mesh, meshpki: Command) -> None:
    again = meshpki("up", "--lab", "-o", "json")
    assert again.returncode == 0, again.stderr
    assert {outcome for step in json.loads(again.stdout)["steps"] for outcome in step["objects"]} == {"unchanged"}
