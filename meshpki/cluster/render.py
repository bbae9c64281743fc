"""Templates to objects. The only module that knows Jinja; a template holds the shape, Python holds the values."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from meshpki.cluster.manifest import Object

if TYPE_CHECKING:
    from jinja2 import Environment


def render(component: str, **values: object) -> tuple[Object, ...]:
    """Every object of a component's templates, in the order of their file names; a missing value is an error."""
    names = _environment().list_templates(filter_func=lambda name: name.startswith(f"{component}/"))
    manifests = (name for name in sorted(names) if _is_manifest(name))
    return tuple(item for name in manifests for item in _load(_environment().get_template(name).render(values)))


def text(template: str, **values: object) -> str:
    """One template as text: SPIRE's configuration, or what a manifest carries inside."""
    return _environment().get_template(f"{template}.j2").render(values)


def load(content: str | bytes) -> tuple[Object, ...]:
    """The objects of a YAML stream from elsewhere, as a release file; empty documents are left out."""
    return tuple(_load(content))


def _load(content: str | bytes) -> list[Object]:
    # CSafeLoader by name: yaml.safe_load is the thirteen times slower one.
    return [document for document in yaml.load_all(content, Loader=yaml.CSafeLoader) if document]


def _is_manifest(name: str) -> bool:
    """Manifests are applied; `part-` files are rendered into one."""
    return name.endswith(".yaml.j2") and not name.rpartition("/")[2].startswith("part-")


@cache
def _environment() -> "Environment":
    import jinja2  # noqa: PLC0415 - verify renders nothing, and would start a twentieth of a second later

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_folder()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is YAML, parsed again; strings go through tojson
        keep_trailing_newline=True,
    )


def _folder() -> Path:
    """In an installed package the templates lie inside it, in a checkout beside it."""
    package = Path(__file__).parents[1]
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"
