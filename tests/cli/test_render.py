"""`meshpki render` as a user starts it: the same bytes each time, without any cluster."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.releases import settings_file


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return settings_file(tmp_path)


def run(folder: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "MESHPKI"))}
    env = {**kept, "KUBECONFIG": str(folder / "none"), "HOME": str(folder), **environment}
    command = [sys.executable, "-m", "meshpki", "render", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=folder, timeout=60)


def digests(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.parametrize("tool", ["kubectl", "argocd", "flux"])
def test_two_processes_render_the_same_bytes(settings: Path, tmp_path: Path, tool: str) -> None:
    found = []
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        folder = tmp_path / f"out-{seed}"
        done = run(
            tmp_path, "-f", str(settings), "-o", str(folder), "--for", tool, PYTHONHASHSEED=seed, TZ=zone, LC_ALL="C"
        )
        assert done.returncode == 0, done.stderr
        found.append(digests(folder))
    assert found[0] == found[1]
    assert len(found[0]) > 50


def test_a_second_run_into_its_own_folder_changes_nothing_and_prints_the_same_commands(
    settings: Path, tmp_path: Path
) -> None:
    first, second = (run(tmp_path, "-f", str(settings), "-o", "mesh") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout
    assert "mesh/03-root-ca" in first.stdout
    assert ", 0 written or removed" in second.stderr


def test_without_a_folder_the_step_is_one_stream_on_stdout(settings: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "-f", str(settings), "istiod-ca")
    assert done.returncode == 0, done.stderr
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert kinds == ["Namespace", "Certificate"]
    assert done.stdout.startswith("# 04-istiod-ca\n---\n")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--for", "flux"], "MPK-224"),
        (["--path", "x"], "MPK-224"),
        (["nonsense"], "MPK-205"),
        (["-o", "."], "MPK-220"),
    ],
    ids=str,
)
def test_a_wrong_wish_is_refused_with_exit_code_2(settings: Path, tmp_path: Path, argv: list[str], code: str) -> None:
    done = run(tmp_path, "-f", str(settings), *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error {code}:" in done.stderr
