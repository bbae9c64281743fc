"""Writing container images as docker-archives: the same bytes for the same content."""

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class File:
    """A regular file of the image; `source` is read when the archive is written."""

    path: str
    source: Path
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Text:
    """A small file given by its content."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory that is needed for itself, or with another mode or owner (user and group) than root's."""

    path: str
    mode: int = 0o755
    owner: int = 0


Entry: TypeAlias = File | Text | Link | Folder


@dataclass(frozen=True, slots=True)
class Config:
    """How a container of the image starts (OCI image specification, config.md)."""

    entrypoint: tuple[str, ...] = ()
    user: str = ""
    environment: tuple[str, ...] = ()
    folder: str = "/"

    def document(self, layer: str) -> Mapping[str, object]:
        """The image's config JSON around one layer's digest."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        process = {
            "Entrypoint": list(self.entrypoint),
            "Env": [path, *self.environment],
            "User": self.user,
            "WorkingDir": self.folder,
        }
        return {
            "architecture": "amd64",
            "os": "linux",
            "created": EPOCH,
            "config": process,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
            "history": [{"created": EPOCH, "created_by": "meshpki lab"}],
        }


def write(target: Path, name: str, config: Config, entries: Iterable[Entry]) -> None:
    """Write `target`, a docker-archive with the one image `name`, its entries in one layer."""
    layer = target.with_suffix(".layer")
    with layer.open("w+b") as spool:
        write_layer(spool, entries)
        spool.seek(0)
        digest = hashlib.file_digest(spool, "sha256").hexdigest()
        spool.seek(0)
        _write_archive(target, name, json.dumps(config.document(digest)).encode(), spool)
    layer.unlink()


def _write_archive(target: Path, name: str, config: bytes, layer: IO[bytes]) -> None:
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for member, content in ((config_name, config), ("manifest.json", manifest)):
            add(archive, member, io.BytesIO(content), len(content), 0o644)
        add(archive, "layer.tar", layer, layer.seek(0, io.SEEK_END), 0o644)


def write_layer(spool: IO[bytes], entries: Iterable[Entry]) -> None:
    """Write a layer: every entry once, sorted by path, each folder before what is in it."""
    wanted = {_clean(entry.path): entry for entry in entries}
    parents = {parent: Folder(parent) for path in wanted for parent in _parents(path)}
    with tarfile.open(fileobj=spool, mode="w", format=tarfile.GNU_FORMAT) as layer:
        for path, entry in sorted((parents | wanted).items()):
            _add_entry(layer, path, entry)


def _clean(path: str) -> str:
    return posixpath.normpath(path).lstrip("/")


def _parents(path: str) -> Iterable[str]:
    parent = posixpath.dirname(path)
    while parent:
        yield parent
        parent = posixpath.dirname(parent)


def _add_entry(layer: tarfile.TarFile, path: str, entry: Entry) -> None:
    match entry:
        case File(source=source, mode=mode):
            with source.open("rb") as content:
                add(layer, path, content, source.stat().st_size, mode)
        case Text(content=text):
            add(layer, path, io.BytesIO(text.encode()), len(text.encode()), 0o644)
        case Link(target=target):
            _add_bare(layer, path, tarfile.SYMTYPE, 0o777, linkname=target)
        case Folder(mode=mode, owner=owner):
            _add_bare(layer, path, tarfile.DIRTYPE, mode, owner=owner)


def _add_bare(layer: tarfile.TarFile, path: str, kind: bytes, mode: int, *, owner: int = 0, linkname: str = "") -> None:
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.linkname = kind, mode, linkname
    member.uid = member.gid = owner
    layer.addfile(member)


def add(archive: tarfile.TarFile, path: str, content: IO[bytes], size: int, mode: int) -> None:
    """Add one regular file with nothing in its header that differs from machine to machine."""
    content.seek(0)
    member = tarfile.TarInfo(path)
    member.size, member.mode = size, mode
    archive.addfile(member, content)
