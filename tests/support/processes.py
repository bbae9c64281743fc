"""Other processes of this machine, as a test looks at them and waits for them."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def runs(pid: int) -> bool:
    """Whether it is there and no zombie that waits for the machine's first process."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
