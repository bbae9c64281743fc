"""Which lab the tests run on."""

from collections.abc import Callable

from meshpki.lab.driver import docker_answers, pick

UP = ("lab", "up", "--driver", "native")
LEFT_OUT = (
    "a Docker engine answers here, so `lab up` would take kind, for whose mesh istioctl has no pin of ours: "
    f"`meshpki {' '.join(UP)}` first, or MESHPKI_LAB=required, runs it on the native lab"
)


def of_tests(*, required: bool, made: str, docker: Callable[[], bool] = docker_answers) -> str:
    """As `lab up` would choose it, where the lab that is there was `made` by one; what is required is all of it."""
    return "native" if required else pick("auto", made, docker=docker)
