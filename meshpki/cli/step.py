"""`meshpki step list`: the steps in their order, and what each needs."""

from typing import Annotated

import typer

from meshpki.cli import output
from meshpki.cli.format import Format

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The steps of an installation.")


@app.callback()
def steps() -> None:
    """The steps of an installation."""


@app.command("list")
def list_steps(form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT) -> None:
    """List the steps in the order in which they are shown; each starts as soon as what it needs is open."""
    from meshpki.install import OUTLINE

    if form is Format.JSON:
        import json

        rows = [{"name": row.name, "needs": list(row.needs), "proves": row.proves} for row in OUTLINE]
        output.data(json.dumps(rows, indent=2))
        return
    width = max(len(row.name) for row in OUTLINE)
    output.data("\n".join(f"{row.name:<{width}}  {row.proves}" for row in OUTLINE))
