"""Settings as a flat table of dotted YAML names, `istiodCA.renewBefore`, and back."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeGuard, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_SectionT = TypeVar("_SectionT", bound="DataclassInstance")

_INITIALS = ("ca", "ttl", "csi")


def yaml_name(name: str) -> str:
    """The camelCase spelling of a field: `renew_before` is `renewBefore`, `spiffe_csi` is `spiffeCSI`."""
    first, *rest = name.split("_")
    return first + "".join(word.upper() if word in _INITIALS else word.capitalize() for word in rest)


def flatten(section: "DataclassInstance", prefix: str = "") -> dict[str, object]:
    """Every value by its dotted YAML name, in the order of declaration."""
    values: dict[str, object] = {}
    for field in fields(section):
        path, value = prefix + yaml_name(field.name), getattr(section, field.name)
        values |= flatten(value, f"{path}.") if _is_section(value) else {path: value}
    return values


def unflatten(base: _SectionT, values: Mapping[str, object], prefix: str = "") -> _SectionT:
    """The section with the values given; what is not given stays as it is in the base."""
    changes: dict[str, object] = {}
    for field in fields(base):
        path, value = prefix + yaml_name(field.name), getattr(base, field.name)
        changes[field.name] = unflatten(value, values, f"{path}.") if _is_section(value) else values.get(path, value)
    return replace(base, **changes)


def nest(values: Mapping[str, object]) -> dict[str, object]:
    """The flat table as mappings in mappings, as it stands in YAML."""
    groups: dict[str, dict[str, object]] = {}
    for path, value in values.items():
        head, _, rest = path.partition(".")
        groups.setdefault(head, {})[rest] = value
    return {head: group[""] if "" in group else nest(group) for head, group in groups.items()}


def _is_section(value: object) -> TypeGuard["DataclassInstance"]:
    return hasattr(value, "__dataclass_fields__")
