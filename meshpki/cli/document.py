"""A document that goes to a file the user names, or to stdout."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from meshpki.cli import output
from meshpki.errors import UsageError

_MODE = 0o644


def deliver(text: str, out: Path | None) -> None:
    """Write a document to stdout, or whole or not at all to a file; raises UsageError (MPK-390)."""
    if out is None:
        output.data(text)
        return
    try:
        write_whole(out, text)
    except OSError as error:
        what = f"cannot be written: {error.strerror or type(error).__name__}"
        raise UsageError(
            "MPK-390", what, where=str(out), remedy="name a file in a folder that you may write"
        ) from error
    output.progress(output.plain(f"written to {out}"))


def write_whole(path: Path, text: str) -> None:
    """Beside the old file first, so that a reader never finds half of one; raises OSError."""
    if path.is_dir():
        raise IsADirectoryError(None, "it is a folder")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text if text.endswith("\n") else f"{text}\n")
            os.fchmod(stream.fileno(), _MODE)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
