"""The Debian packages that the native lab runs on."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable

from meshpki.errors import LabError, PreconditionError
from meshpki.lab.lab import Consent
from meshpki.lab.progress import Report
from meshpki.lab.story import timed

NODE_PACKAGES = (
    *("containerd", "runc", "containernetworking-plugins"),
    *("iptables", "nftables", "conntrack", "ethtool", "socat", "iproute2", "util-linux", "ca-certificates"),
)
APT_SECONDS = 900


def command(missing: Iterable[str]) -> str:
    """The one command that installs them."""
    return f"apt-get update && apt-get install --yes --no-install-recommends {shlex.join(missing)}"


def missing(wanted: Iterable[str], installed: str) -> tuple[str, ...]:
    """What of `wanted` is not among the lines `installed PACKAGE` of dpkg-query."""
    there = {line.split()[1] for line in installed.splitlines() if line.startswith("installed ")}
    return tuple(sorted(set(wanted) - there))


def ensure(wanted: Iterable[str], consent: Consent, report: Report) -> tuple[str, ...]:
    """Install what is missing if `consent` says so, telling so; returns what was installed.

    Raises PreconditionError MPK-502 with the command where it does not, LabError MPK-520 where apt-get fails.
    """
    if shutil.which("dpkg-query") is None:
        names = ", ".join(wanted)
        raise PreconditionError(
            "MPK-502", "the native lab needs a Debian or a relative of it", remedy=f"packages: {names}"
        )
    absent = missing(wanted, _installed())
    if not absent:
        return ()
    line = command(absent)
    if not consent(line):
        what = f"missing packages: {', '.join(absent)}"
        raise PreconditionError("MPK-502", what, remedy=f"run `{line}`, or `meshpki lab up --install-packages`")
    with timed(report, "apt-get update"):
        _apt("update")
    with timed(report, f"apt-get install of {len(absent)} packages"):
        _apt("install", "--yes", "--no-install-recommends", *absent)
    return absent


def _installed() -> str:
    argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n"]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout


def _apt(*arguments: str) -> None:
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "--quiet", *arguments], env=quiet, capture_output=True, check=False, text=True, timeout=APT_SECONDS
    )
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise LabError("MPK-520", last, where=f"apt-get {arguments[0]}")
