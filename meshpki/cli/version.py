"""`meshpki version`: what runs, what it would install, and for which Kubernetes that is."""

import platform
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki import __version__
from meshpki.cli import output
from meshpki.cli.format import Format

if TYPE_CHECKING:
    from meshpki.settings.releases import Line, Release

Rows = list[tuple[str, str, "Release | None"]]


def version(form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT) -> None:
    """Print the versions of meshpki, of Python and of the components it installs by default, and their Kubernetes."""
    from meshpki.settings import defaults
    from meshpki.settings.fields import flatten
    from meshpki.settings.releases import components, release_of

    rows: Rows = [
        (name, str(chosen), release_of(name, str(chosen)) if name in components() else None)
        for name, chosen in flatten(defaults().versions).items()
    ]
    output.data(_json(rows) if form is Format.JSON else _text(rows))


def _text(rows: Rows) -> str:
    """A line each: the name, the version, and for which Kubernetes it is, by whom and when that was read."""
    from meshpki.settings.releases import in_words, kubernetes_range

    own: Rows = [("meshpki", __version__, None), ("Python", platform.python_version(), None)]
    lines = [
        (name, chosen, in_words(row.kubernetes), f"{row.source} ({row.seen})") if row else (name, chosen, "", "")
        for name, chosen, row in (*own, *rows)
    ]
    lines.append(("together", "", in_words(kubernetes_range(row for _, _, row in rows if row)), ""))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in shown)


def _json(rows: Rows) -> str:
    import json

    from meshpki.settings.releases import kubernetes_range

    releases = [_release(row) for _, _, row in rows if row]
    named = {
        "meshpki": __version__,
        "python": platform.python_version(),
        "components": {name: chosen for name, chosen, _ in rows},
        "kubernetes": _bounds(kubernetes_range(row for _, _, row in rows if row)),
        "releases": releases,
    }
    return json.dumps(named, indent=2)


def _release(row: "Release") -> dict[str, object]:
    from meshpki.settings.releases import dotted

    return {
        "component": row.component,
        "line": dotted(row.line),
        "oldest": f"{dotted(row.line)}.{row.oldest}",
        "tested": row.tested,
        "kubernetes": _bounds(row.kubernetes),
        "source": row.source,
        "seen": str(row.seen),
    }


def _bounds(kubernetes: "tuple[Line, Line]") -> dict[str, str | None]:
    """Both inclusive; None where upstream names none."""
    from meshpki.settings.releases import NO_BOUND, OLDEST, dotted

    oldest, newest = kubernetes
    return {
        "oldest": None if oldest == OLDEST else dotted(oldest),
        "newest": None if newest == NO_BOUND else dotted(newest),
    }
