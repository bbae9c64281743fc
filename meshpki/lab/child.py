"""Child processes of the lab: argv lists that die with their parent and whose failures say what was run."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from meshpki.errors import LabError
from meshpki.leash import leashed

OUTSIDE = 0  # what a process in a namespace of its own sees in place of a parent outside of it
SHOWN_LINES = 12


def run(argv: Sequence[str], *, given: str = "", stdin: IO[bytes] | None = None, seconds: float = 60) -> str:
    """Run a short command to its end and return its stdout; its standard input is `stdin`, or the text `given`.

    Raises LabError MPK-520 where it fails or takes longer than `seconds`.
    """
    with TemporaryFile() as spool:
        spool.write(given.encode())
        spool.seek(0)
        try:
            done = subprocess.run(
                leashed(argv), stdin=stdin or spool, capture_output=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            raise LabError("MPK-520", f"still running after {seconds:.0f} s", where=" ".join(argv)) from None
    if done.returncode:
        raise LabError("MPK-520", _reason(done.returncode, done.stderr), where=" ".join(argv))
    return done.stdout.decode()


def _reason(code: int, stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return "\n".join([f"exit code {code}", *lines[-SHOWN_LINES:]])


def start(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that is killed when this one ends, its output appended to `log`."""
    with log.open("ab") as sink:
        return subprocess.Popen(leashed(argv), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)


def listen(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that is killed when this one ends, its stdout to be read by the caller."""
    with log.open("ab") as sink:
        return subprocess.Popen(leashed(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sink)
