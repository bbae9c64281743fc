"""`meshpki config`: make a settings file, check it, and see what it comes to."""

from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from meshpki.cli import output
from meshpki.cli.options import OfflineFiles
from meshpki.errors import UsageError

app = typer.Typer(help="Make, check and show settings files.", no_args_is_help=True, rich_markup_mode=None)


class Format(StrEnum):
    """How settings are written."""

    YAML = "yaml"
    JSON = "json"


@app.command(epilog="Example: meshpki config init prod.yaml")
def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path("meshpki.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a settings file to begin with: every key, its default and what it is for."""
    starter = files("meshpki").joinpath("starter.yaml").read_text(encoding="utf-8")
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(starter)
    except FileExistsError as error:
        remedy = "name another file, or replace this one with --force"
        raise UsageError("MPK-031", "the file is there already", where=str(file), remedy=remedy) from error
    except OSError as error:
        remedy = "choose a place you may write to"
        raise UsageError("MPK-032", f"cannot be written: {error.strerror}", where=str(file), remedy=remedy) from error
    output.progress(
        f"wrote {file}; next: give it a pin of istioctl (meshpki explain MPK-052), then meshpki preflight -f {file}"
    )


@app.command(epilog="Example: meshpki config validate mesh.yaml prod.yaml")
def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Laid over each other in order; - is stdin.")],
) -> None:
    """Check settings files as `up -f FILE -f FILE` would read them, and name every problem."""
    from meshpki.settings import read

    read(paths)
    output.progress(f"{', '.join(map(str, paths))}: valid")


@app.command(epilog="Example: meshpki config view -f mesh.yaml -f prod.yaml")
def view(
    paths: OfflineFiles = None,
    form: Annotated[Format, typer.Option("--output", "-o", help="yaml or json")] = Format.YAML,
) -> None:
    """Show the effective settings: what the files say, and the defaults for everything else."""
    from meshpki.settings import read, to_yaml

    settings = read(paths or [])
    if form is Format.YAML:
        output.data(to_yaml(settings))
        return
    import json

    from meshpki.settings.writer import effective

    output.data(json.dumps(effective(settings), indent=2))
