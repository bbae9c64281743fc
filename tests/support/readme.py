"""The code blocks of a README: what a user is told to type, and what he is shown for it."""

import re
import shlex
from dataclasses import dataclass

from typer.main import get_command

from meshpki.cli.app import app

_BLOCK = re.compile(r"```(?:console|sh)\n(.*?)```", re.DOTALL)
_ELSEWHERE = {">", ">>", "|", "<"}


@dataclass(frozen=True)
class Typed:
    """One command, and the lines that stand below it; none where the README shows no output."""

    command: str
    shown: tuple[str, ...]


def blocks(readme: str) -> list[list[Typed]]:
    """The commands of each block of a shell, in their order."""
    return [_typed(block) for block in _BLOCK.findall(readme)]


def _typed(block: str) -> list[Typed]:
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    lines = [part.splitlines() for part in parts]
    return [Typed(first.partition("   #")[0].strip(), tuple(rest)) for first, *rest in lines]


def parse(line: str) -> None:
    """Have the real command line parse one that begins with `meshpki`; what it is piped or written to is a shell's."""
    words = shlex.split(re.sub(r"\$\(.*?\)", "x", line), comments=True)[1:]
    ends = [number for number, word in enumerate(words) if word in _ELSEWHERE]
    words = words[: ends[0]] if ends else words
    command = get_command(app)
    context = command.make_context("meshpki", [], resilient_parsing=True)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    command.make_context("meshpki", words, parent=context) if "--help" not in words else None
