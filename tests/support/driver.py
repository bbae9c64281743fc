"""Which lab the tests run on, and the labs that some of them make for themselves."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from meshpki.lab.driver import docker_answers, pick
from meshpki.lab.home import Home

UP = ("lab", "up", "--driver", "native")
LEFT_OUT = (
    "a Docker engine answers here, so `lab up` would take kind, for whose mesh istioctl has no pin of ours: "
    f"`meshpki {' '.join(UP)}` first, or MESHPKI_LAB=required, runs it on the native lab"
)


def of_tests(*, required: bool, made: str, docker: Callable[[], bool] = docker_answers) -> str:
    """As `lab up` would choose it, where the lab that is there was `made` by one; what is required is all of it."""
    return "native" if required else pick("auto", made, docker=docker)


def own_name(purpose: str, process: int) -> str:
    """Of a lab that a run of the tests, this process, has for itself: names are claimed for the whole machine.

    A `purpose` of three letters leaves room for every process id.
    """
    return f"{purpose}-{process}"


@contextmanager
def own_lab(purpose: str, home: Path) -> Iterator[dict[str, str]]:
    """The environment of such a lab; the file of its claim, that nobody else will ever need, ends with it."""
    name = own_name(purpose, os.getpid())
    try:
        yield {"MESHPKI_LAB_HOME": str(home), "MESHPKI_LAB_NAME": name}
    finally:
        Home(home, name).claim.unlink(missing_ok=True)
