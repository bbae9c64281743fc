"""`meshpki explain`: what an error code means and how to fix its cause."""

from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output
from meshpki.cli.format import Format
from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.codes import Entry

EXAMPLES = """\b
Examples:
  meshpki explain MPK-214
  meshpki explain 214
  meshpki explain                 every code there is
"""


def explain(
    code: Annotated[
        str, typer.Argument(metavar="[CODE]", help="A code such as MPK-214, or just its number; none lists them all.")
    ] = "",
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
) -> None:
    """Say what an error code means, why it happens and how to fix it."""
    from meshpki.codes import catalogue

    entries = catalogue()
    chosen = [_entry(code, entries)] if code else list(entries.values())
    if form is Format.JSON:
        output.data(_as_json(chosen, single=bool(code)))
    else:
        output.data(_page(chosen[0]) if code else "\n".join(f"{entry.code}  {entry.title}" for entry in chosen))


def _entry(code: str, entries: dict[str, "Entry"]) -> "Entry":
    from difflib import get_close_matches

    wanted = f"MPK-{code.upper().removeprefix('MPK').removeprefix('-').zfill(3)}"
    if wanted in entries:
        return entries[wanted]
    near = get_close_matches(wanted, entries, 1)
    remedy = f"did you mean {near[0]}? " if near else ""
    raise UsageError("MPK-030", f"there is no code {wanted}", remedy=f"{remedy}`meshpki explain` lists all")


def _page(entry: "Entry") -> str:
    from textwrap import fill

    parts = ((entry.what, ""), (f"Why: {entry.why}", "     "), (f"Fix: {entry.mend}", "     "))
    body = "\n\n".join(fill(text, 100, subsequent_indent=indent) for text, indent in parts)
    return f"{entry.code} {entry.title}\n\n{body}\n\nSource: {entry.source}"


def _as_json(chosen: list["Entry"], *, single: bool) -> str:
    import json
    from dataclasses import asdict

    rows = [asdict(entry) for entry in chosen]
    return json.dumps(rows[0] if single else rows, indent=2, ensure_ascii=False)
