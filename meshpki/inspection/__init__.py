"""Inspect: the certificates of a file, an Envoy, a Secret or a ConfigMap, for people. Nothing is proved by it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from meshpki.cluster import envoy
from meshpki.cluster.client import Reader
from meshpki.errors import PreconditionError, UsageError
from meshpki.inspection.model import Inspection, Part, Role
from meshpki.inspection.objects import of_secrets, parts_of
from meshpki.inspection.target import STDIN, FileTarget, ObjectTarget, Target, target_of
from meshpki.pki.certificate import UnparsableError
from meshpki.pki.contents import Contents, read_contents

__all__ = ["FileTarget", "Inspection", "ObjectTarget", "Target", "inspect", "read_file", "target_of"]

# a whole Envoy dump with many bundles; PEM and DER have their own, smaller limit
LIMIT = 4 * 1024 * 1024


def inspect(
    target: Target, at: datetime, *, stdin: BinaryIO, cluster: Callable[[], Reader], bundle: bool = False
) -> Inspection:
    """Look at one target at one moment (UTC). The cluster is opened only for an object of it.

    With `bundle` the anchors alone; a plain file is then read as such. Raises UsageError (MPK-380 garbage, 381, 383),
    PreconditionError (382, 384) and what reading from the cluster raises.
    """
    try:
        source, parts = _look(target, stdin, cluster, Role.BUNDLE if bundle else Role.CHAIN)
    except UnparsableError as error:
        remedy = "a chain or bundle in PEM, one certificate in DER, and Envoy's config dump are understood"
        raise UsageError("MPK-380", error.what, remedy=remedy) from error
    wanted = tuple(part for part in parts if part.role is Role.BUNDLE or not bundle)
    if not wanted:
        raise PreconditionError("MPK-384", "it holds no trust bundle", where=source, remedy="look without --bundle")
    return Inspection(source, at, wanted)


def _look(target: Target, stdin: BinaryIO, cluster: Callable[[], Reader], role: Role) -> tuple[str, tuple[Part, ...]]:
    match target:
        case ObjectTarget():
            ref, parts = parts_of(cluster(), target)
            return str(ref), parts
        case FileTarget(path) if str(path) == STDIN:
            return "standard input", parts_of_file(_bounded(stdin, "standard input"), role)
        case FileTarget(path):
            return f"file {path}", parts_of_file(read_file(path), role)


def parts_of_file(content: bytes, role: Role) -> tuple[Part, ...]:
    """The certificates of a file's bytes: PEM, DER, base64 of them, or Envoy's dump in JSON; raises UnparsableError."""
    if content.lstrip().startswith((b"{", b"[")):
        try:
            parts = tuple(of_secrets(envoy.parse(content)))
        except envoy.EnvoyError as error:
            raise UnparsableError(error.what) from error
        if not parts:
            raise UnparsableError("the dump holds no certificate of Envoy's")
        return parts
    contents = read_contents(content)
    if not contents.certificates:
        raise UnparsableError(f"it holds no certificate, but {'; '.join((*contents.others, *contents.damaged))}")
    return (Part("", Role.BUNDLE if _anchors_alone(contents) else role, contents),)


def read_file(path: Path) -> bytes:
    """A file's bytes, at most 4 MiB; raises UsageError (MPK-381) where it cannot be read or is larger."""
    try:
        with path.open("rb") as content:
            return _bounded(content, str(path))
    except OSError as error:
        what = f"it cannot be read: {error.strerror}"
        raise UsageError("MPK-381", what, where=str(path), remedy="name a file that you may read") from error


def _bounded(content: BinaryIO, where: str) -> bytes:
    read = content.read(LIMIT + 1)
    if len(read) > LIMIT:
        raise UsageError("MPK-381", f"it has more than {LIMIT} bytes", where=where, remedy="name a smaller file")
    return read


def _anchors_alone(contents: Contents) -> bool:
    return len(contents.certificates) > 1 and all(one.self_signed for one in contents.certificates)
