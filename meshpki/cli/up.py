"""`meshpki up`: from settings to a mesh whose every identity chains to one root."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output
from meshpki.cli.format import Format

if TYPE_CHECKING:
    from meshpki.cli.mesh import Wanted

EXAMPLES = """\b
Examples:
  meshpki up --lab                            a throw-away cluster here, and the mesh on it
  meshpki up --context kind-demo -f mesh.yaml
  meshpki up --from spire                     go on from a step
  meshpki up --dry-run                        what would change, object by object
\b
Exit codes: 0 done, 1 a step failed, 2 usage or settings, 4 precondition, 5 verification failed, 124 time-out,
130 interrupted. Running again goes on from where it stood; a second run changes nothing.
"""


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


def up(
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="Settings; later files are laid over earlier ones, - is standard input."),
    ] = None,
    *,
    lab: Annotated[bool, typer.Option("--lab", help="Bring a real cluster up on this machine first.")] = False,
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=2, help="With --lab: how many nodes.")] = 1,
    install_packages: Annotated[
        bool, typer.Option("--install-packages", help="With --lab: install missing Debian packages without asking.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(metavar="STEP", help="This step alone; may be repeated.")] = None,
    first: Annotated[str, typer.Option("--from", metavar="STEP", help="Begin with this step.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="STEP", help="End with this step.")] = "",
    skip: Annotated[list[str] | None, typer.Option(metavar="STEP", help="Leave it out; may be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[
        timedelta, typer.Option(parser=duration, metavar="D", help="How long each gate may take; 0 looks once.")
    ] = timedelta(minutes=5),
    total_timeout: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="D", help="How long the whole may take.")
    ] = None,
    context: Annotated[str, typer.Option(help="Which context of the kubeconfig.")] = "",
    kubeconfig: Annotated[Path | None, typer.Option(help="Which kubeconfig.")] = None,
    artifact_dir: Annotated[
        Path | None, typer.Option(help="A folder of upstream's release files; nothing is downloaded then.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="CHECK", help="Only warn where this check fails.")] = None,
    force_conflicts: Annotated[
        bool, typer.Option("--force-conflicts", help="Take over fields that another field manager owns.")
    ] = False,
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
) -> None:
    """Install the mesh, or bring it to what the settings say, and prove every identity."""
    from meshpki.cli.mesh import Wanted, bring_up
    from meshpki.workflow.plan import Selection
    from meshpki.workflow.work import Limits

    place = _lab(nodes, install=install_packages) if lab else Wanted(context, kubeconfig)
    wanted = place.with_options(
        files=tuple(files or ()),
        selection=Selection(tuple(only or ()), first, last, tuple(skip or ())),
        limits=Limits(timeout, total_timeout),
        artifact_dir=artifact_dir,
        ignore=tuple(ignore or ()),
        force_conflicts=force_conflicts,
        ask=not (yes or lab),
        dry_run=dry_run,
    )
    result = bring_up(wanted)
    output.data(result.as_json() if form is Format.JSON else result.as_text())
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _lab(nodes: int, *, install: bool) -> "Wanted":
    """Bring the lab up and say how it is reached; its settings are an overlay as any user could write it."""
    from meshpki.cli.lab import bring_up_lab
    from meshpki.cli.mesh import Wanted

    made = bring_up_lab(nodes, install_packages=install)
    overlay = (made.settings,) if made.settings else ()
    return Wanted(made.context, made.kubeconfig, overlay, lab=True)
