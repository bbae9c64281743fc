"""istioctl out of its release archive, into memory: a killed run leaves none, and a noexec /tmp hinders nothing."""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from functools import cache
from pathlib import Path
from typing import IO

from meshpki.errors import PreconditionError

_LIMIT = 256 * 1024 * 1024
# Linux 6.3 on, where vm.memfd_noexec may have it said (memfd_create(2)); Python 3.11 does not know its name.
_MFD_EXEC = 0x10


@cache
def program(archive: Path, sha256: str) -> int:
    """The descriptor of istioctl, to be run as `path(descriptor)`; it stays open as long as this process lives.

    Raises PreconditionError: MPK-051 where the archive is not what `sha256` says, MPK-054 where it holds anything but
    istioctl, MPK-124 where this machine cannot unpack it.
    """
    try:
        with tempfile.TemporaryFile() as copy:
            with archive.open("rb") as source:
                shutil.copyfileobj(source, copy)
            copy.seek(0)
            _check(archive, hashlib.file_digest(copy, "sha256").hexdigest(), sha256)
            copy.seek(0)
            return _kept(copy, archive)
    except OSError as error:
        what = f"istioctl could not be unpacked: {error.strerror or type(error).__name__}"
        raise PreconditionError("MPK-124", what, where=str(archive), remedy="see `meshpki explain MPK-124`") from error


def path(descriptor: int) -> str:
    """How a child that was given a descriptor names it."""
    return f"/proc/self/fd/{descriptor}"


@contextmanager
def held(text: str) -> Iterator[int]:
    """A descriptor of a file in memory that holds a text."""
    descriptor = os.memfd_create("meshpki")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(text.encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _check(archive: Path, found: str, wanted: str) -> None:
    if wanted and found != wanted:
        what = f"it has SHA-256 {found} now, and had {wanted} when it was checked"
        remedy = "keep the directory still while meshpki runs, and run the same command again"
        raise PreconditionError("MPK-051", what, where=str(archive), remedy=remedy)


def _kept(packed: IO[bytes], archive: Path) -> int:
    """What is written cannot be run: the descriptor is another one, to read."""
    descriptor = _memory()
    with os.fdopen(descriptor, "wb") as target:
        extract(packed, target, str(archive))
        os.fchmod(descriptor, 0o700)
        return os.open(path(descriptor), os.O_RDONLY | os.O_CLOEXEC)


def _memory() -> int:
    try:
        return os.memfd_create("istioctl", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        return os.memfd_create("istioctl", os.MFD_CLOEXEC)


def extract(archive: IO[bytes], target: IO[bytes], name: str) -> None:
    """The content of the one member `istioctl`; raises PreconditionError (MPK-054) for an archive of any other form."""
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=_Bounded(unpacked), mode="r|") as packed:
            member = packed.next()
            content = packed.extractfile(member) if member is not None and _plain(member) else None
            if member is None or content is None:
                raise _odd(name, "its first member is no plain file `istioctl`")
            shutil.copyfileobj(content, target)
            if target.tell() != member.size or packed.next() is not None:
                raise _odd(name, "it holds more, or less, than the one file `istioctl`")
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, ValueError, OverflowError) as error:
        raise _odd(name, f"{type(error).__name__}: {error}") from error


class _Bounded(io.RawIOBase):
    """A stream that ends with an error where it holds too much: what is packed small may be large."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        """Nothing is read yet."""
        self._stream, self._left = stream, _LIMIT

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes; raises ReadError once there are too many in all."""
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {_LIMIT} bytes")
        return block


def _plain(member: tarfile.TarInfo) -> bool:
    """By its name, its kind and its size: no path, no link, no device, no sparse file."""
    return member.name == "istioctl" and member.isreg() and not member.issparse() and member.size <= _LIMIT


def _odd(archive: str, why: str) -> PreconditionError:
    remedy = "take the release archive from upstream again, and pin the SHA-256 that upstream tells"
    return PreconditionError("MPK-054", f"no release archive of istioctl: {why}", where=archive, remedy=remedy)
