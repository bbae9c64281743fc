"""What is built once and kept: every finished thing has a path named by the fingerprint of what it was made from."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from meshpki.errors import PreconditionError

UNFINISHED = ".unfinished-"


def fingerprint(inputs: Iterable[bytes | str]) -> str:
    """24 hex digits that change when any of `inputs`, their number or their order does."""
    digest = hashlib.sha256()
    for one in inputs:
        data = one.encode() if isinstance(one, str) else one
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:24]


def keep(target: Path, make: Callable[[Path], None]) -> None:
    """Have `make` fill a directory beside `target`, then rename it there: `target` is whole or it is not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=target.parent, ignore_cleanup_errors=True) as scratch:
        work = Path(scratch) / "work"
        work.mkdir()
        make(work)
        work.rename(target)


def sweep(root: Path) -> None:
    """Remove what killed processes left unfinished under `root`; only its lock's holder may."""
    for leftover in root.glob(f"*/**/{UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def sole_builder(root: Path) -> Iterator[None]:
    """Be the only process that builds into `root`: wait for the one before, whose results are then found kept."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (root / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        sweep(root)
        yield


def require_space(root: Path, gigabytes: int) -> None:
    """Raise PreconditionError MPK-512 where the file system of `root` has less free than `gigabytes` (10^9 bytes)."""
    free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize / 1e9
    if free >= gigabytes:
        return
    what = f"{free:.1f} GB free; building the lab's parts needs {gigabytes} GB"
    raise PreconditionError("MPK-512", what, where=str(root), remedy="free some, or point XDG_CACHE_HOME elsewhere")
