"""`meshpki verify`: the proof that every identity of the mesh chains to the pinned root."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output
from meshpki.errors import OK, PRECONDITION, UsageError

if TYPE_CHECKING:
    from meshpki.cluster.client import Reader
    from meshpki.verify import Report

EXAMPLES = """\b
Examples:
  meshpki verify
  meshpki verify productpage-v1 reviews-v3 -n bookinfo
  meshpki verify -l app=reviews -o wide --strict
  meshpki verify -o json --root-fingerprint 9f:3a:...
\b
Exit codes: 0 all that could be judged is proven, 5 broken (with --strict also unknown), 4 nothing could be judged.
"""


class Form(StrEnum):
    """How the report is written; the exit code never depends on it."""

    TABLE = "table"
    WIDE = "wide"
    SHORT = "short"
    JSON = "json"


def verify(
    workloads: Annotated[
        list[str] | None, typer.Argument(metavar="[WORKLOAD]...", help="Names such as reviews-v3; none means all.")
    ] = None,
    *,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Look at one namespace only.")] = "",
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Look at all of them, as without -n.")
    ] = False,
    selector: Annotated[str, typer.Option("--selector", "-l", help="Look at pods with these labels.")] = "",
    form: Annotated[Form, typer.Option("--output", "-o", help="table, wide, short or json")] = Form.TABLE,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on what could not be judged, too.")] = False,
    root_fingerprint: Annotated[
        str, typer.Option(metavar="SHA256", help="The root that must be pinned, known from elsewhere.")
    ] = "",
    context: Annotated[str, typer.Option(help="Which context of the kubeconfig.")] = "",
    kubeconfig: Annotated[Path | None, typer.Option(help="Which kubeconfig.")] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="Settings; without it, those kept in the cluster.")
    ] = None,
) -> None:
    """Prove for every workload that its certificate is its own and chains to the pinned root."""
    if namespace and everywhere:
        raise UsageError("MPK-356", "-n and -A exclude each other", remedy="leave one of them out")
    from datetime import UTC, datetime

    from meshpki.cli.session import open_cluster, settings_of
    from meshpki.settings import read
    from meshpki.verify import Scope, verify

    if files:
        read(files)  # wrong files are told before a cluster is asked
    cluster = open_cluster(context, kubeconfig)
    scope = Scope(namespace, selector, tuple(workloads or ()))
    report = verify(
        cluster, settings_of(cluster, files or []), datetime.now(UTC), scope, root_fingerprint=root_fingerprint
    )
    code = tell(cluster, report, form, strict=strict)
    if code != OK:
        raise typer.Exit(code)


def tell(reader: "Reader", report: "Report", form: Form, *, strict: bool) -> int:
    """Write the report and answer with its exit code; raises PreconditionError where nothing could be judged."""
    from meshpki.cli import verdicts
    from meshpki.verify import unjudged

    writers = {
        Form.TABLE: lambda one: verdicts.table(one, output.width()),
        Form.WIDE: verdicts.wide,
        Form.SHORT: verdicts.summary,
        Form.JSON: verdicts.as_json,
    }
    output.data(writers[form](report))
    code = report.exit_code(strict=strict)
    if code == PRECONDITION:
        raise unjudged(reader, report)
    return code
