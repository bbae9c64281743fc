"""The lab of a run of the tests, begun while the tests that need none are at work: its build is what takes longest."""

import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.sharing import Sharing

END_SECONDS = 60


class Making:
    """`up` at work, a command line that makes the lab or finds it whole; `down` ends what a run of the tests made.

    `shared` is the file by which runs at once know of each other, `there` whether the lab is there already.
    """

    def __init__(self, up: Sequence[str], down: Sequence[str], shared: Path, *, there: bool) -> None:
        self._down, self._open = down, ExitStack()
        self._sharing = self._open.enter_context(Sharing(shared))
        if not there:
            self._sharing.made()
        # a file: nobody reads a pipe until the first test that needs the lab
        self._story = self._open.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 - `end` closes it
        self._child = subprocess.Popen(
            up, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._story, text=True
        )

    def join(self, seconds: float) -> str:
        """Wait for `up`, and return what it told; raises TimeoutExpired after so many seconds."""
        self._child.wait(seconds)
        self._story.seek(0)
        return self._story.read()

    def end(self) -> None:
        """Interrupt `up` if it is still at work, and take down what was made here, unless another run needs it."""
        with self._open:
            if self._child.poll() is None:
                self._child.send_signal(signal.SIGINT)
                self._child.wait(END_SECONDS)
            if self._sharing.ends_it():
                subprocess.run(self._down, stdin=subprocess.DEVNULL, capture_output=True, check=False)
