"""A native lab's states, and the moves between them: start, follow, clear."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from meshpki.errors import LabError, PreconditionError
from meshpki.lab import cgroups, home, story, topology
from meshpki.lab.home import Home
from meshpki.lab.progress import Progress, Report
from meshpki.lab.spec import Spec

PAUSE = 0.1
END_SECONDS = 15.0
State = Literal["whole", "coming up", "stopped", "half-made", "absent"]
Act = Literal["keep", "wait", "resume", "rebuild"]


def refuse_another_size(had: int, wanted: int) -> None:
    """Raise PreconditionError MPK-505 where a lab of so many nodes is there and another number is wanted."""
    if had != wanted:
        what = f"the lab has {had} node(s), not {wanted}"
        raise PreconditionError("MPK-505", what, where="--nodes", remedy="run `meshpki lab down` first")


def decide(state: State, had: Spec | None, wanted: Spec) -> Act:
    """What `lab up` must do.

    Raises PreconditionError MPK-505 where a lab of another size is there: nodes are not added to a running one.
    """
    if had and state in ("whole", "coming up", "stopped"):
        refuse_another_size(had.nodes, wanted.nodes)
    match state:
        case "whole":
            return "keep"
        case "coming up":
            return "wait"
        case "stopped" if had == wanted:
            return "resume"
        case _:
            return "rebuild"


def observe(place: Home) -> State:
    """What is there: the supervisor's lock says whether it lives, `ready` whether the cluster was ever whole."""
    alive, whole = home.holder(place.supervisor) is not None, place.ready.exists()
    if alive:
        return "whole" if whole and _told_ready(place) else "coming up"
    if whole:
        return "stopped"
    return "half-made" if place.spec.exists() else "absent"


def _told_ready(place: Home) -> bool:
    return any(isinstance(event, story.Ready) for event in story.read(place.story, 0))


def start(place: Home) -> None:
    """Start the supervisor, in a session of its own: it lives on when this process ends."""
    place.story.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "meshpki.lab.supervisor", str(place.root), place.name]
    with place.log("supervisor").open("ab") as log:
        supervisor = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    until = time.monotonic() + END_SECONDS
    while home.holder(place.supervisor) != supervisor.pid and supervisor.poll() is None and time.monotonic() < until:
        time.sleep(PAUSE / 5)


def follow(place: Home, report: Report) -> None:
    """Report what the supervisor does until the cluster is whole; raises the LabError that it met, or MPK-522."""
    told = 0
    while True:
        alive = home.holder(place.supervisor) is not None
        for event in story.read(place.story, told):
            told += 1
            match event:
                case Progress():
                    report(event)
                case story.Failure():
                    raise event.error()
                case story.Ready():
                    return
        if not alive:
            remedy = "run `meshpki lab up` again"
            raise LabError(
                "MPK-522", "the lab's supervisor has ended", where=str(place.log("supervisor")), remedy=remedy
            )
        time.sleep(PAUSE)


def stop(place: Home) -> None:
    """Kill the supervisor, and with it every process of the lab; what it wrote stays."""
    if pid := home.holder(place.supervisor):
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + END_SECONDS
    while home.holder(place.supervisor) and time.monotonic() < until:
        time.sleep(PAUSE)
    cgroups.remove(topology.cgroup(place.name))
    link = topology.link(place.name)
    if Path("/sys/class/net", link).exists():
        with suppress(FileNotFoundError):
            subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)


def clear(place: Home) -> None:
    """Stop the lab and remove what it wrote.

    Under the supervisor's lock: one whose `lab up` was killed at that very moment may be about to begin.
    """
    while True:
        stop(place)
        with suppress(BlockingIOError), home.held(place.supervisor):
            remove_files(place)
            return


def remove_files(place: Home) -> None:
    """Empty the lab's directory, but for its locks: a lock that is unlinked holds nobody back."""
    for path in place.root.iterdir():
        if path in (place.turn, place.supervisor):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
