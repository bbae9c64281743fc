"""Release files and images as text, JSON and settings: pure functions of what lies where."""

import json
from collections.abc import Mapping, Sequence

import yaml

from meshpki.artifacts import Kept, State
from meshpki.cli import output
from meshpki.cli.format import Format
from meshpki.cli.verdicts.words import aligned
from meshpki.errors import BROKEN, OK, PRECONDITION
from meshpki.settings.model import API_VERSION, KIND


def told(found: Sequence[Kept], form: Format) -> str:
    """Every file: its version, how it compares, its pin and its digest where they differ, its URL."""
    if form is Format.JSON:
        return json.dumps(
            {"apiVersion": API_VERSION, "kind": "ArtifactList", "items": list(map(_item, found))}, indent=2
        )
    rows = [("FILE", "VERSION", "STATE", "SHA-256", "URL"), *(_row(one) for one in found)]
    differing = [one for one in found if one.state is State.DIFFERS]
    lines = [f"{one.path}: SHA-256 {one.digest}, but {one.artifact.sha256} is pinned" for one in differing]
    return output.plain("\n".join([*aligned(rows), *lines]))


def exit_code(found: Sequence[Kept]) -> int:
    """5 where a file differs from its pin, 4 where one is missing or has none."""
    states = {one.state for one in found}
    if State.DIFFERS in states:
        return BROKEN
    return PRECONDITION if states - {State.AS_PINNED} else OK


def locked(found: Sequence[Kept]) -> str:
    """Settings that pin what lies there, to be laid over others; what is missing is left out."""
    pins = {one.artifact.name: one.digest for one in found if one.digest}
    content = {"apiVersion": API_VERSION, "kind": KIND, "artifacts": {"pins": pins}}
    return yaml.safe_dump(content, sort_keys=False).rstrip()


def told_images(found: Mapping[str, Sequence[str]], form: Format) -> str:
    """Every image with the steps that name it, and its digest where the name holds one."""
    if form is Format.JSON:
        items = [{"image": image, "steps": list(steps), "digest": _digest(image)} for image, steps in found.items()]
        return json.dumps({"apiVersion": API_VERSION, "kind": "ImageList", "items": items}, indent=2)
    return output.plain("\n".join(found))


def _digest(image: str) -> str | None:
    return image.partition("@")[2] or None


def _row(one: Kept) -> tuple[str, ...]:
    return one.artifact.name, one.artifact.version, one.state, one.artifact.sha256 or "-", one.artifact.url


def _item(one: Kept) -> dict[str, object]:
    return {
        "name": one.artifact.name,
        "version": one.artifact.version,
        "url": one.artifact.url,
        "pin": one.artifact.sha256 or None,
        "state": one.state,
        "path": str(one.path) if one.path else None,
        "sha256": one.digest or None,
    }
