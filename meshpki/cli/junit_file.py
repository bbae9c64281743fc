"""The JUnit file of a command: there from its first moment, and never without a failure unless it came through."""

from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from meshpki.cli import output
from meshpki.cli.document import write_whole
from meshpki.cli.verdicts.junit import aborted
from meshpki.errors import MeshpkiError, UsageError


class JUnitFile:
    """A file (None: none) that is replaced whole; `shown` also writes what it ends as to stdout.

    It is first written with a failed case, so that a command that is killed leaves no older success behind.
    """

    def __init__(self, path: Path | None, properties: dict[str, str], *, shown: bool = False) -> None:
        """`properties` describe the run; they may be added to until it ends."""
        self.properties = properties
        self._path, self._shown, self._kept = path, shown, False

    def __enter__(self) -> Self:
        """Raises UsageError (MPK-368) where the file cannot be written, before anything is looked at."""
        unfinished = MeshpkiError("MPK-368", "the command was ended before it had a result", remedy="run it again")
        self._write(aborted(unfinished, self.properties, datetime.now(UTC)))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Say why there is no report where there is none."""
        if error is not None and not self._kept:
            self.keep(aborted(error, self.properties, datetime.now(UTC)))

    @property
    def wanted(self) -> bool:
        """Whether anybody will read it."""
        return self._shown or self._path is not None

    def keep(self, text: str) -> None:
        """What the file shall hold in the end."""
        self._kept = True
        self._write(text)
        if self._shown:
            output.data(text)

    def _write(self, text: str) -> None:
        if self._path is None:
            return
        try:
            write_whole(self._path, text)
        except OSError as error:
            what = f"cannot be written: {error.strerror or type(error).__name__}"
            raise UsageError(
                "MPK-368", what, where=str(self._path), remedy="choose a place you may write to"
            ) from error
