"""The lab as `lab up` and `up --lab` bring it up, and how `up` then reaches it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meshpki.cli import output
from meshpki.cli.making import telling

if TYPE_CHECKING:
    from meshpki.cli.mesh import Wanted
    from meshpki.lab.lab import Lab
    from meshpki.settings import Settings


def bring_up_lab(nodes: int | None, driver: str = "auto", *, install_packages: bool = False) -> "Lab":
    """Bring the lab up, telling what is built and how long each took."""
    from meshpki.lab.driver import choose
    from meshpki.lab.lab import Wish

    def consent(command: str) -> bool:
        if install_packages:
            output.progress(f"lab  {command}")
            return True
        if not sys.stdin.isatty():
            return False
        output.progress(f"missing packages. Run `{command}`? [y/N]")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    with telling() as report:
        made = choose(driver).up(Wish(nodes, consent), report)
    return past_proxies(made)


def past_proxies(made: "Lab") -> "Lab":
    """The lab, which is on this machine: neither we nor the children that we start ask a proxy for it."""
    from meshpki.cluster.kubeconfig import configured

    host = urlsplit(configured(made.context, made.kubeconfig).settings.host).hostname or ""
    os.environ.update(left_out(host, os.environ))
    return made


def left_out(host: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Both spellings of NO_PROXY with a host added; each program reads another one first."""
    said = {name: environment.get(name, "") for name in ("NO_PROXY", "no_proxy")}
    either = next(filter(None, said.values()), "")
    names = {name: (value or either).split(",") for name, value in said.items()}
    # * means every host only where it stands alone
    return {name: ",".join(filter(None, one if "*" in one else [*one, host])) for name, one in names.items()}


def running_lab(driver: str = "auto") -> "Lab":
    """The lab as it runs, which is not touched; raises PreconditionError (MPK-504) where none does."""
    from meshpki.errors import PreconditionError
    from meshpki.lab.driver import choose

    made = choose(driver).lab()
    if made is None:
        raise PreconditionError("MPK-504", "no lab is running", remedy="run `meshpki lab up`, then the same command")
    return made


def add_approver_policy() -> None:
    """Give the lab's nodes the one image that not every lab has."""
    from meshpki.lab.driver import choose

    with telling() as report:
        choose("auto").add_approver_policy(report)


def on_lab(nodes: int | None, driver: str, files: tuple[Path, ...], *, install: bool) -> "Wanted":
    """Bring the lab up and say how it is reached; its settings are an overlay as any user could write it."""
    from meshpki.lab.driver import choose
    from meshpki.settings import read

    if Path("-") not in files:  # which can be read only once
        wish, maker = read(files), choose(driver)  # wrong files are told before minutes of building
        if not maker.brings_artifacts and (files or maker.lab() is None):
            _check_pins(wish)
    made = bring_up_lab(nodes, driver, install_packages=install)
    if Path("-") not in files and read(files).approval.policy:
        add_approver_policy()
    return _reached(made)


def on_running_lab(driver: str, files: tuple[Path, ...]) -> "Wanted":
    """How the lab that runs is reached, for whoever may change nothing; raises as `running_lab`."""
    from meshpki.settings import read

    if Path("-") not in files:
        read(files)  # wrong files need no lab to be told
    return _reached(past_proxies(running_lab(driver)))


def _reached(made: "Lab") -> "Wanted":
    from meshpki.cli.mesh import Wanted

    overlay = (made.settings,) if made.settings else ()
    return Wanted(made.context, made.kubeconfig, overlay, lab=True)


def _check_pins(wish: "Settings") -> None:
    """A missing pin is told before minutes of building, too; a lab that is there may have the pins in its mesh."""
    from meshpki.artifacts import check_pins
    from meshpki.errors import PreconditionError

    try:
        check_pins(wish)
    except PreconditionError as error:
        remedy = f"{error.remedy}, with -f; or take `--driver native`, as root on Linux (amd64), which makes them here"
        raise PreconditionError(error.code, error.what, where=error.where, remedy=remedy) from error
