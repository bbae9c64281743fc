"""Archives that pass for istioctl's: the one plain file is taken, everything else is refused and nothing is written."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from meshpki.components import istioctl
from meshpki.errors import MeshpkiError, PreconditionError

CONTENT = b"#!/bin/false\n"


def member(name: str = "istioctl", kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size = kind, len(CONTENT) if kind in (tarfile.REGTYPE, tarfile.AREGTYPE) else 0
    for key, value in more.items():
        setattr(found, key, value)
    return found


def packed(*members: tarfile.TarInfo, shape: int = tarfile.GNU_FORMAT) -> bytes:
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w", format=shape) as archive:
        for one in members:
            archive.addfile(one, io.BytesIO(CONTENT) if one.size else None)
    return gzip.compress(spool.getvalue())


def lying(size: int) -> bytes:
    """A header that tells of more content than follows."""
    return gzip.compress(member(size=size).tobuf(tarfile.GNU_FORMAT) + CONTENT)


def sparse() -> bytes:
    header = member(kind=tarfile.GNUTYPE_SPARSE, size=len(CONTENT))
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + CONTENT.ljust(512, b"\0") + b"\0" * 1024)


GOOD = packed(member())
HOSTILE: dict[str, Callable[[], bytes]] = {
    "a way up": lambda: packed(member("../istioctl")),
    "an absolute path": lambda: packed(member("/usr/local/bin/istioctl")),
    "a folder before it": lambda: packed(member("bin", tarfile.DIRTYPE), member("bin/istioctl")),
    "another file before it": lambda: packed(member("README"), member()),
    "another file after it": lambda: packed(member(), member("../../etc/cron.d/more")),
    "the same name twice": lambda: packed(member(), member()),
    "a link by that name": lambda: packed(member(kind=tarfile.SYMTYPE, linkname="/bin/sh")),
    "a hard link": lambda: packed(member(kind=tarfile.LNKTYPE, linkname="/etc/shadow")),
    "a link, then a file through it": lambda: packed(member("bin", tarfile.SYMTYPE, linkname="/srv"), member("bin/a")),
    "a device": lambda: packed(member(kind=tarfile.CHRTYPE, devmajor=1, devminor=8)),
    "a block device": lambda: packed(member(kind=tarfile.BLKTYPE, devmajor=8, devminor=0)),
    "a pipe": lambda: packed(member(kind=tarfile.FIFOTYPE)),
    "a folder by that name": lambda: packed(member(kind=tarfile.DIRTYPE)),
    "a sparse file": sparse,
    "a size beyond all bounds": lambda: lying(1 << 40),
    "a size below nothing": lambda: gzip.compress(bytes(124) + b"-0000000001" + bytes(2000)),
    "less content than it tells": lambda: lying(4096),
    "another name in a pax header": lambda: packed(
        member("istioctl", pax_headers={"path": "../istioctl"}), shape=tarfile.PAX_FORMAT
    ),
    "a name with a newline": lambda: packed(member("istioctl\n")),
    "no archive": lambda: gzip.compress(b"not an archive"),
    "nothing": lambda: b"",
    "an empty archive": packed,
    "not packed": lambda: gzip.decompress(GOOD),
    "cut off": lambda: GOOD[:-20],
    "one bit flipped in what is packed": lambda: GOOD[:40] + bytes([GOOD[40] ^ 1]) + GOOD[41:],
    "zeroes without an end": lambda: gzip.compress(bytes(8 << 20)),
}


def test_the_one_plain_file_is_taken_and_may_be_run(tmp_path: Path) -> None:
    archive, folder = tmp_path / "istioctl.tar.gz", tmp_path / "out"
    archive.write_bytes(GOOD)
    folder.mkdir()
    found = istioctl._extract(archive, folder)  # noqa: SLF001 - what stands before the first run of it
    assert (found.read_bytes(), found.stat().st_mode & 0o777) == (CONTENT, 0o700)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing_outside_its_folder(name: str, tmp_path: Path) -> None:
    archive, folder = tmp_path / "istioctl.tar.gz", tmp_path / "a" / "b" / "out"
    archive.write_bytes(HOSTILE[name]())
    folder.mkdir(parents=True)
    with pytest.raises(PreconditionError) as refused:
        istioctl._extract(archive, folder)  # noqa: SLF001
    assert refused.value.code == "MPK-054"
    assert {path.name for path in folder.iterdir()} <= {"istioctl"}
    assert {path.name for path in tmp_path.rglob("*")} <= {"a", "b", "out", "istioctl", "istioctl.tar.gz"}


def test_a_bomb_is_refused_when_it_has_unpacked_to_more_than_any_istioctl(tmp_path: Path) -> None:
    archive, folder = tmp_path / "istioctl.tar.gz", tmp_path / "out"
    folder.mkdir()
    huge = member("a", b"x", size=1 << 29)
    with gzip.open(archive, "wb", compresslevel=1) as out:
        out.write(huge.tobuf(tarfile.PAX_FORMAT))
        for _ in range(257):
            out.write(bytes(1 << 20))
    with pytest.raises(PreconditionError, match="unpacks to more than"):
        istioctl._extract(archive, folder)  # noqa: SLF001


@pytest.mark.parametrize(("changed", "code"), [(False, "MPK-222"), (True, "MPK-051")])
def test_an_archive_that_changed_since_it_was_checked_is_not_run(tmp_path: Path, changed: bool, code: str) -> None:
    archive = tmp_path / "istioctl.tar.gz"
    checked = packed(member(), shape=tarfile.PAX_FORMAT)
    archive.write_bytes(GOOD if changed else checked)
    installer = istioctl.Istioctl(archive, sha256=hashlib.sha256(checked).hexdigest())
    with pytest.raises(MeshpkiError) as refused:
        installer.manifests({"kind": "IstioOperator", "metadata": {"name": "meshpki"}, "spec": {"tag": "1"}})
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('echo \'{"clientVersion": {"version": "1.29.1"}}\'', ""),
        ('echo \'{"clientVersion": {"version": "1.28.0"}}\'', "it is of version 1.28.0, and 1.29.1 is to be installed"),
        ("exit 3", "it does not tell its version: CalledProcessError"),
        ("echo no JSON", "it does not tell its version: JSONDecodeError"),
        ("echo []", "it does not tell its version: TypeError"),
    ],
)
def test_an_istioctl_of_another_version_is_known_before_it_installs_anything(
    tmp_path: Path, script: str, why: str
) -> None:
    archive = tmp_path / "istioctl.tar.gz"
    content = f"#!/bin/sh\n{script}\n".encode()
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w") as pack:
        pack.addfile(member(size=len(content)), io.BytesIO(content))
    archive.write_bytes(gzip.compress(spool.getvalue()))
    assert istioctl.Istioctl(archive).unfit("1.29.1") == why
