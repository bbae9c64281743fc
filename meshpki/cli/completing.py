"""How a word of the command line may go on: commands and options as Typer knows them, names by `names.py`."""

import io
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING

from typer._completion_classes import completion_init
from typer.main import get_command

from meshpki.cli import names
from meshpki.cli.app import app
from meshpki.cli.terminal_options import every

if TYPE_CHECKING:
    # the click that Typer brings along; Typer itself has no other names for these
    from typer._click.core import Command, Context, Parameter

ASKED = "_MESHPKI_COMPLETE"
_LEAST = 2  # the program, and the word that is being typed
# a file is for the shell to complete
_FILES = ("path", "file", "directory", "filename")
_BY_OPTION: dict[str, names.Source] = {
    "--context": names.contexts,
    "--namespace": names.namespaces,
    "--only": names.steps,
    "--skip": names.steps,
    "--from": names.steps,
    "--to": names.steps,
    "--step": names.steps,
    "--until": names.stages,
    "--retire": names.retirable,
}
_BY_ARGUMENT: dict[str, names.Source] = {
    "workloads": names.workloads,
    "what": names.pods,
    "code": names.codes,
    "steps": names.steps,
}


def answer(line: str) -> None:
    """Write what may follow the line (all that stands before the cursor), one a line, and end this process, with 0.

    What goes wrong on the way is silent: somebody is typing.
    """
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, sys.stdin.fileno())
    os.dup2(silence, sys.stderr.fileno())
    try:
        sys.stdout.write("".join(f"{word}\n" for word in words_after(line)))
        sys.stdout.flush()
    except Exception:  # noqa: BLE001, S110 - silent by intent
        pass
    finally:
        _end_children()
        os._exit(0)  # a look-up that was given up may hang on


def words_after(line: str) -> list[str]:
    """The words with which a command line may go on."""
    said = split(line)
    if len(said) < _LEAST or line[-1].isspace():
        said = [*(said or ["meshpki"]), ""]
    command = get_command(app)
    for one in every(command):
        for param in one.params:
            source = _source(param)
            if source:
                # Typer takes it where a parameter is declared; said here, it holds for every command there is
                param._custom_shell_complete = partial(_named, source)  # noqa: SLF001 - Typer keeps no public place for it
    return [word for word in _of_typer(command, said) if word]


def _source(param: "Parameter") -> names.Source | None:
    if param.type.name in _FILES:
        return names.none
    if param.param_type_name == "argument":
        return _BY_ARGUMENT.get(param.name or "")
    return next((_BY_OPTION[option] for option in param.opts if option in _BY_OPTION), None)


def _named(source: names.Source, context: "Context", _param: "Parameter", begun: str) -> list[str]:
    given = {**(context.parent.params if context.parent else {}), **context.params}
    wanted = names.Wanted(
        str(given.get("context") or ""), _path(given.get("kubeconfig")), str(given.get("namespace") or "")
    )
    found = source(wanted) if source in names.OWN else names.in_time(lambda: source(wanted))
    return [name for name in names.harmless(found) if name.startswith(begun)]


def _path(value: object) -> Path | None:
    return Path(str(value)) if value else None


def _of_typer(command: "Command", said: Sequence[str]) -> list[str]:
    """Typer's own answer, by the protocol that it has for bash: the words of a line in, one candidate a line out."""
    completion_init()
    os.environ |= {ASKED: "complete_bash", "COMP_WORDS": shlex.join(said), "COMP_CWORD": str(len(said) - 1)}
    told = io.StringIO()
    with redirect_stdout(told), suppress(SystemExit):
        command(args=[], prog_name="meshpki", complete_var=ASKED)
    return told.getvalue().splitlines()


def split(line: str) -> list[str]:
    """The words of a line as a shell reads them, the last of which may have an open quote."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        words.append(lexer.token)
    return words


def _end_children() -> None:
    """A credential plugin of the kubeconfig that answers no more is not left behind."""
    with suppress(OSError, ValueError):
        for task in Path("/proc/self/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                os.kill(int(child), SIGKILL)
