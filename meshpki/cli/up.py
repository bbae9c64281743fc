"""`meshpki up`: from settings to a mesh whose every identity chains to one root."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import options, output
from meshpki.cli.format import Format
from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.cli.mesh import Result

_LAB = "Bring a real cluster up on this machine first; it is throw-away, so nothing is asked."

EXAMPLES = """\b
Examples:
  meshpki up --lab                            a throw-away cluster here, and the mesh on it
  meshpki up --lab --driver native            the same without Docker, built from packages as root
  meshpki up --context kind-demo -f mesh.yaml
  meshpki up --from spire                     go on from a step
  meshpki up --dry-run                        what would change, object by object (field by field: meshpki plan)
\b
Where anything would change it prints the plan's summary and asks; --yes goes on, and so does --lab, whose cluster is
its own and throw-away. Without a terminal and without --yes it ends at once with exit code 2. A dry run starts no lab:
with --lab it takes the one that runs.
\b
Exit codes: 0 done, 1 a step failed, 2 usage or settings, 4 precondition, 5 verification failed, 124 time-out,
130 interrupted. Running again goes on from where it stood; a second run changes nothing.
"""


def up(
    files: options.Files = None,
    *,
    lab: Annotated[bool, typer.Option("--lab", help=_LAB)] = False,
    nodes: options.Nodes = None,
    driver: options.Driver = "auto",
    install_packages: options.InstallPackages = False,
    only: options.Only = None,
    first: options.First = "",
    last: options.Last = "",
    skip: options.Skip = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    timeout: options.GateTimeout = options.FIVE_MINUTES,
    total_timeout: options.TotalTimeout = None,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    artifact_dir: options.ArtifactDir = None,
    ignore: options.Ignore = None,
    force_conflicts: options.Force = False,
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
) -> None:
    """Install the mesh, or bring it to what the settings say, and prove every identity."""
    _check(
        lab=lab,
        names_a_cluster=bool(context or kubeconfig),
        shapes_the_lab=bool(nodes or install_packages or driver != "auto"),
    )
    from meshpki.cli.mesh import Wanted, bring_up, refuse_unknown
    from meshpki.cli.on_lab import on_lab, on_running_lab
    from meshpki.workflow.plan import Selection
    from meshpki.workflow.work import Limits

    given, selection = options.given(files), Selection(options.given(only), first, last, options.given(skip))
    refuse_unknown(selection, options.given(ignore))
    if not lab:
        place = Wanted(context, kubeconfig)
    elif dry_run:
        place = on_running_lab(driver, given)
    else:
        place = on_lab(nodes, driver, given, install=install_packages)
    wanted = replace(
        place,
        files=given,
        selection=selection,
        limits=Limits(timeout, total_timeout),
        artifact_dir=artifact_dir,
        ignore=options.given(ignore),
        force_conflicts=force_conflicts,
        ask=not (yes or lab),
        dry_run=dry_run,
    )
    tell(bring_up(wanted), form)


def tell(result: "Result", form: Format) -> None:
    """Write what it did; raises the error that it ended with, which in JSON is part of it."""
    if result.error is None or form is Format.JSON:
        output.data(result.as_json() if form is Format.JSON else result.as_text())
    if result.error is not None:
        raise result.error
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _check(*, lab: bool, names_a_cluster: bool, shapes_the_lab: bool) -> None:
    """Options of a cluster of one's own and of the lab exclude each other; raises UsageError MPK-119."""
    if lab and names_a_cluster:
        raise UsageError("MPK-119", "--lab brings its own cluster", remedy="leave --context and --kubeconfig out")
    if shapes_the_lab and not lab:
        raise UsageError(
            "MPK-119", "--nodes, --driver and --install-packages are for --lab", remedy="add --lab, or leave them out"
        )
