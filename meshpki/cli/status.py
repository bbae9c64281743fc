"""`meshpki status`: whether every step still stands and every CA lasts, in one quick look."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output, schema
from meshpki.cli.format import Format
from meshpki.cli.options import ArtifactDir, Context, Files, Kubeconfig
from meshpki.errors import BROKEN, PRECONDITION, PreconditionError

if TYPE_CHECKING:
    from meshpki.artifacts import Releases
    from meshpki.settings import Settings
    from meshpki.status import StatusReport

EXAMPLES = """\b
Examples:
  meshpki status
  meshpki status -o json | jq '.authorities[] | {name, notAfter, renewal}'
\b
Reads only, and no Secret. A version is the image tag of the containers that run. Drift is a field that somebody else
changed since meshpki applied it; what upstream's release files hold is compared where they are at hand.
\b
Exit codes: 0 all is well, 5 a step or a CA is not, 4 nothing is installed, or a right is missing to see it.
"""


def status(
    *,
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
    artifact_dir: ArtifactDir = None,
    _schema: Annotated[bool, schema.option("status-report")] = False,
) -> None:
    """Show each step's state, version, owner and drift, and how long each CA lasts and what renews it."""
    from datetime import UTC, datetime

    from meshpki.cli.session import open_cluster, settings_of
    from meshpki.settings import read
    from meshpki.status import look

    if files:
        read(files)  # wrong files are told before a cluster is asked
    cluster = open_cluster(context, kubeconfig)
    settings = settings_of(cluster, files or [])
    code = tell(look(cluster, settings, at_hand(settings, artifact_dir), datetime.now(UTC)), form)
    if code:
        raise typer.Exit(code)


def at_hand(settings: "Settings", folder: Path | None) -> "Releases":
    """Upstream's release files where they are here already; those of a folder that was named have to be."""
    from meshpki import artifacts

    try:
        return artifacts.obtain(settings, folder, download=False)
    except PreconditionError:
        if folder:
            raise
        return artifacts.NONE


def tell(report: "StatusReport", form: Format) -> int:
    """Write the report and answer with its exit code; raises PreconditionError where that is 4."""
    from meshpki.cli import status_forms as forms
    from meshpki.status import unseen

    output.data(forms.as_json(report) if form is Format.JSON else forms.text(report))
    if report.exit_code == PRECONDITION:
        raise unseen(report)
    return BROKEN if report.exit_code == BROKEN else 0
