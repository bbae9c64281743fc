"""Putting the images together from what was built, fetched and found, once for each content."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshpki.lab import archive, programs
from meshpki.lab.archive import Entry, File
from meshpki.lab.images import BASE, IMAGES, Image
from meshpki.lab.store import fingerprint, keep


@dataclass(frozen=True, slots=True)
class Assembly:
    """An image and the path of its archive, finished or future."""

    image: Image
    archive: Path

    @property
    def done(self) -> bool:
        """Whether it is in the cache."""
        return self.archive.is_file()


def plan(cache: Path, parts: Mapping[str, Path]) -> tuple[Assembly, ...]:
    """Where every image's archive is or will be; `parts` are built and fetched files by name.

    Raises PreconditionError MPK-514 where a program of this machine is missing.
    """
    return tuple(place(cache, image, parts) for image in IMAGES)


def place(cache: Path, image: Image, parts: Mapping[str, Path]) -> Assembly:
    """Where one image's archive is or will be; raises as `plan`."""
    name = image.name.replace("/", "_").replace(":", "_")
    return Assembly(image, cache / "images" / name / key(image, parts) / f"{name}.tar")


def key(image: Image, parts: Mapping[str, Path]) -> str:
    """An image's fingerprint: its recipe, where its parts are (their paths carry their builds' own), its programs."""
    found = programs.stamp([*programs.find(image.programs), programs.CERTIFICATES])
    return fingerprint([repr(image), repr(BASE), *(str(parts[one.name]) for one in image.built), *found])


def assemble(wanted: Assembly, parts: Mapping[str, Path]) -> None:
    """Write an image's archive into the cache."""
    image, entries = wanted.image, contents(wanted.image, parts)
    file = wanted.archive.name
    keep(wanted.archive.parent, lambda work: archive.write(work / file, image.name, image.config, entries))


def contents(image: Image, parts: Mapping[str, Path]) -> tuple[Entry, ...]:
    """Every entry of an image's layer."""
    return (
        *BASE,
        File("/etc/ssl/certs/ca-certificates.crt", programs.CERTIFICATES, 0o644),
        *(File(one.path, parts[one.name]) for one in image.built),
        *programs.libraries(parts[one.name] for one in image.built if one.linked),
        *programs.entries(programs.find(image.programs)),
        *image.entries,
    )
