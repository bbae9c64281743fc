"""The question before a cluster is changed; nobody is asked twice, and nobody who is not there."""

import sys

from meshpki.cli import output
from meshpki.errors import UsageError


def consent(context: str) -> None:
    """Go on only if a person says so; raises UsageError (MPK-112) where there is none, or it is no."""
    if not sys.stdin.isatty():
        what = "there is nobody to ask: standard input is no terminal"
        raise UsageError("MPK-112", what, remedy="say --yes to go on without a question")
    output.progress(output.plain(f"Go on, on {context}? [y/N]"))
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("MPK-112", "not confirmed; nothing was changed", remedy="answer y, or say --yes")


def consent_by_name(context: str, name: str) -> str:
    """What a person types when asked for a name; raises UsageError (MPK-112) where there is nobody to ask."""
    if not sys.stdin.isatty():
        what = "there is nobody to ask: standard input is no terminal"
        raise UsageError("MPK-112", what, remedy=f"say --yes and the name, {name}, to go on without a question")
    output.progress(output.plain(f"To destroy it on {context}, type its name ({name}):"))
    return sys.stdin.readline().strip()
