"""What the documents claim is true of the code."""

import re
import runpy
from pathlib import Path

import pytest
from typer.main import get_command

from meshpki.cli.app import app
from tests.support.readme import blocks, parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_every_decision_is_numbered_once() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert len(numbers) == len(set(numbers))


def test_no_document_or_module_names_a_path_of_one_machine() -> None:
    named = re.compile(r"(^|[^A-Za-z0-9_.-])/(work|root)/")
    files = [path for pattern in ("*.md", "meshpki/**/*.py", "docs/**/*.md") for path in ROOT.glob(pattern)]
    assert [str(path) for path in files if named.search(path.read_text(encoding="utf-8"))] == []
