"""Whether live objects still are what meshpki applied, decided from the objects alone: no dry run, no right to write.

A value that reads differently is drift where meshpki no longer owns it. The API server moves ownership of a field to
whoever changes its value, and leaves it where it is when the server itself keeps a value in another form (`1` for
`1000m`); see Kubernetes' "Server-Side Apply", field management.
"""

import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from meshpki.cluster.manifest import APPLIED_ANNOTATION, FIELD_MANAGER, Object, Ref, ref_of

# what each manager owns of one part of an object (fieldsV1); an empty part is owned with all that lies below it
Owned = Mapping[str, Mapping[str, object]]
Differences = Iterator[tuple[str, Owned]]


@dataclass(frozen=True)
class Changed:
    """An object that is not as it was applied: the fields (empty where it is gone), and who owns them now."""

    ref: Ref
    fields: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As people read it."""
        if not self.fields:
            return f"{self.ref} is gone"
        by = f", changed by {', '.join(self.managers)}" if self.managers else ""
        return f"{self.ref}: {', '.join(self.fields)}{by}"


@dataclass(frozen=True)
class Drift:
    """How many objects were compared, which differ, and which `up` would apply anew as the settings or we changed.

    `unseen` says what could not be compared, and why.
    """

    compared: int = 0
    found: tuple[Changed, ...] = ()
    outdated: tuple[Ref, ...] = ()
    unseen: tuple[str, ...] = field(default_factory=tuple)


def compare(wanted: Iterable[Object], live: Mapping[Ref, Object | None], unseen: Iterable[str] = ()) -> Drift:
    """Each manifest beside its live object; one that is missing in `live` was not looked at and does not count."""
    found: list[Changed] = []
    outdated: list[Ref] = []
    pairs = [(ref, manifest) for manifest in wanted if (ref := ref_of(manifest)) in live]
    for ref, manifest in pairs:
        one = live[ref]
        if one is None:
            found.append(Changed(ref))
        elif _mark(one) != _mark(manifest):
            outdated.append(ref)
        elif changed := tuple(changes(one, manifest)):
            managers = {manager for _, owned in changed for manager in owned}
            found.append(Changed(ref, tuple(path for path, _ in changed), tuple(sorted(managers))))
    return Drift(len(pairs), tuple(found), tuple(outdated), tuple(unseen))


def changes(live: Object, manifest: Object) -> Differences:
    """The fields whose value is not the manifest's and that meshpki does not own any more, with who owns them."""
    entries = [entry for entry in live["metadata"].get("managedFields") or [] if not entry.get("subresource")]
    owned = {str(entry.get("manager")): entry["fieldsV1"] for entry in entries if "fieldsV1" in entry}
    content = {key: value for key, value in manifest.items() if key != "status"}  # what a release file says is ignored
    return ((path, by) for path, by in _differences(live, content, owned, "") if FIELD_MANAGER not in by)


def _differences(live: object, wanted: object, owned: Owned, path: str) -> Differences:
    match wanted:
        case dict() if isinstance(live, dict):
            for key, value in wanted.items():
                below = _below(owned, partial(operator.eq, f"f:{key}"))
                yield from _field(live, key, value, below, f"{path}.{key}".lstrip("."))
        case list() if isinstance(live, list):
            if len(live) != len(wanted) and FIELD_MANAGER not in owned:
                yield path, owned
            for number, item in enumerate(wanted):
                below = _below(owned, partial(_names, item))
                yield from _item(live, number, item, below, path)
        case _ if live != wanted:
            yield path, owned
        case _:
            pass


def _field(live: Mapping[str, object], key: str, wanted: object, owned: Owned, path: str) -> Differences:
    """One field; an empty value that is missing is no difference, since the server leaves such values out."""
    if key in live:
        yield from _differences(live[key], wanted, owned, path)
    elif not _empty(wanted):
        yield path, owned


def _empty(value: object) -> bool:
    return all(map(_empty, value.values())) if isinstance(value, dict) else not value


def _item(live: list[object], number: int, wanted: object, owned: Owned, path: str) -> Differences:
    """One item of a list: the live one of that name, else the one in its place."""
    name = wanted.get("name") if isinstance(wanted, dict) else None
    path = f"{path}[{name or number}]"
    namesakes = [one for one in live if name and isinstance(one, dict) and one.get("name") == name]
    if namesakes or number < len(live):
        yield from _differences(namesakes[0] if namesakes else live[number], wanted, owned, path)
    else:
        yield path, owned


def _below(owned: Owned, named: Callable[[str], bool]) -> Owned:
    """What each manager owns one level deeper; who owns a whole as one owns each part of it."""
    deeper: dict[str, Mapping[str, object]] = {}
    for manager, fields in owned.items():
        below = [value for name, value in fields.items() if named(name)] if fields else [fields]
        if below and isinstance(below[0], dict):
            deeper[manager] = below[0]
    return deeper


def _names(item: object, name: str) -> bool:
    """Whether a key of fieldsV1 is that of a list's item: `k:{"name":"x"}`, or `v:"x"` in a set."""
    kind, _, text = name.partition(":")
    if kind not in ("k", "v"):
        return False
    key = json.loads(text)
    if kind == "v":
        return bool(key == item)
    return isinstance(item, dict) and all(item.get(part) == value for part, value in key.items() if part in item)


def _mark(manifest: Object) -> str:
    return str(manifest["metadata"].get("annotations", {}).get(APPLIED_ANNOTATION, ""))
