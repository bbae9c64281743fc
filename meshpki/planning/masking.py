"""What a plan never shows: the data of Secrets, and values that by their name or form are secrets elsewhere."""

import re

from meshpki.cluster.manifest import Object

HIDDEN = "***"
_SECRET_FIELDS = ("data", "stringData")
_WORDS = r"(?:password|passwd|passphrase|secret|token|credentials?|api[-_]?key|private[-_]?key)"
_NAMES_A_SECRET = re.compile(rf"(?i){_WORDS}s?$")
# `password: x`, `token = "x"`, `"apiKey": "x"`, or a block of indented lines
_ASSIGNED = re.compile(
    rf"(?i)(?P<key>{_WORDS}[\"']?[ \t]*[:=][ \t]*)"
    r"""(?:"[^"\n]*"|'[^'\n]*'|[|>][-+\d]*[ \t]*(?:\n[ \t]+[^\n]*)+|[^\s{\[|>,}"'][^\n]*)"""
)
_USERINFO = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


def masked(before: Object, after: Object) -> tuple[Object, Object]:
    """Two states of an object without their secrets; where a secret changes it stays visible that it does."""
    secret = "Secret" in (before.get("kind"), after.get("kind"))
    left, right = _hide(before, after, secret=secret), _hide(after, before, secret=secret)
    return _object(_told(left, "before")), _object(_told(right, "after"))


class _Changed(str):
    """A hidden value that is another one on the other side."""

    __slots__ = ()


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _told(value: object, side: str) -> object:
    match value:
        case _Changed():
            return f"{value} ({side})"
        case dict():
            return {key: _told(one, side) for key, one in value.items()}
        case list():
            return [_told(one, side) for one in value]
        case _:
            return value


def _hide(value: object, other: object, *, secret: bool = False, name: str = "") -> object:
    """A value with its secrets hidden; `name` is the key that it stands under, or an environment variable's."""
    match value:
        case dict():
            return {key: _field(value, key, other, name, secret=secret) for key in value}
        case list():
            return [_hide(one, _partner(one, number, other), name=name) for number, one in enumerate(value)]
        case str():
            return _text(value, other, name)
        case _:
            return value


def _field(value: Object, key: str, other: object, above: str, *, secret: bool) -> object:
    beside = other.get(key) if isinstance(other, dict) else None
    found = value[key]
    if secret and key in _SECRET_FIELDS and isinstance(found, dict):
        before = beside if isinstance(beside, dict) else {}
        return {entry: _mark(HIDDEN, one, before.get(entry)) for entry, one in found.items()}
    # of an environment variable it is the name beside it that tells, of any other value the one above
    called = str(value.get("name", above)) if key == "value" else key
    return _hide(found, beside, name=called)


def _partner(one: object, number: int, other: object) -> object:
    """The item of the other side's list that has the same name, else the one in its place."""
    if not isinstance(other, list):
        return None
    name = one.get("name") if isinstance(one, dict) else None
    namesakes = [item for item in other if name and isinstance(item, dict) and item.get("name") == name]
    in_place = other[number] if number < len(other) else None
    return namesakes[0] if namesakes else in_place


def _text(value: str, other: object, name: str) -> str:
    if name and _NAMES_A_SECRET.search(name):
        return _mark(HIDDEN, value, other)
    shown = _without_secrets(value)
    hides_a_change = shown != value != other and isinstance(other, str) and _without_secrets(other) == shown
    return _Changed(shown) if hides_a_change else shown


def _without_secrets(text: str) -> str:
    shown = _USERINFO.sub(HIDDEN, _PRIVATE_KEY.sub(HIDDEN, text))
    return _ASSIGNED.sub(lambda found: found["key"] + HIDDEN, shown)


def _mark(hidden: str, value: object, other: object) -> str:
    return hidden if value == other or other is None else _Changed(hidden)
