"""What the documents claim is true of the code."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from meshpki import __version__
from meshpki.cli.app import app
from meshpki.settings import read
from tests.conformance.mesh_table import CASES
from tests.support import certificates as made
from tests.support.existing import corporate
from tests.support.readme import blocks, parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    path for pattern in ("*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md") for path in sorted(ROOT.glob(pattern))
]
HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"
STATUS = re.compile(r"(Accepted|Replaced by \d+), \d{4}-\d{2}-\d{2}\.")
ROW = re.compile(r"^\| `meshpki ([^`]+)` \| (.*) \|$", re.MULTILINE)


def commands() -> set[str]:
    """Every command line of meshpki that a code block of the README, or of an example's, shows."""
    readmes = (ROOT / "README.md", *ROOT.glob("examples/*/README.md"))
    typed = [one for path in readmes for block in blocks(path.read_text(encoding="utf-8")) for one in block]
    return {one.command for one in typed if one.command.startswith("meshpki ")}


def test_the_picture_is_the_one_that_its_program_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "trust_chain.py"))["picture"]()
    assert (ROOT / "docs" / "trust-chain.svg").read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("line", sorted(commands()))
def test_every_command_in_a_readme_parses(line: str) -> None:
    parse(line)


def test_every_command_there_is_stands_in_the_readme() -> None:
    root = get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        names = [f"{name} {sub}" for sub in getattr(command, "commands", {})] or [name]
        for one in names:
            assert f"meshpki {one}" in README, one


@pytest.mark.parametrize(("name", "does"), ROW.findall(README))
def test_every_option_that_a_row_of_the_readme_names_is_one_of_its_command(name: str, does: str) -> None:
    command = get_command(app)
    for word in name.split():
        command = command.commands[word]  # type: ignore[attr-defined]
    known = {option for one in command.params for option in one.opts}
    assert [one for one in re.findall(r"`(--?[a-z][a-z-]*)", does) if one not in known] == []


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
def test_settings_that_the_readme_shows_are_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "corporate-ca.pem").write_bytes(made.pem(*corporate()))
    file = tmp_path / "meshpki.yaml"
    file.write_text(block if "apiVersion" in block else HEADER + block)
    assert read([file])


def test_the_readme_counts_the_changed_chains_as_they_are() -> None:
    counted = re.findall(r"\| (\d+) changed certificate chains", README)
    assert counted == [str(len(CASES))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    files = [path.parent / link.partition("#")[0] if not link.startswith("#") else path for link in links]
    assert [str(file) for file in files if not file.exists()] == []
    for link, file in zip(links, files, strict=True):
        if anchor := link.partition("#")[2]:
            assert anchor in anchors(file), link


def anchors(document: Path) -> set[str]:
    """What a forge makes of its headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_is_numbered_once_and_says_since_when_it_stands() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [path.read_text().splitlines()[0].partition(". ")[0] for path in decisions] == [f"# {n}" for n in numbers]
    assert [path.name for path in decisions if not STATUS.fullmatch(path.read_text().splitlines()[2])] == []
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\((0[^)]+)\)", index) == [path.name for path in decisions]


def test_the_version_is_the_same_wherever_it_stands() -> None:
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert {packaged, __version__, newest[1]} == {__version__}


def test_no_document_or_module_names_a_path_of_one_machine() -> None:
    named = re.compile(r"(^|[^A-Za-z0-9_.-])/(work|root)/")
    patterns = ("*.md", "*.toml", "*.py", "docs/**/*", "examples/**/*", "templates/**/*", "meshpki/**/*.py")
    files = [path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file() and path.suffix != ".pyc"]
    assert [str(path) for path in files if named.search(path.read_text(encoding="utf-8"))] == []
