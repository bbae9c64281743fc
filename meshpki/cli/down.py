"""`meshpki down`: the mesh taken away again, all but its root; with `--purge-ca` the root, too."""

from pathlib import Path
from typing import Annotated

import typer

from meshpki.cli import options, output, schema
from meshpki.cli.format import Format
from meshpki.errors import UsageError

EXAMPLES = """\b
Examples:
  meshpki down --dry-run                          what would go, and what stays
  meshpki down                                    the mesh; the CRDs, the root and the settings stay for the next up
  meshpki down --purge-ca                         the root too, after its name was typed
  meshpki down --yes --purge-ca meshpki-root-g1   the same in CI
\b
Only what bears meshpki's labels goes, with what its parts made; never what is somebody else's. No settings are needed;
those of -f only say which mesh is meant.
\b
Exit codes: 0 done or nothing there, 1 something did not go, 2 usage or not confirmed, 4 others still use the mesh (of a
dry run, too) or another run changes it, 124 time-out, 130 interrupted. Running again goes on from where it stood.
"""


def down(
    root: Annotated[str, typer.Argument(metavar="[ROOT]", help="For --purge-ca: the root's name.")] = "",
    *,
    purge_ca: Annotated[
        bool, typer.Option("--purge-ca", help="Destroy the root and remove the CRDs too: nothing is left.")
    ] = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    timeout: options.GateTimeout = options.FIVE_MINUTES,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--settings", "-f", help="Settings of the mesh that is meant: another one is not removed."),
    ] = None,
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
    _schema: Annotated[bool, schema.option("down-report")] = False,
) -> None:
    """Remove the mesh in the reverse of its order, and wait until each part is gone. The root stays, unless purged."""
    if root and not purge_ca:
        raise UsageError("MPK-236", f"`{root}` is named, but not --purge-ca", remedy="add --purge-ca, or leave it out")
    from meshpki.cli.removing import Asked, remove

    asked = Asked(
        context,
        kubeconfig,
        purge=purge_ca,
        root=root,
        files=tuple(files or ()),
        dry_run=dry_run,
        ask=not yes,
        timeout=timeout,
    )
    outcome = remove(asked)
    output.data(outcome.told(form))
    raise typer.Exit(outcome.exit_code)
