"""Options that several commands share, said once."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer

T = TypeVar("T")


def duration(text: str | timedelta) -> timedelta:
    """A duration of the command line, as `90s` or `5m` (Typer hands a default in as it is); raises BadParameter."""
    import durationpy

    if isinstance(text, timedelta):
        return text
    if text == "0":
        return timedelta(0)
    try:
        return timedelta(seconds=durationpy.from_str(text).total_seconds())
    except (durationpy.DurationError, ValueError) as error:
        raise typer.BadParameter(f"`{text}` is no duration such as 90s or 5m") from error


def given(values: list[T] | None) -> tuple[T, ...]:
    """What an option that may be repeated was given; Typer hands None in where it was not."""
    return tuple(values or ())


Context = Annotated[str, typer.Option(help="Which context of the kubeconfig.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Which kubeconfig.")]
Files = Annotated[
    list[Path] | None,
    typer.Option("--settings", "-f", help="Settings; later files are laid over earlier ones, - is standard input."),
]
Nodes = Annotated[
    int | None, typer.Option("--nodes", min=1, max=2, help="For the lab: how many nodes; a running one keeps its own.")
]
Driver = Annotated[
    str, typer.Option("--driver", help="For the lab: native, kind, or auto, which keeps the one it has.")
]
InstallPackages = Annotated[
    bool, typer.Option("--install-packages", help="For the lab: install missing Debian packages without asking.")
]
Steps = Annotated[list[str] | None, typer.Option(metavar="STEP", help="May be repeated.")]
First = Annotated[str, typer.Option("--from", metavar="STEP", help="Begin with this step.")]
Last = Annotated[str, typer.Option("--to", metavar="STEP", help="End with this step.")]
GateTimeout = Annotated[
    timedelta, typer.Option(parser=duration, metavar="D", help="How long each gate may take; 0 looks once.")
]
TotalTimeout = Annotated[
    timedelta | None, typer.Option(parser=duration, metavar="D", help="How long the whole may take.")
]
ArtifactDir = Annotated[
    Path | None, typer.Option(help="A folder of upstream's release files; nothing is downloaded then.")
]
Ignore = Annotated[list[str] | None, typer.Option(metavar="CHECK", help="Only warn where this check fails.")]
Force = Annotated[bool, typer.Option("--force-conflicts", help="Take over fields that another field manager owns.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]
