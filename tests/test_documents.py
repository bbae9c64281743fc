"""What the documents claim is true of the code."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from meshpki.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> set[str]:
    """Every command line that a code block of the README shows."""
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", README, re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return {line.partition("   #")[0].strip() for line in lines}


def test_the_picture_is_the_one_that_its_program_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "trust_chain.py"))["picture"]()
    assert (ROOT / "docs" / "trust-chain.svg").read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("line", sorted(line for line in commands() if line.startswith("meshpki ")))
def test_every_command_in_the_readme_parses(line: str) -> None:
    words = shlex.split(re.sub(r"\$\(.*?\)", "x", line), comments=True)[1:]
    command = get_command(app)
    context = command.make_context("meshpki", [], resilient_parsing=True)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    command.make_context("meshpki", words, parent=context) if "--help" not in words else None


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
