"""The choice of what makes the lab on this machine."""

import shutil
import subprocess
from collections.abc import Callable

from meshpki.errors import UsageError
from meshpki.lab.kind import Kind
from meshpki.lab.lab import Driver
from meshpki.lab.native import Native

DOCKER_SECONDS = 10


def docker_answers() -> bool:
    """Whether a Docker engine answers, not only its client."""
    if shutil.which("docker") is None:
        return False
    argv = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=DOCKER_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def pick(name: str, *, docker: Callable[[], bool] = docker_answers) -> str:
    """The driver's name that `name` (native, kind or auto) stands for on this machine; raises UsageError MPK-508."""
    match name:
        case "native" | "kind":
            return name
        case "auto":
            return "kind" if docker() else "native"
        case _:
            raise UsageError("MPK-508", f"{name!r} is no lab driver", where="--driver", remedy="native, kind or auto")


def choose(name: str = "auto") -> Driver:
    """The driver that `name` stands for; whether it can work here its `up` says."""
    return Kind() if pick(name) == "kind" else Native()
