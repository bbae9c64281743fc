"""Files in a folder of their own: each whole or not at all, nobody else's touched, the same twice without a write."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from meshpki.errors import UsageError
from meshpki.settings.model import API_VERSION
from meshpki.words import first_of

# Which files are ours, by their SHA-256; while a run is at work, by the one before and the one after it.
MARKER = ".meshpki-render.json"
_PART = ".meshpki-render.part"
_NAME = re.compile(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)*")

_SHOWN = 5

Claims = Mapping[str, tuple[str, ...]]


def write(folder: Path, files: Mapping[str, bytes]) -> int:
    """Bring a folder to hold exactly these files of ours; how many were written or removed.

    Raises UsageError (MPK-220), before anything is written, where a file is not ours or not as we wrote it.
    """
    claimed = _claims(folder)
    final = {name: (_digest(content),) for name, content in files.items()}
    _check(folder, claimed, final)
    stale = [name for name in claimed if name not in final and (folder / name).exists()]
    changed = [name for name, (digest,) in final.items() if _found(folder / name) != digest]
    if stale or changed or claimed != final:
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, _either(claimed, final))
        for name in changed:
            _put(folder, name, files[name])
        for name in stale:
            (folder / name).unlink()
            _prune(folder, (folder / name).parent)
        _claim(folder, final)
    return len(changed) + len(stale)


def _either(before: Claims, after: Claims) -> Claims:
    """What a run that is killed may leave of each file: the one before, or the one after it."""
    return {name: tuple({*before.get(name, ()), *after.get(name, ())}) for name in {*before, *after}}


def _claims(folder: Path) -> Claims:
    """What earlier runs wrote; a folder that is not empty and bears no marker is somebody else's."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise _foreign(folder, "it is no folder")
    marker = folder / MARKER
    if marker.is_file() and not marker.is_symlink():
        return _parsed(marker)
    others = sorted(one.name for one in folder.iterdir() if one.name != _PART)
    if others:
        raise _foreign(folder, f"it is not empty, and not of `meshpki render`: {first_of(others, _SHOWN)}")
    return {}


def _parsed(marker: Path) -> Claims:
    try:
        listed = json.loads(marker.read_text(encoding="utf-8"))["files"]
        claims = {str(name): tuple(map(str, digests)) for name, digests in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _foreign(marker, "it is damaged") from error
    if not all(map(_NAME.fullmatch, claims)):
        raise _foreign(marker, "it names files outside of the folder")
    return claims


def _check(folder: Path, claimed: Claims, final: Claims) -> None:
    wrong = sorted(name for name, digests in _either(claimed, final).items() if not _ours(folder, name, digests))
    if wrong:
        raise _foreign(folder, f"not as `meshpki render` wrote them: {first_of(wrong, _SHOWN)}")


def _ours(folder: Path, name: str, digests: tuple[str, ...]) -> bool:
    """Whether a place is free, or holds what we wrote there or are about to write; no link is followed."""
    path = folder / name
    above = [one for one in path.parents if folder in one.parents]
    if path.is_symlink() or any(one.is_symlink() or (one.exists() and not one.is_dir()) for one in above):
        return False
    return not path.exists() or _found(path) in digests


def _put(folder: Path, name: str, content: bytes) -> None:
    part, target = folder / _PART, folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    part.write_bytes(content)
    part.replace(target)


def _claim(folder: Path, claims: Claims) -> None:
    listed = {name: sorted(claims[name]) for name in sorted(claims)}
    content = {"apiVersion": API_VERSION, "kind": "RenderedFolder", "files": listed}
    _put(folder, MARKER, f"{json.dumps(content, indent=1)}\n".encode())


def _prune(folder: Path, emptied: Path) -> None:
    """Remove the folders that the last file of ours has left empty."""
    while emptied != folder and not any(emptied.iterdir()):
        emptied.rmdir()
        emptied = emptied.parent


def _found(path: Path) -> str:
    return _digest(path.read_bytes()) if path.is_file() else ""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _foreign(place: Path, why: str) -> UsageError:
    remedy = "name a new or empty folder, or move these files away"
    return UsageError("MPK-220", why, where=str(place), remedy=remedy)
