"""`meshpki status`: whether every step still stands and every CA lasts, in one quick look."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output, schema
from meshpki.cli.format import Format
from meshpki.cli.options import ArtifactDir, Context, Files, Kubeconfig
from meshpki.cli.verify_options import Every, Watch
from meshpki.errors import BROKEN, PRECONDITION, UsageError

if TYPE_CHECKING:
    from meshpki.status import StatusReport

EXAMPLES = """\b
Examples:
  meshpki status
  meshpki status --watch
  meshpki status -o json | jq '.authorities[] | {name, notAfter, renewal}'
\b
Reads only, and no Secret. A version is the image tag of the containers that run. Drift is a field that somebody else
changed since meshpki applied it; what upstream's release files hold is compared where they are at hand.
\b
Exit codes: 0 all is well, 5 a step or a CA is not, 4 nothing is installed, or a right is missing to see it,
130 interrupted, as every --watch ends.
"""
_EVERY = timedelta(seconds=5)


def status(
    *,
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
    watch: Watch = False,
    every: Every = None,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
    artifact_dir: ArtifactDir = None,
    _schema: Annotated[bool, schema.option("status-report")] = False,
) -> None:
    """Show each step's state, version, owner and drift, and how long each CA lasts and what renews it."""
    _check(form, watch, every)
    from meshpki.cli.status_look import looker

    look = looker(context, kubeconfig, files, artifact_dir)
    if watch:
        from meshpki.cli.session import SystemClock
        from meshpki.cli.status_watch import WATCHED
        from meshpki.cli.watch import watch as watch_it

        watch_it(look, WATCHED, every or _EVERY, SystemClock())
    code = tell(look(), form)
    if code:
        raise typer.Exit(code)


def _check(form: Format, watch: bool, every: timedelta | None) -> None:
    """Options that do not go together; raises UsageError (MPK-356), as verify does."""
    remedy = "see `meshpki status --help`"
    if watch and form is Format.JSON:
        raise UsageError("MPK-356", "--watch and -o json exclude each other", remedy=remedy)
    if every is not None and not watch:
        raise UsageError("MPK-356", "--every is for --watch", remedy=remedy)
    if every is not None and every < timedelta(seconds=1):
        raise UsageError("MPK-356", "--every is at least 1s", remedy=remedy)


def tell(report: "StatusReport", form: Format) -> int:
    """Write the report and answer with its exit code; raises PreconditionError where that is 4."""
    from meshpki.cli import status_forms as forms
    from meshpki.status import unseen

    output.data(forms.as_json(report) if form is Format.JSON else forms.text(report))
    if report.exit_code == PRECONDITION:
        raise unseen(report)
    return BROKEN if report.exit_code == BROKEN else 0
