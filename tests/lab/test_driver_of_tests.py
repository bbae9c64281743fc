"""Which tests run on a machine with a Docker engine, and how the labs are named that they make for themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshpki.lab.home import locate
from tests.support.driver import LEFT_OUT, of_tests, own_lab, own_name

ROOT = Path(__file__).parents[2]
GREATEST_PROCESS = 4 * 1024 * 1024  # Linux, include/linux/threads.h: PID_MAX_LIMIT


@pytest.mark.parametrize(
    ("required", "made", "answers", "driver"),
    [
        (False, "", False, "native"),
        (False, "", True, "kind"),
        (False, "native", True, "native"),
        (False, "kind", False, "kind"),
        (True, "", True, "native"),
    ],
)
def test_the_native_lab_is_taken_where_it_is_there_or_required_or_docker_is_not(
    *, required: bool, made: str, answers: bool, driver: str
) -> None:
    assert of_tests(required=required, made=made, docker=lambda: answers) == driver


def test_beside_a_docker_engine_every_test_of_a_mesh_is_left_out_with_the_reason(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 27.0.0\n")
    docker.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "MESHPKI_LAB"}
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MESHPKI_LAB_HOME": str(tmp_path / "lab")}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/e2e"]
    run = subprocess.run(
        argv, cwd=ROOT, env={**environment, "COLUMNS": "1000"}, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stdout
    assert LEFT_OUT in run.stdout
    assert " passed" not in run.stdout


def test_two_runs_of_the_tests_name_their_own_labs_apart_whatever_their_process_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [own_name("two", process) for process in (1, GREATEST_PROCESS)]
    assert len(set(names)) == 2
    for name in names:
        monkeypatch.setenv("MESHPKI_LAB_NAME", name)
        assert locate().name == name


def test_a_lab_of_ones_own_has_the_processs_name_and_a_place_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_lab("two", tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        home = locate()
        assert (home.root, home.name) == (tmp_path, f"two-{os.getpid()}")
