"""Every example can be read and planned, and what its pipelines run is of the real command line."""

import re
from pathlib import Path

import pytest

from meshpki.artifacts import Releases
from meshpki.install import OUTLINE, Target, steps
from meshpki.settings import read
from meshpki.workflow.plan import Plan
from tests.support import certificates as made
from tests.support import pipelines
from tests.support.existing import corporate
from tests.support.readme import blocks, parse

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*/meshpki.yaml"))
LAID_OVER = {"05-air-gap": "mirror.yaml"}
WITHOUT_SAMPLE = {"03-own-workloads"}
# how many blocks of each README tests/e2e runs, one by one: in test_6_examples.py, of the second in test_6_existing.py
RUN = {
    "01-minimal": 1,
    "02-existing-root": 3,
    "03-own-workloads": 4,
    "04-ci": 1,
    "05-air-gap": 3,
    "06-gitops": 4,
}


def placed(example: Path, folder: Path) -> list[Path]:
    """The example's settings in a folder with what its README has the user make: the public chain of a CA."""
    (folder / "corporate-ca.pem").write_bytes(made.pem(*corporate()))
    names = filter(None, (example.name, LAID_OVER.get(example.parent.name)))
    copies = [folder / name for name in names]
    for copy in copies:
        copy.write_bytes(example.with_name(copy.name).read_bytes())
    return copies


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_makes_a_plan(example: Path, tmp_path: Path) -> None:
    release = tmp_path / "cert-manager.yaml"
    release.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: cert-manager}\n")
    plan = Plan(steps(read(placed(example, tmp_path)), Releases(release, tmp_path / "istioctl.tar.gz", ()), Target()))
    left_out = {"workloads"} if example.parent.name in WITHOUT_SAMPLE else set()
    assert [step.name for step in plan.steps] == [row.name for row in OUTLINE if row.name not in left_out]
    assert example.with_name("README.md").is_file()


def test_every_folder_of_an_example_is_planned_and_named_in_the_readme() -> None:
    root = Path(__file__).parents[1]
    folders = sorted(path for path in (root / "examples").iterdir() if path.is_dir())
    assert folders == [example.parent for example in EXAMPLES]
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert [one.name for one in folders if f"examples/{one.name}/README.md" not in readme] == []


def test_every_block_of_a_readme_is_one_that_is_run_on_the_lab() -> None:
    texts = {one.parent.name: one.with_name("README.md").read_text(encoding="utf-8") for one in EXAMPLES}
    assert {name: len(blocks(text)) for name, text in texts.items()} == RUN


def test_a_readme_has_no_commands_in_a_block_that_nobody_looks_for() -> None:
    for example in EXAMPLES:
        text = example.with_name("README.md").read_text(encoding="utf-8")
        opening = re.findall(r"^ *```(.*)$", text, re.MULTILINE)[::2]
        assert set(opening) <= {"console", "sh", "yaml"}, example
        assert all(blocks(text)), example


@pytest.mark.parametrize("line", [line for lines in pipelines.commands().values() for line in lines])
def test_every_command_of_a_pipeline_parses_and_waits_for_nobody(line: str) -> None:
    parse(line)
    assert "--yes" in line or line.split()[1] not in ("up", "rotate", "down")


def test_the_workflow_keeps_every_proof_whether_it_holds_or_not() -> None:
    *before, last = pipelines.steps()
    assert last["if"] == "always()"
    assert last["uses"].startswith("actions/upload-artifact@")
    ran = " ".join(step.get("run", "") for step in before)
    written = re.findall(r"(?:--junit-file|--report|--out) (\S+)", ran)
    assert written == last["with"]["path"].split()


def test_the_pipeline_shows_its_proof_as_junit_whether_it_holds_or_not() -> None:
    verify = pipelines.jobs()["verify"]
    (words,) = (line.split() for line in verify["script"])
    assert words[words.index("--junit-file") + 1] == verify["artifacts"]["reports"]["junit"]
    assert verify["artifacts"]["when"] == "always"


def test_who_writes_to_the_cluster_that_stays_does_so_alone() -> None:
    writing = {name for name, job in pipelines.jobs().items() if any("--yes" in line for line in job["script"])}
    assert {name for name, job in pipelines.jobs().items() if job.get("resource_group") == "mesh"} == writing
