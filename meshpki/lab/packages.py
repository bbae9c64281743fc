"""The Debian packages that the native lab runs on."""

import os
import shlex
import shutil
import subprocess
import time
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
PAUSE = 2.0
_LOCKED = "Could not get lock"  # apt-pkg/contrib/fileutl.cc, as the locale C has it
_WAIT = "wait until the other package manager has ended, then run the same command again"


def command(missing: Iterable[str]) -> str:
    """The one command that installs them."""
    return f"apt-get update && apt-get install --yes --no-install-recommends {shlex.join(missing)}"


def missing(wanted: Iterable[str], installed: str) -> tuple[str, ...]:
    """What of `wanted` is not among the lines `installed PACKAGE` of dpkg-query."""
    there = {line.split()[1] for line in installed.splitlines() if line.startswith("installed ")}
    return tuple(sorted(set(wanted) - there))


def ensure(wanted: Iterable[str], consent: Consent, report: Report, seconds: float = APT_SECONDS) -> tuple[str, ...]:
    """Install what is missing if `consent` says so, telling so; returns what was installed.

    Raises PreconditionError MPK-502 with the command where it does not, LabError MPK-517 where apt-get fails or takes
    longer than `seconds`.
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
        _apt("update", seconds=seconds)
    with timed(report, f"apt-get install of {len(absent)} packages"):
        _apt("install", "--yes", "--no-install-recommends", *absent, seconds=seconds)
    return absent


def _installed() -> str:
    argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n"]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout


def _apt(*arguments: str, seconds: float) -> None:
    """Again while another one has a lock, as unattended-upgrades has on a fresh machine.

    DPkg::Lock::Timeout would not do: the lists have a lock of their own, for which `update` does not wait.
    """
    until = time.monotonic() + seconds
    said = _failure(arguments, seconds)
    while _LOCKED in said and time.monotonic() + PAUSE < until:
        time.sleep(PAUSE)
        said = _failure(arguments, seconds)
    if said:
        remedy = f"run `{shlex.join(('apt-get', *arguments))}` by hand, which says all of it; then this again"
        raise LabError("MPK-517", said, where=f"apt-get {arguments[0]}", remedy=_WAIT if _LOCKED in said else remedy)


def _failure(arguments: tuple[str, ...], seconds: float) -> str:
    """The last that apt-get said where it failed; empty where it did not."""
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    argv = ("apt-get", "--quiet", *arguments)
    try:
        done = subprocess.run(argv, env=quiet, capture_output=True, check=False, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"stopped, as it had not ended after {seconds:.0f} s"
    if done.returncode == 0:
        return ""
    last = (done.stderr or done.stdout).strip().splitlines()[-5:]
    return "\n".join([f"exit code {done.returncode}", *last])
