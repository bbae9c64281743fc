"""The lab of a run of the tests: begun early, joined late, and ended with the run."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.making import Making
from tests.support.sharing import Sharing

LONG = "more than a pipe holds" * 9999
UNTIL_INTERRUPTED = """
import pathlib, time
try:
    pathlib.Path({story!r}).write_text("begun")
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path({story!r}).write_text("interrupted")
"""


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


@pytest.fixture
def down(tmp_path: Path) -> list[str]:
    """What takes the lab down; that it was called is seen by a file."""
    return python(f"open({str(tmp_path / 'down')!r}, 'w')")


@pytest.mark.parametrize("there", [False, True], ids=["made here", "there before"])
def test_who_joins_reads_what_was_told_and_only_what_was_made_here_is_taken_down(
    tmp_path: Path, down: list[str], *, there: bool
) -> None:
    tells = python("import sys; sys.stderr.write('more than a pipe holds' * 9999)")
    making = Making(tells, down, tmp_path / "shared", there=there)
    assert making.join(60) == LONG
    making.end()
    assert (tmp_path / "down").exists() != there


def test_what_another_run_needs_is_left_to_that_one(tmp_path: Path, down: list[str]) -> None:
    making = Making(python(""), down, tmp_path / "shared", there=False)
    with Sharing(tmp_path / "shared") as other:
        making.join(60)
        making.end()
        assert not (tmp_path / "down").exists()
        assert other.ends_it()


def test_what_nobody_joined_is_interrupted_and_taken_down(tmp_path: Path, down: list[str]) -> None:
    story = tmp_path / "story"
    making = Making(python(UNTIL_INTERRUPTED.format(story=str(story))), down, tmp_path / "shared", there=False)
    until = time.monotonic() + 60
    while not (story.exists() and story.read_text()) and time.monotonic() < until:
        time.sleep(0.01)
    making.end()
    assert story.read_text() == "interrupted"
    assert (tmp_path / "down").exists()


def test_tests_that_need_no_lab_come_first() -> None:
    mixed = ("tests/contract", "tests/e2e/test_6_plan.py", "tests/lab/test_sharing.py", "tests/cli/test_output.py")
    argv = (sys.executable, "-m", "pytest", "--collect-only", "-q", *mixed)
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    needs = ["[lab" in name or "e2e" in name for name in done.stdout.splitlines() if "::" in name]
    assert needs == sorted(needs)
    assert {*needs} == {False, True}
