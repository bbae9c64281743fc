"""Where words go: stdout carries data, stderr the story. The one place that knows the terminal."""

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from meshpki.errors import MeshpkiError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Terminal:
    """What standard error can show: whether a person watches, in colour, with more than ASCII."""

    interactive: bool
    color: bool
    unicode: bool


def terminal() -> Terminal:
    """Decided once from the terminal and the environment: CI, NO_COLOR and TERM=dumb are heeded."""
    watched = sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    encoding = (sys.stderr.encoding or "").lower().replace("-", "")
    return Terminal(watched, watched and not os.environ.get("NO_COLOR"), encoding == "utf8")


def width() -> int:
    """The columns of the terminal that reads standard output; 0 where it is none, and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def data(text: str) -> None:
    """Print what a program may read, to stdout."""
    _write(sys.stdout, text)


def progress(text: str) -> None:
    """Print what a person follows, to stderr."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    """A reader that went away (`| head`) is no failure: the work goes on, and the exit code stays what it is."""
    try:
        stream.write(text if text.endswith("\n") else f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def failure(error: MeshpkiError) -> None:
    """Print an error whole: code and what happened, where, what to do, and where to read more."""
    progress(f"error {error.code}: {plain(error.what)}")
    if error.where:
        progress(f"  where: {plain(error.where)}")
    if error.remedy:
        progress(f"  to do: {plain(error.remedy)}")
    progress(f"  more:  meshpki explain {error.code}")


def plain(text: str) -> str:
    """Text from a cluster without what steers a terminal: control and bidirectional characters are shown, not sent."""
    return "".join(one if one == "\n" or one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def console() -> "Console":
    """A rich console on standard error, told what the terminal can show rather than left to guess."""
    from rich.console import Console

    seen = terminal()
    return Console(
        stderr=True,
        force_interactive=seen.interactive,
        color_system="auto" if seen.color else None,
        no_color=not seen.color,
        highlight=False,
        markup=False,
        emoji=False,
    )
