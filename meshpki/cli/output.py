"""Where words go: data to stdout, progress to stderr. The one place that knows the terminal."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from meshpki.errors import MeshpkiError

ASCII = "MESHPKI_ASCII"
DRY_RUN = "a dry run: nothing was changed"
# what the forms draw with, and what stands for it where that cannot be shown
_PLAINLY = str.maketrans(
    {"─": "-", "│": "|", "├": "|", "└": "`", "…": "...", "✔": "+", "✓": "+", "✘": "x", "✗": "x", "·": "-", "→": "->"}
)
# actions/runner ActionCommand.cs: `::name` begins a line, with or without space before it; `##[` stands anywhere
_COMMAND = re.compile(r"(?:(?<=\n)|^)[^\S\n]*:(?=:)|#(?=#\[)")
_RED, _RESET = "\x1b[31m", "\x1b[0m"

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Terminal:
    """What standard error can show: whether a person watches, in colour, with more than ASCII."""

    interactive: bool
    color: bool
    unicode: bool


def terminal() -> Terminal:
    """Decided by the terminal and the environment: CI, TERM=dumb, NO_COLOR, FORCE_COLOR, MESHPKI_ASCII are heeded."""
    watched = sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    color = (watched or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")
    encoding = (sys.stderr.encoding or "").lower().replace("-", "")
    return Terminal(watched, color, encoding == "utf8" and not os.environ.get(ASCII))


def choose(color: str, *, ascii_only: bool) -> None:
    """What the command line says of it, `auto`, `always` or `never`, for this process and those that it starts."""
    if color != "auto":
        said, unsaid = ("FORCE_COLOR", "NO_COLOR") if color == "always" else ("NO_COLOR", "FORCE_COLOR")
        os.environ.pop(unsaid, None)
        os.environ[said] = "1"
    if ascii_only:
        os.environ[ASCII] = "1"


def width() -> int:
    """The columns of the terminal that reads standard output; 0 where it is none, and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def data(text: str) -> None:
    """Print what a program may read, to stdout."""
    _write(sys.stdout, text)


def progress(text: str) -> None:
    """Print what a person follows, to stderr."""
    _write(sys.stderr, text)


def told(text: str) -> None:
    """The same of words that may be somebody else's."""
    progress(plain(text))


def _write(stream: TextIO, text: str) -> None:
    """A reader that went away (`| head`) is no failure: the work goes on, and the exit code stays what it is.

    Raises MeshpkiError (MPK-262) where standard output can take no more.
    """
    ended = text if text.endswith("\n") else f"{text}\n"
    try:
        try:
            stream.write(in_ascii(ended) if os.environ.get(ASCII) else ended)
        except UnicodeEncodeError:
            stream.write(in_ascii(ended))
        stream.flush()
    except BrokenPipeError:
        hush(stream)
    except OSError as error:
        hush(stream)
        if stream is sys.stdout:
            what = f"standard output cannot be written: {error.strerror or type(error).__name__}"
            raise MeshpkiError("MPK-262", what, remedy="make room, or write elsewhere, and run it again") from error


def hush(stream: TextIO) -> None:
    """What is written to a stream from now on goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def in_ascii(text: str) -> str:
    """The same with nothing but ASCII: drawn otherwise, or by number as JSON writes it."""
    drawn = text.translate(_PLAINLY)
    if drawn.isascii():
        return drawn
    import json

    return "".join(one if one.isascii() else json.dumps(one)[1:-1] for one in drawn)


def failure(error: MeshpkiError) -> None:
    """Print an error whole: code and what happened, where, what to do, and where to read more."""
    word = f"{_RED}error{_RESET}" if terminal().color else "error"
    progress(f"{word} {error.code}: {_indented(error.what)}")
    if error.where:
        progress(f"  where: {_indented(error.where)}")
    if error.remedy:
        progress(f"  to do: {_indented(error.remedy)}")
    progress(f"  more:  meshpki explain {error.code}")


def plain(text: str) -> str:
    """Text from a cluster without what steers a terminal: control and bidirectional characters are shown, not sent.

    So is what would make one of its lines a workflow command of GitHub's runner.
    """
    shown = "".join(one if one == "\n" or one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return _COMMAND.sub(lambda found: f"{found[0][:-1]}\\u{ord(found[0][-1]):04x}", shown)


def _indented(text: str) -> str:
    """Text of several lines, of which none but the first can be taken for one of ours."""
    return plain(text).replace("\n", "\n    ")


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
