"""Options that several commands share, said once."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from meshpki.settings.durations import go_duration, parse

T = TypeVar("T")
DURATION = "DURATION"


class Default(timedelta):
    """A duration that `--help` shows as people type it."""

    def __str__(self) -> str:
        """As Go writes it: `5m`."""
        return go_duration(self)


FIVE_MINUTES = Default(minutes=5)


def duration(text: str | timedelta) -> timedelta:
    """A duration of the command line, as `90s` or `5m` (Typer hands a default in as it is); raises BadParameter."""
    if isinstance(text, timedelta):
        return text
    if text == "0":
        return timedelta(0)
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"`{text}` {error}; write it as 90s, 5m, 1h or 30d") from error


def given(values: list[T] | None) -> tuple[T, ...]:
    """What an option that may be repeated was given; Typer hands None in where it was not."""
    return tuple(values or ())


Context = Annotated[str, typer.Option(metavar="NAME", help="Which context of the kubeconfig.")]
Kubeconfig = Annotated[Path | None, typer.Option(metavar="FILE", help="Which kubeconfig.")]
_LAID_OVER = "Settings; later files are laid over earlier ones, - is standard input. Without it, "
Files = Annotated[
    list[Path] | None,
    typer.Option("--settings", "-f", metavar="FILE", help=f"{_LAID_OVER}those kept in the cluster."),
]
OfflineFiles = Annotated[
    list[Path] | None, typer.Option("--settings", "-f", metavar="FILE", help=f"{_LAID_OVER}the defaults.")
]
Nodes = Annotated[
    int | None,
    typer.Option(
        "--nodes", min=1, max=2, metavar="N", help="For the lab: how many nodes; a running one keeps its own."
    ),
]
Driver = Annotated[
    str, typer.Option("--driver", help="For the lab: native, kind, or auto, which keeps the one it has.")
]
InstallPackages = Annotated[
    bool, typer.Option("--install-packages", help="For the lab: install missing Debian packages without asking.")
]
STEPS = "cert-manager, approval, root-ca, istiod-ca, spire, istio, workloads"
Only = Annotated[list[str] | None, typer.Option(metavar="STEP", help=f"Only this step, of {STEPS}. May be repeated.")]
Skip = Annotated[list[str] | None, typer.Option(metavar="STEP", help="Leave this step out. May be repeated.")]
First = Annotated[str, typer.Option("--from", metavar="STEP", help="Begin with this step.")]
Last = Annotated[str, typer.Option("--to", metavar="STEP", help="End with this step.")]
GateTimeout = Annotated[
    timedelta,
    typer.Option(
        parser=duration, metavar=DURATION, help="The most that each gate may take, as 90s or 5m; 0 looks once."
    ),
]
_TOTAL = "How long all steps together may take; the lab, downloads, checks before and verify after do not count."
TotalTimeout = Annotated[timedelta | None, typer.Option(parser=duration, metavar=DURATION, help=_TOTAL)]
ArtifactDir = Annotated[
    Path | None, typer.Option(metavar="DIR", help="A folder of upstream's release files; nothing is downloaded then.")
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="CHECK", help="Only warn where this check fails; `preflight` has the names. May be repeated."),
]
Force = Annotated[bool, typer.Option("--force-conflicts", help="Take over fields that another field manager owns.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]
