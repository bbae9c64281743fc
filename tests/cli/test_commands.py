"""The small commands, run in this process: what they print and what they refuse."""

import json
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from meshpki import __version__
from meshpki.artifacts import wanted
from meshpki.cli.app import app
from meshpki.codes import catalogue
from meshpki.errors import UsageError
from meshpki.install import EVERY
from meshpki.settings import defaults, read, read_text
from meshpki.settings.model import CAN_WAIT
from meshpki.settings.writer import effective

HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"
STEPS = ["cert-manager", "approval", "root-ca", "istiod-ca", "spire", "istio", "workloads"]


def run(*argv: str, given: str = "") -> Result:
    return CliRunner().invoke(app, argv, input=given)


def refused(*argv: str) -> UsageError:
    error = run(*argv).exception
    assert isinstance(error, UsageError)
    return error


def commands(command: TyperGroup | TyperCommand, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command there is, the root's own, none, first."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *path, name)


@pytest.mark.parametrize("words", list(commands(get_command(app))), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    long, short = run(*words, "--help"), run(*words, "-h")
    assert (long.exit_code, short.exit_code) == (0, 0)
    assert long.stdout == short.stdout
    assert " ".join(("Usage: meshpki", *words)) in long.stdout
    assert re.search(r"^  [A-Z`].+", long.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up"], ["Examples:", "meshpki up --lab", "Exit codes: 0 done", "124 time-out"]),
        (["up"], ["ends at once with exit code 2", "--lab, whose cluster is"]),
        (["plan"], ["Examples:", "meshpki plan -o diff", "3 there is something to change"]),
        (["verify"], ["Examples:", "meshpki verify -l app=reviews", "Exit codes: 0 all", "5 broken"]),
        (["lab", "up"], ["Example: meshpki lab up"]),
        (["lab", "exec"], ["Example: meshpki lab exec"]),
        (["lab", "load-image"], ["Example: meshpki lab load-image"]),
    ],
)
def test_help_shows_examples_and_what_the_exit_codes_mean(words: list[str], told: list[str]) -> None:
    text = run(*words, "--help").stdout
    assert [part for part in told if part not in text] == []


def test_a_file_that_init_writes_is_valid_and_holds_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "meshpki.yaml"
    result = run("config", "init", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"meshpki preflight -f {path}" in result.stderr
    assert read([path]) == defaults()
    assert run("config", "validate", str(path)).exit_code == 0


def test_a_file_that_init_writes_names_every_key(tmp_path: Path) -> None:
    path = tmp_path / "meshpki.yaml"
    run("config", "init", str(path))
    names = re.findall(r"^ *(\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"^ *(\w+):", run("config", "view").stdout, re.MULTILINE)) <= set(names)


def test_a_file_that_init_writes_names_what_has_to_be_pinned_and_what_may_be_ignored(tmp_path: Path) -> None:
    path = tmp_path / "meshpki.yaml"
    run("config", "init", str(path))
    bare = [one.name for one in wanted(defaults()) if not one.sha256]
    assert bare
    assert [name for name in (*bare, *CAN_WAIT) if name not in path.read_text()] == []


def test_init_replaces_a_file_only_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "meshpki.yaml"
    path.write_text("mine")
    error = refused("config", "init", str(path))
    assert (error.code, error.where, "--force" in error.remedy) == ("MPK-031", str(path), True)
    assert path.read_text() == "mine"
    assert run("config", "init", str(path), "--force").exit_code == 0
    assert path.read_text() != "mine"


def test_init_says_where_it_cannot_write(tmp_path: Path) -> None:
    assert refused("config", "init", str(tmp_path / "none" / "meshpki.yaml")).code == "MPK-032"


def test_validate_reads_standard_input_and_lays_files_over_each_other(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(f"{HEADER}istiodCA:\n  duration: 10d\n  renewBefore: 2d\n")
    assert run("config", "validate", str(base), "-", given=f"{HEADER}trustDomain: a.org\n").exit_code == 0
    wrong = run("config", "validate", str(base), "-", given=f"{HEADER}istiodCA:\n  renewBefore: 20d\n").exception
    assert isinstance(wrong, UsageError)
    assert (wrong.code, wrong.where) == ("MPK-018", "standard input:4")


def test_view_shows_the_effective_settings_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "mesh.yaml"
    path.write_text(f"{HEADER}trustDomain: shown.org\n")
    text = run("config", "view", "-f", str(path)).stdout
    assert read_text(text, "view") == read([path])
    assert json.loads(run("config", "view", "-f", str(path), "-o", "json").stdout) == effective(read([path]))


@pytest.mark.parametrize("asked", ["MPK-009", "mpk-009", "009", "9", "MPK9"])
def test_a_code_is_explained_however_it_is_written(asked: str) -> None:
    text = run("explain", asked).stdout
    assert text.startswith("MPK-009 a duration has no unit\n")
    assert [part for part in ("Why:", "Fix:", "Source:") if part not in text] == []
    assert max(map(len, text.splitlines())) <= 100


def test_a_code_in_json_is_its_entry_and_no_code_is_all_of_them() -> None:
    assert json.loads(run("explain", "9", "-o", "json").stdout)["code"] == "MPK-009"
    assert [row["code"] for row in json.loads(run("explain", "-o", "json").stdout)] == list(catalogue())
    listed = run("explain").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(catalogue())


@pytest.mark.parametrize("asked", ["MPK-999", "nonsense", "\u0661", "\x1b[2J"])
def test_a_code_that_does_not_exist_is_refused(asked: str) -> None:
    error = refused("explain", asked)
    assert error.code == "MPK-030"
    assert "`meshpki explain` lists all" in error.remedy


def test_version_names_meshpki_python_and_every_component() -> None:
    text = run("version").stdout
    assert re.search(rf"^meshpki +{re.escape(__version__)}$", text, re.MULTILINE)
    assert re.search(rf"^istio +{re.escape(defaults().versions.istio)} +Kubernetes 1.31 to 1.35 ", text, re.MULTILINE)
    written = json.loads(run("version", "-o", "json").stdout)
    assert (written["meshpki"], written["python"]) == (__version__, platform.python_version())
    assert written["components"]["certManager"] == defaults().versions.cert_manager


def test_version_tells_for_which_kubernetes_each_component_is_who_says_so_and_when_that_was_read() -> None:
    written = json.loads(run("version", "-o", "json").stdout)
    rows = {row["component"]: row for row in written["releases"]}
    without = {"bookinfo", "curl"}  # which every Kubernetes runs
    assert set(rows) == set(written["components"]) - without
    assert {name: row["tested"] for name, row in rows.items()} == {name: written["components"][name] for name in rows}
    assert rows["certManager"]["oldest"] == "1.21.1"
    assert rows["spiffeCSI"]["kubernetes"] == {"oldest": "1.16", "newest": None}
    assert rows["approverPolicy"]["kubernetes"] == {"oldest": None, "newest": None}
    assert written["kubernetes"] == {"oldest": "1.33", "newest": "1.35"}
    lines = {line.split()[0]: line for line in run("version").stdout.splitlines()}
    for name, row in rows.items():
        assert lines[name].endswith(f"  {row['source']} ({row['seen']})")
    assert "Kubernetes 1.16 or newer  " in lines["spiffeCSI"]
    assert "any Kubernetes  " in lines["approverPolicy"]
    assert lines["together"].endswith("  Kubernetes 1.33 to 1.35")


def test_steps_are_listed_in_their_order_with_what_they_prove() -> None:
    lines = run("step", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == STEPS
    rows = json.loads(run("step", "list", "-o", "json").stdout)
    assert [row["name"] for row in rows] == STEPS
    assert all(row["proves"] for row in rows)
    for position, row in enumerate(rows):
        assert {need.partition("/")[0] for need in row["needs"]} <= set(STEPS[:position])
    assert [row.name for row in EVERY] == STEPS
