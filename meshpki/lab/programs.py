"""Programs of this machine that go into images, with every library they load."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from meshpki.errors import PreconditionError
from meshpki.lab.archive import Entry, File, Link

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_LOADED = re.compile(r"^\s+(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
_IPTABLES = re.compile(r"xtables-(nft|legacy)-multi")


def find(patterns: Iterable[str]) -> tuple[Path, ...]:
    """The files that paths or globs (in the last part) name; raises PreconditionError MPK-514 for one without any."""
    return tuple(path for pattern in patterns for path in _find(Path(pattern)))


def _find(pattern: Path) -> tuple[Path, ...]:
    found = tuple(sorted(pattern.parent.glob(pattern.name)))
    if not found:
        remedy = "meshpki lab up --install-packages"
        raise PreconditionError("MPK-514", "an image of the lab needs this file", where=str(pattern), remedy=remedy)
    return found


def stamp(paths: Iterable[Path]) -> tuple[str, ...]:
    """What changes when a package is upgraded: each file's path, size and time of change."""
    return tuple(f"{path} {seen.st_size} {seen.st_mtime_ns}" for path in paths for seen in [path.stat()])


def entries(paths: tuple[Path, ...]) -> tuple[Entry, ...]:
    """The programs at their own paths, the libraries they load, and iptables' names where it is among them."""
    files = (File(str(path), path) for path in paths)
    return (*files, *libraries(paths), *iptables_names(path.name for path in paths))


def libraries(binaries: Iterable[Path]) -> tuple[File, ...]:
    """The libraries that binaries load, each at its own path."""
    paths = tuple(binaries)
    return tuple(File(str(path), path) for path in loaded(_listing(paths))) if paths else ()


def _listing(paths: tuple[Path, ...]) -> str:
    # ldd ends with 1 for a static program, which is no failure
    return subprocess.run(["ldd", *map(str, paths)], capture_output=True, check=False, text=True).stdout


def loaded(listing: str) -> tuple[Path, ...]:
    """The libraries and loaders in what ldd printed, each once."""
    return tuple(sorted({Path(path) for path in _LOADED.findall(listing)}))


def iptables_names(programs: Iterable[str]) -> tuple[Link, ...]:
    """Iptables is one program under many names; the plain names are nft's, as on Debian."""
    flavours = {found[1] for name in programs if (found := _IPTABLES.fullmatch(name))}
    names = ((family, tool) for family in ("iptables", "ip6tables") for tool in ("", "-save", "-restore"))
    if not flavours:
        return ()
    return tuple(
        Link(f"/usr/sbin/{family}{infix}{tool}", f"xtables-{flavour}-multi")
        for family, tool in names
        for infix, flavour in (("", "nft"), ("-nft", "nft"), ("-legacy", "legacy"))
        if flavour in flavours
    )
