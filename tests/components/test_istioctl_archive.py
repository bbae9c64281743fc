"""Archives that pass for istioctl's: the one plain file is taken, everything else is refused and nothing is written."""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from meshpki.components.istioctl import Istioctl
from meshpki.components.unpacked import path, program
from meshpki.errors import MeshpkiError, PreconditionError, StepError

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
    archive = tmp_path / "istioctl.tar.gz"
    archive.write_bytes(GOOD)
    found = program(archive, "")
    assert (Path(path(found)).read_bytes(), os.fstat(found).st_mode & 0o777) == (CONTENT, 0o700)
    assert program(archive, "") == found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "istioctl.tar.gz"
    archive.write_bytes(HOSTILE[name]())
    with pytest.raises(PreconditionError) as refused:
        program(archive, "")
    assert refused.value.code == "MPK-054"
    assert [one.name for one in tmp_path.rglob("*")] == ["istioctl.tar.gz"]


def test_a_bomb_is_refused_when_it_has_unpacked_to_more_than_any_istioctl(tmp_path: Path) -> None:
    archive = tmp_path / "istioctl.tar.gz"
    huge = member("a", b"x", size=1 << 29)
    with gzip.open(archive, "wb", compresslevel=1) as out:
        out.write(huge.tobuf(tarfile.PAX_FORMAT))
        for _ in range(257):
            out.write(bytes(1 << 20))
    with pytest.raises(PreconditionError, match="unpacks to more than"):
        program(archive, "")


def test_a_machine_that_cannot_unpack_it_is_not_told_of_a_bad_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "istioctl.tar.gz"
    archive.write_bytes(GOOD)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(PreconditionError, match=r"MPK-124 .*could not be unpacked: No such file or directory"):
        program(archive, "")


@pytest.mark.parametrize(("changed", "code"), [(False, "MPK-222"), (True, "MPK-051")])
def test_an_archive_that_changed_since_it_was_checked_is_not_run(tmp_path: Path, changed: bool, code: str) -> None:
    archive = tmp_path / "istioctl.tar.gz"
    checked = packed(member(), shape=tarfile.PAX_FORMAT)
    archive.write_bytes(GOOD if changed else checked)
    installer = Istioctl(archive, sha256=hashlib.sha256(checked).hexdigest())
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
    assert Istioctl(scripted(tmp_path, script), version="1.29.1").unfit() == why


def scripted(folder: Path, script: str, first: str = "#!/bin/sh\n") -> Path:
    """An archive whose istioctl is this script."""
    archive, content, spool = folder / "istioctl.tar.gz", f"{first}{script}\n".encode(), io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w") as pack:
        pack.addfile(member(size=len(content)), io.BytesIO(content))
    archive.write_bytes(gzip.compress(spool.getvalue()))
    return archive


OPERATOR = {"kind": "IstioOperator", "metadata": {"name": "meshpki", "namespace": "istio-system"}, "spec": {"tag": "x"}}


def installed(archive: Path, folder: Path) -> None:
    Istioctl(archive, folder / "kubeconfig", "prod").install(OPERATOR, 60, threading.Event())


@pytest.mark.parametrize("leashed", [True, False])
def test_it_is_run_from_memory_with_the_wish_in_memory_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leashed: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not leashed:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    said = tmp_path / "said"
    archive = scripted(tmp_path, f'echo "$@" > {said}; for last; do :; done; cat "$last" >> {said}')
    installed(archive, tmp_path)
    text = said.read_text()
    assert f"--kubeconfig {tmp_path}/kubeconfig --context prod" in text
    assert "kind: IstioOperator" in text
    assert {one.name for one in tmp_path.iterdir()} == {"said", "istioctl.tar.gz"}


@pytest.mark.parametrize("leashed", [True, False])
def test_it_is_called_istioctl_which_is_the_name_that_it_tells_the_api_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leashed: bool
) -> None:
    if not leashed:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    said = tmp_path / "said"
    installed(scripted(tmp_path, f'basename "$0" > {said}'), tmp_path)
    assert said.read_text() == "istioctl\n"


def test_it_has_the_environment_of_meshpki_and_no_proxies_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHPKI_CANARY", "seen")
    said = tmp_path / "said"
    installed(scripted(tmp_path, f"env > {said}"), tmp_path)
    assert "MESHPKI_CANARY=seen" in said.read_text()


def test_a_program_of_another_machine_is_told_as_one_that_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    other = Istioctl(scripted(tmp_path, "", first="\x7fno program"), version="1")
    with pytest.raises(StepError, match=r"MPK-206 .*could not be started: Exec format error"):
        other.install(OPERATOR, 60, threading.Event())
    with pytest.raises(StepError, match=r"MPK-222 .*could not be started: Exec format error"):
        other.manifests(OPERATOR)
    assert other.unfit() == "it cannot be started on this machine: Exec format error"


def test_an_image_of_another_tag_is_installed_by_the_istioctl_of_the_release(tmp_path: Path) -> None:
    said = 'echo "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}"'
    (made,) = Istioctl(scripted(tmp_path, said), version="1.29.1").manifests(OPERATOR)
    assert made["metadata"]["labels"]["operator.istio.io/version"] == "1.29.1"
