"""The images of manifests, and the same images from a mirror."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from meshpki.cluster.manifest import Object
from meshpki.settings import Istio, Settings
from meshpki.workflow.step import Later, Step

# cert-manager is told by an argument which image it starts for ACME challenges.
_ARGUMENT = re.compile(r"(--[a-z0-9-]+-image=)(.+)")
_LISTS = ("containers", "initContainers", "ephemeralContainers")


def at_mirror(image: str, mirror: str) -> str:
    """The image as a mirror keeps it: its registry is replaced, the rest of its name stays; else unchanged."""
    if not mirror:
        return image
    registry, _, path = image.partition("/")
    named = path and ("." in registry or ":" in registry or registry == "localhost")
    return f"{mirror}/{path if named else image}"


def hub(settings: Settings) -> str:
    """Where Istio's images come from: the hub of the settings, else the mirror's copy of the usual one."""
    given = settings.istio.hub
    return at_mirror(given, settings.images.mirror) if given == Istio().hub else given


def mirrored(step: Step, mirror: str) -> Step:
    """The step with every image taken from the mirror."""
    if not mirror:
        return step
    later = tuple(Later(one.gate, tuple(_moved(each, mirror) for each in one.manifests)) for one in step.later)
    return replace(step, manifests=tuple(_moved(each, mirror) for each in step.manifests), later=later)


def images(manifests: Iterable[Object]) -> tuple[str, ...]:
    """Every image that manifests name, each once, sorted."""
    return tuple(sorted({image for manifest in manifests for image in _named(manifest)}))


def _named(value: object) -> Iterator[str]:
    match value:
        case {"image": str(image), "name": str()}:
            yield image
    match value:
        case dict():
            for part in value.values():
                yield from _named(part)
        case list():
            for part in value:
                yield from _named(part)
        case str() if found := _ARGUMENT.fullmatch(value):
            yield found[2]


def _moved(manifest: Object, mirror: str) -> Object:
    return {key: _part(key, value, mirror) for key, value in manifest.items()}


def _part(key: str, value: object, mirror: str) -> object:
    match value:
        case dict():
            return {name: _part(name, part, mirror) for name, part in value.items()}
        case list() if key in _LISTS:
            return [_container(part, mirror) if "image" in part else part for part in value]
        case list():
            return [_part(key, part, mirror) for part in value]
        case _:
            return value


def _container(container: Object, mirror: str) -> Object:
    arguments = [
        _ARGUMENT.sub(lambda found: found[1] + at_mirror(found[2], mirror), one) for one in container.get("args", ())
    ]
    moved = {**container, "image": at_mirror(container["image"], mirror)}
    return {**moved, "args": arguments} if arguments else moved
