"""The lab's cgroups, on version 1 (one hierarchy a controller) and version 2 (one for all)."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
PATIENCE = 10.0
_VANISHED = (errno.ENOENT, errno.ENODEV)  # the latter of a cgroup that was found before it went


def hierarchies(mount: Path = MOUNT) -> tuple[Path, ...]:
    """The root of every hierarchy below `mount`, each once though it has several names."""
    if (mount / "cgroup.controllers").exists():
        return (mount,)
    return tuple(sorted({each.resolve() for each in mount.iterdir() if (each / "cgroup.procs").exists()}))


def make(path: str, mount: Path = MOUNT) -> None:
    """Make the cgroup `path` (absolute, within the hierarchies) in every one, ready to hold pods."""
    until = time.monotonic() + PATIENCE
    for hierarchy in hierarchies(mount):
        while True:
            try:
                _make(path, hierarchy)
                break
            except OSError as error:  # a parent was removed with another lab, a moment before it held this one
                if error.errno not in _VANISHED or time.monotonic() > until:
                    raise
                time.sleep(0.05)


def _make(path: str, hierarchy: Path) -> None:
    parent = hierarchy
    for part in Path(path.lstrip("/")).parts:
        child = parent / part
        _delegate(parent)
        child.mkdir(exist_ok=True)
        _inherit_cpuset(parent, child)
        parent = child
    _delegate(parent)


def _delegate(group: Path) -> None:
    """Version 2: let the children of `group` use every controller that it has itself."""
    with suppress(FileNotFoundError):
        names = (group / "cgroup.controllers").read_text().split()
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in names))


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """Version 1: a cpuset starts empty, and an empty one takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (child / "cgroup.clone_children").exists() and (child / name).exists():
            (child / name).write_text((parent / name).read_text())


def remove(path: str, mount: Path = MOUNT) -> None:
    """Kill what still runs in the cgroup `path` and remove it with all its children, in every hierarchy.

    Its parents go with it, where nothing else is in them.
    """
    until = time.monotonic() + PATIENCE
    for hierarchy in hierarchies(mount):
        top = hierarchy / path.lstrip("/")
        while top.exists() and time.monotonic() < until:
            for group in _deepest_first(top):
                _kill(group)
                with suppress(OSError):
                    group.rmdir()
            if top.exists():
                time.sleep(0.05)
        for parent in takewhile(hierarchy.__ne__, top.parents):
            with suppress(OSError):
                parent.rmdir()


def _deepest_first(top: Path) -> Iterator[Path]:
    for directory, _, _ in os.walk(top, topdown=False):
        yield Path(directory)


def _kill(group: Path) -> None:
    with suppress(OSError):
        for pid in map(int, (group / "cgroup.procs").read_text().split()):
            if pid:  # 0 is a process that this namespace cannot see, and would mean our own group
                os.kill(pid, signal.SIGKILL)
