"""One lab for several runs of the tests at once: the last of them takes it down, where one of them made it."""

import fcntl
from pathlib import Path
from types import TracebackType
from typing import Self


class Sharing:
    """A run's part in a lab; `path` is the file by which runs know of each other, whatever they end of."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+")

    def __enter__(self) -> Self:
        if self._alone():
            self._file.truncate(0)  # what a run that was killed left says nothing of the lab of now
        fcntl.flock(self._file, fcntl.LOCK_SH)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def made(self) -> None:
        """This run made the lab."""
        self._file.write("made")
        self._file.flush()

    def ends_it(self) -> bool:
        """Whether this run is the last one, and the lab was made by one of them."""
        self._file.seek(0)
        return self._alone() and bool(self._file.read())

    def _alone(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
