"""What the client library only logs of a credential plugin that gives nothing, instead of raising it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from meshpki.cluster.manifest import Object
from meshpki.errors import PreconditionError

_ENDED = "process returned "


@contextmanager
def unsaid() -> Iterator[list[str]]:
    """What the library logs meanwhile, kept off the terminal: a plugin's own words would come there raw."""
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    try:
        yield heard.words
    finally:
        logging.getLogger().removeHandler(heard)


def gave_nothing(plugin: Object, said: list[str], where: str) -> PreconditionError:
    """The error for a user's `exec` entry without credentials; its arguments may be secret, as its words may."""
    command = plugin.get("command") or "a command that is not named"
    what = f"the credential plugin `{command}` gave no credentials: {_why(said)}"
    remedy = "run it by hand, with its arguments and environment of the kubeconfig, and mend what it says"
    return PreconditionError("MPK-101", what, where=where, remedy=remedy)


def _why(said: list[str]) -> str:
    told = (said[-1] if said else "it answered without a reason").removeprefix("exec: ")
    return f"exit code {told.removeprefix(_ENDED).partition('.')[0]}" if told.startswith(_ENDED) else told


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())
