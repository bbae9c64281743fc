"""What can be said of an object that the API server cannot judge yet, from the schema of a CRD that comes first."""

from collections.abc import Iterable, Iterator, Mapping

from meshpki.cluster.manifest import Object

Schema = Mapping[str, object]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
# Every object has them; a CRD's schema need not say so.
_OF_ALL = ("apiVersion", "kind", "metadata")


def schema_of(manifest: Object, crds: Iterable[Object]) -> Schema | None:
    """The schema that a CRD gives an object's kind and version, None where no CRD is for it."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    for crd in crds:
        spec = crd.get("spec", {})
        if spec.get("group") != group or spec.get("names", {}).get("kind") != manifest["kind"]:
            continue
        for served in spec.get("versions", []):
            if served["name"] == version:
                schema: Schema = served.get("schema", {}).get("openAPIV3Schema", {})
                return schema
    return None


def problems(manifest: Object, schema: Schema) -> list[str]:
    """What the API server would refuse: unknown and missing fields, wrong types, values that are not allowed.

    Its other rules (patterns, limits, CEL) are left to it.
    """
    content = {key: value for key, value in manifest.items() if key not in _OF_ALL}
    return list(_problems(content, {**schema, "required": _required(schema, but=_OF_ALL)}, ""))


def _problems(value: object, schema: Schema, path: str) -> Iterator[str]:
    wrong = _wrong(value, schema)
    if wrong:
        yield f"{path or 'it'} {wrong}"
    elif isinstance(value, dict):
        yield from _in_object(value, schema, path)
    elif isinstance(value, list):
        items = schema.get("items")
        below = items if isinstance(items, dict) else {}
        for number, item in enumerate(value):
            yield from _problems(item, below, f"{path}[{number}]")


def _wrong(value: object, schema: Schema) -> str:
    """Why a value by itself is not what its schema wants; Python's truths are numbers, JSON's are not."""
    if schema.get("x-kubernetes-int-or-string") or (value is None and schema.get("nullable")):
        return ""
    kind, allowed = str(schema.get("type", "")), schema.get("enum")
    if not isinstance(value, _TYPES.get(kind, object)) or (isinstance(value, bool) and kind in ("integer", "number")):
        return f"is no {kind}"
    return f"is none of {', '.join(map(str, allowed))}" if isinstance(allowed, list) and value not in allowed else ""


def _in_object(value: Mapping[str, object], schema: Schema, path: str) -> Iterator[str]:
    properties, rest = schema.get("properties"), schema.get("additionalProperties")
    known = properties if isinstance(properties, dict) else {}
    loose = bool(rest) or bool(schema.get("x-kubernetes-preserve-unknown-fields")) or not schema.get("type")
    for name in _required(schema):
        if name not in value:
            yield f"{path}.{name} is missing".lstrip(".")
    for key, one in value.items():
        below = f"{path}.{key}".lstrip(".")
        if key in known:
            yield from _problems(one, known[key], below)
        elif isinstance(rest, dict):
            yield from _problems(one, rest, below)
        elif not loose:
            yield f"there is no field {below}"


def _required(schema: Schema, but: tuple[str, ...] = ()) -> list[str]:
    required = schema.get("required")
    return [str(name) for name in required if name not in but] if isinstance(required, list) else []
