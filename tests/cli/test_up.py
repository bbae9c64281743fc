"""What `up` refuses before it builds a lab, downloads or connects."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.mesh import Wanted
from meshpki.cli.on_lab import on_lab, on_running_lab
from meshpki.errors import PRECONDITION, USAGE, MeshpkiError, PreconditionError

KUBECONFIG = """
clusters: [{name: c, cluster: {server: "http://192.0.2.1:6443"}}]
contexts: [{name: kind-meshpki-lab, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
"""
HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MESHPKI_LAB_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")


def refused(*argv: str) -> MeshpkiError:
    error = CliRunner().invoke(app, argv).exception
    assert isinstance(error, MeshpkiError), error
    return error


def test_a_driver_is_for_a_lab() -> None:
    assert refused("up", "--driver", "native").code == "MPK-119"


@pytest.mark.parametrize("given", [False, True])
def test_a_cluster_that_brings_no_release_files_is_not_built_while_a_pin_is_missing(
    tmp_path: Path, *, given: bool
) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(HEADER)
    files = (file,) if given else ()
    with pytest.raises(PreconditionError, match="MPK-052") as error:
        on_lab(None, "kind", files, install=False)
    assert "istioctl-1.29.1-linux-amd64.tar.gz: <hex>" in error.value.remedy
    assert "--driver native" in error.value.remedy


def test_with_every_pin_it_is_the_drivers_own_programs_that_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "mesh.yaml"
    file.write_text(f"{HEADER}artifacts: {{pins: {{istioctl-1.29.1-linux-amd64.tar.gz: {'ab' * 32}}}}}\n")
    with pytest.raises(PreconditionError, match="MPK-501"):
        on_lab(None, "kind", (file,), install=False)


@pytest.mark.parametrize(
    ("argv", "code", "hint"),
    [
        (["up", "--lab", "--only", "spir"], "MPK-205", "did you mean `spire`?"),
        (["up", "--skip", "istoi"], "MPK-205", "did you mean `istio`?"),
        (["up", "--lab", "--ignore", "foo"], "MPK-116", "kubernetes-version"),
        (["plan", "--from", "spir"], "MPK-205", "did you mean `spire`?"),
        (["plan", "--ignore", "storag"], "MPK-116", "did you mean `storage`?"),
        (["preflight", "--ignore", "foo"], "MPK-116", "storage"),
        (["render", "spir"], "MPK-205", "did you mean `spire`?"),
    ],
)
def test_a_name_that_no_step_or_check_has_is_refused_before_all_else(argv: list[str], code: str, hint: str) -> None:
    error = refused(*argv)
    assert (error.code, error.exit_code) == (code, USAGE)
    assert hint in error.remedy


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs of the drivers note how each was called; they tell of a cluster that answers."""
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for name in ("kind", "kubectl", "docker", "apt-get"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{calls}\nprintf ok\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    calls.touch()
    return calls


@pytest.mark.parametrize("driver", ["native", "kind"])
def test_a_dry_run_brings_no_lab_up(tmp_path: Path, asked: Path, driver: str) -> None:
    error = refused("up", "--lab", "--dry-run", "--driver", driver, "--install-packages")
    assert (error.code, error.exit_code) == ("MPK-504", PRECONDITION)
    assert "`meshpki lab up`" in error.remedy
    assert asked.read_text() == ""
    assert not (tmp_path / "MESHPKI_LAB_HOME").exists()


def test_a_dry_run_takes_the_lab_that_runs_as_it_is_and_by_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Path
) -> None:
    home, file = tmp_path / "MESHPKI_LAB_HOME", tmp_path / "mesh.yaml"
    home.mkdir()
    (home / "kubeconfig").write_text(KUBECONFIG)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    file.write_text(f"{HEADER}approval: {{policy: true}}\n")
    assert on_running_lab("kind", (file,)) == Wanted("kind-meshpki-lab", home / "kubeconfig", lab=True)
    assert [line.partition(" ")[0] for line in asked.read_text().splitlines()] == ["kubectl"]
    assert [*home.iterdir()] == [home / "kubeconfig"]
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "192.0.2.1"
