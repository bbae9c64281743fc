"""The file of a support bundle: members as they come, bounded in size, each with its digest in the manifest."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import BinaryIO, Self

from meshpki import __version__
from meshpki.errors import MeshpkiError
from meshpki.settings.durations import moment
from meshpki.settings.model import API_VERSION
from meshpki.support_bundle.redaction import without_forms

FOLDER = "meshpki-support-bundle"
MANIFEST = "manifest.json"
MEMBER_LIMIT = 8 * 1024 * 1024
SECTION_LIMIT = 32 * 1024 * 1024
_MODE = 0o600
_BRACKETS = 8  # around a list, and between its items
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Member:
    """One file of the bundle: its name below FOLDER, its size in bytes and its digest in lower-case hex."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Missing:
    """What should be in the bundle and is not, or not whole, and why."""

    what: str
    why: str


class Archive:
    """A tar.gz that is written from its first member on; what is secret by its form never gets into it.

    A member may have so many bytes, and all of a folder (`section`) so many; what has no room is told as missing.
    """

    def __init__(
        self, stream: BinaryIO, at: datetime, *, member: int = MEMBER_LIMIT, section: int = SECTION_LIMIT
    ) -> None:
        """`at` (UTC) is the time of every member."""
        self._member, self._section = member, section
        self._at, self.members, self.missing = at, list[Member](), list[Missing]()
        self._compressed = gzip.GzipFile("", "wb", fileobj=stream, mtime=int(at.timestamp()))
        # closed by __exit__, whose manifest is the last member
        self._tar = tarfile.open(  # noqa: SIM115
            mode="w|", fileobj=self._compressed, format=tarfile.PAX_FORMAT
        )
        self._filled = Counter[str]()

    def __enter__(self) -> Self:
        """Members may be added."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """End with the manifest, unless there is an error: then the file is none."""
        if kind is None:
            self._write(MANIFEST, _json(self._manifest()))
            self._tar.close()
            self._compressed.close()

    def add(self, name: str, text: str) -> None:
        """A member of this name, whose parts are made safe to unpack; one that is there already is left alone."""
        parts = [_safe(part) for part in name.split("/")]
        content = without_forms(text).encode(errors="replace")
        within, path = self._filled[parts[0]] + len(content), "/".join(parts)
        if len(content) > self._member or within > self._section:
            self.lacks(path, f"its {len(content)} bytes are more than there is room for")
        elif all(one.name != path for one in self.members):
            self._filled[parts[0]] = within
            self._write(path, content)

    def add_json(self, name: str, content: object) -> None:
        """The same for plain data."""
        self.add(name, _json(content).decode())

    def add_list(self, name: str, items: Iterable[object], what: str, most: int) -> None:
        """The same for a list, of which at most `most` items are kept, and no more than a member has room for."""
        shown, size, more = list[str](), 0, 0
        for one in items:
            text = json.dumps(one, indent=1)
            if len(shown) < most and size + len(text) + _BRACKETS < self._member:
                shown.append(text)
                size += len(text) + _BRACKETS
            else:
                more += 1
        if shown:
            listed = ",\n".join(shown)
            self.add(name, f"[\n{listed}\n]\n")
        self.lacks_more(more, what, most)

    def lacks_more(self, more: int, what: str, most: int) -> None:
        """Tell how many are left out, if any."""
        if more > 0:
            self.lacks(f"{more} more {what}", f"at most {most} of them are kept, and as many as have room")

    def lacks(self, what: str, why: str) -> None:
        """Tell that something is missing."""
        self.missing.append(Missing(what, without_forms(why)))

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Whatever of this cannot be read is told as missing, and stops nothing else."""
        try:
            yield
        except MeshpkiError as error:
            self.lacks(what, str(error))

    def _manifest(self) -> object:
        """The members in the order in which they lie, and what is not among them."""
        return {
            "apiVersion": API_VERSION,
            "kind": "SupportBundle",
            "at": moment(self._at),
            "meshpki": __version__,
            "members": [asdict(one) for one in self.members],
            "missing": [asdict(one) for one in self.missing],
        }

    def _write(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(f"{FOLDER}/{name}")
        member.size, member.mode, member.mtime = len(content), _MODE, int(self._at.timestamp())
        self._tar.addfile(member, io.BytesIO(content))
        self.members.append(Member(name, len(content), hashlib.sha256(content).hexdigest()))


def _json(content: object) -> bytes:
    return f"{json.dumps(content, indent=1)}\n".encode()


def _safe(part: str) -> str:
    """A name of the cluster as a name of a file: no separator, no dots alone, at most 128 characters."""
    named = _UNSAFE.sub("_", part)[:128]
    return named if named.strip(".") else "_"
