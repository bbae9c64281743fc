"""`--schema` of the commands whose JSON is a versioned document: each prints its own schema, from the package."""

import typer
from typer.models import OptionInfo

from meshpki.cli import output


def option(name: str) -> OptionInfo:
    """The option that prints `schemas/NAME.json` (JSON Schema 2020-12), and ends the command."""

    def show(asked: bool) -> None:
        if asked:
            from importlib.resources import files

            output.data(files("meshpki").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8"))
            raise typer.Exit

    told = "Print the JSON Schema of -o json, and do nothing else."
    asked: OptionInfo = typer.Option("--schema", is_eager=True, callback=show, help=told)
    return asked
