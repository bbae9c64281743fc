"""A file that is there whole or not at all, for its owner alone, and never takes another's place unasked."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from meshpki.errors import UsageError


@contextmanager
def whole_file(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """What to write into, mode 0600; it gets its name at the end, and is gone where that is not reached.

    Raises UsageError: MPK-260 where a file of this name is there and is not to be replaced, MPK-261 where it cannot
    be written.
    """
    _free(path, replace=replace)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _free(path, replace=replace)
        Path(name).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _free(path: Path, *, replace: bool) -> None:
    if path.is_dir():
        raise UsageError("MPK-261", "it is a folder", where=str(path), remedy="name a file")
    if not replace and path.exists():
        remedy = "name another file with --out, or replace this one with --force"
        raise UsageError("MPK-260", "the file is there already", where=str(path), remedy=remedy)


def _unwritable(path: Path, error: OSError) -> UsageError:
    what = f"cannot be written: {error.strerror or type(error).__name__}"
    return UsageError("MPK-261", what, where=str(path), remedy="name a file in a folder that you may write")
