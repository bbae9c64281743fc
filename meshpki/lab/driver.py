"""The choice of what makes the lab on this machine."""

import shutil
import subprocess
from collections.abc import Callable

from meshpki.errors import PreconditionError, UsageError
from meshpki.lab import home
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


def pick(name: str, made: str = "", *, docker: Callable[[], bool] = docker_answers) -> str:
    """The driver's name that `name` (native, kind or auto) stands for, where the lab that is there was `made` by one.

    Raises UsageError MPK-508 for a name that is none, PreconditionError MPK-516 for another than made the lab: it would
    remove the files of a lab that runs, and leave its processes.
    """
    match name:
        case "native" | "kind":
            if made not in ("", name):
                remedy = "leave --driver out, or remove that lab first: `meshpki lab down`"
                raise PreconditionError("MPK-516", f"the lab is one of driver {made}", where="--driver", remedy=remedy)
            return name
        case "auto":
            return made or ("kind" if docker() else "native")
        case _:
            raise UsageError("MPK-508", f"{name!r} is no lab driver", where="--driver", remedy="native, kind or auto")


def choose(name: str = "auto") -> Driver:
    """The driver that `name` stands for, or that made the lab there is; whether it can work here its `up` says."""
    return Kind() if pick(name, home.locate().driver) == "kind" else Native()
