"""One tree of plain data laid over another, as a user expects of an overlay."""

from collections.abc import Mapping

from meshpki.cluster.manifest import Object


def overlaid(below: Mapping[str, object], above: Mapping[str, object]) -> Object:
    """`above` wins; mappings merge key by key, lists of named things (containers, gateways, env) by their name."""
    return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}


def _merged(below: object, above: object) -> object:
    match below, above:
        case dict(), dict():
            return overlaid(below, above)
        case list(), list() if _named(below) and _named(above):
            return _by_name(below, above)
        case _:
            return above


def _named(items: list[object]) -> bool:
    return bool(items) and all(isinstance(item, dict) and "name" in item for item in items)


def _by_name(below: list[Object], above: list[Object]) -> list[Object]:
    wanted = {item["name"]: item for item in above}
    kept = [overlaid(item, wanted.pop(item["name"], {})) for item in below]
    return [*kept, *wanted.values()]
