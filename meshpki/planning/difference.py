"""Which fields of an object change, decided from its two states."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from meshpki.cluster.manifest import APPLIED_ANNOTATION, Object

_MARK = f"metadata.annotations.{APPLIED_ANNOTATION}"


class Kind(StrEnum):
    """What becomes of one field."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True)
class Field:
    """One field by its path (`spec.template.spec.containers[proxy].image`), and its values; None where it is not."""

    path: str
    kind: Kind
    before: object = None
    after: object = None


def differences(before: Object, after: Object) -> tuple[Field, ...]:
    """The fields that differ, in the order of the new state; the digest of the manifest only where it stands alone."""
    found = tuple(_below(before, after, ""))
    told = tuple(field for field in found if field.path != _MARK)
    return told or found


def _below(before: object, after: object, path: str) -> Iterator[Field]:
    match before, after:
        case dict(), dict():
            for key in _keys(before, after):
                yield from _entry(before, after, key, f"{path}.{key}".lstrip("."))
        case list(), list() if _named(before) and _named(after):
            left, right = _by_name(before), _by_name(after)
            for name in _keys(left, right):
                yield from _entry(left, right, name, f"{path}[{name}]")
        case list(), list() if len(before) == len(after):
            for number, (old, new) in enumerate(zip(before, after, strict=True)):
                yield from _below(old, new, f"{path}[{number}]")
        case _ if before != after or type(before) is not type(after):
            yield Field(path, Kind.CHANGE, before, after)
        case _:
            pass


def _keys(before: Object, after: Object) -> list[str]:
    return [*after, *(key for key in before if key not in after)]


def _entry(before: Object, after: Object, key: str, path: str) -> Iterator[Field]:
    if key not in before:
        yield Field(path, Kind.ADD, None, after[key])
    elif key not in after:
        yield Field(path, Kind.REMOVE, before[key], None)
    else:
        yield from _below(before[key], after[key], path)


def _named(items: list[object]) -> bool:
    names = [item.get("name") for item in items if isinstance(item, dict)]
    return len(names) == len(items) == len({str(name) for name in names if name})


def _by_name(items: list[Object]) -> Object:
    return {str(item["name"]): item for item in items}
