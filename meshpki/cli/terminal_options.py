"""`--color` and `--ascii`: options of meshpki itself that may stand anywhere on its line."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from meshpki.cli import output

if TYPE_CHECKING:
    # the click that Typer brings along; TyperGroup's own methods take this one
    from typer._click.core import Command, Context


class Color(StrEnum):
    """When to use colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Everywhere(TyperGroup):
    """Reads these options wherever they stand before `--`, as people add them last."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Typer's own, with these options first."""
        for one in every(self):
            # without a blank line before it the mark is printed, and steers the terminal
            one.epilog = (one.epilog or "").replace("\n\b\n", "\n\n\b\n") or None
        return super().parse_args(ctx, hoisted(args))


def every(command: "Command") -> "Iterator[Command]":
    """A command and all below it."""
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from every(below)


def hoisted(args: Sequence[str]) -> list[str]:
    """The same words, `--color WHEN`, `--color=WHEN` and `--ascii` before all others; from `--` on nothing moves."""
    end = args.index("--") if "--" in args else len(args)
    first, rest, waits = list[str](), list[str](), False
    for word in args[:end]:
        ours = waits or word in ("--color", "--ascii") or word.startswith("--color=")
        (first if ours else rest).append(word)
        waits = word == "--color" and not waits
    return [*first, *rest, *args[end:]]


def meshpki(
    color: Annotated[Color, typer.Option("--color", help="auto: on a terminal, unless NO_COLOR is set.")] = Color.AUTO,
    *,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Write nothing but ASCII.")] = False,
) -> None:
    """Heed them, whatever the command is."""
    output.choose(color, ascii_only=ascii_only)
