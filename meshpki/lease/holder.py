"""Who holds the Lease: people read it to know whom to ask, a run on the same machine to see whether it still lives."""

import getpass
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_COMMAND_LIMIT = 300


@dataclass(frozen=True)
class Holder:
    """`identity` is unique to one run; `process` names it for this machine alone (empty where that is not known)."""

    identity: str
    command: str
    process: str = ""


def this_run(command: str) -> Holder:
    """The run of this process; `command` is what was typed."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no name for the user id
        user = str(os.getuid())
    identity = f"{user}@{socket.gethostname()} pid {os.getpid()} {secrets.token_hex(4)}"
    return Holder(identity, command[:_COMMAND_LIMIT], process_name(os.getpid()))


def process_name(pid: int) -> str:
    """A process as one string: boot, process namespace, id and start time; empty where /proc does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
        return f"{boot} {namespace} {pid} {_started(pid)}"
    except (OSError, ValueError, IndexError):
        return ""


def ended(process: str, named: Callable[[int], str] = process_name) -> bool:
    """Whether a process of this machine and process namespace runs no more; False where that cannot be known."""
    here = named(os.getpid()).split()
    there = process.split()
    if not here or len(there) != len(here) or there[:2] != here[:2] or not there[2].isdecimal():
        return False
    return named(int(there[2])) != process


def _started(pid: int) -> str:
    """Field 22 of /proc/PID/stat (proc(5)), in clock ticks since boot; a zombie has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ValueError
    return fields[19]
