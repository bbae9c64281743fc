"""`meshpki version`: what runs, and what it would install."""

import platform
from typing import Annotated

import typer

from meshpki import __version__
from meshpki.cli import output
from meshpki.cli.format import Format


def version(form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT) -> None:
    """Print the versions of meshpki, of Python and of the components it installs by default."""
    from meshpki.settings import defaults
    from meshpki.settings.fields import flatten

    components = flatten(defaults().versions)
    if form is Format.JSON:
        import json

        named = {"meshpki": __version__, "python": platform.python_version(), "components": components}
        output.data(json.dumps(named, indent=2))
        return
    rows = {"meshpki": __version__, "Python": platform.python_version(), **components}
    width = max(map(len, rows))
    output.data("\n".join(f"{name:<{width}}  {release}" for name, release in rows.items()))
