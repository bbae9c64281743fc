"""`meshpki step`: the steps in their order, and where each stands."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output
from meshpki.cli.format import Format
from meshpki.cli.options import ArtifactDir, Context, Files, Kubeconfig

if TYPE_CHECKING:
    from meshpki.status import StatusReport
    from meshpki.status.standing import Standing

EXAMPLES = """\b
Examples:
  meshpki step status
  meshpki step status -o json | jq -r '.[] | select(.state != "ready") | .next'
\b
Exit codes: 0 every step is ready and as it was applied, 5 one is not, 4 nothing is installed, or a right is missing.
"""

Form = Annotated[Format, typer.Option("--output", "-o", help="text or json")]
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The steps of an installation.")


@app.callback()
def steps() -> None:
    """The steps of an installation."""


@app.command("list", epilog="Example: meshpki step list -o json")
def list_steps(form: Form = Format.TEXT) -> None:
    """List the steps in the order in which they are shown; each starts as soon as what it needs is open."""
    from meshpki.install import EVERY

    if form is Format.JSON:
        rows = [{"name": row.name, "needs": list(row.needs), "proves": row.proves} for row in EVERY]
        output.data(json.dumps(rows, indent=2))
        return
    width = max(len(row.name) for row in EVERY)
    output.data("\n".join(f"{row.name:<{width}}  {row.proves}" for row in EVERY))


@app.command(epilog=EXAMPLES)
def status(
    *,
    form: Form = Format.TEXT,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
    artifact_dir: ArtifactDir = None,
) -> None:
    """Show each step in one word, why it is not ready, and the command that brings it on; `status` shows more."""
    from meshpki.cli.status_look import looker

    code = tell(looker(context, kubeconfig, files, artifact_dir)(), form)
    if code:
        raise typer.Exit(code)


def tell(report: "StatusReport", form: Format) -> int:
    """Write a line a step and answer with the exit code; raises PreconditionError where that is 4."""
    from meshpki.errors import BROKEN, OK
    from meshpki.status import unseen
    from meshpki.status.standing import Word, standings

    found = standings(report)
    output.data(_as_json(found) if form is Format.JSON else _as_text(found))
    words = {one.word for one in found}
    if not report.installed or (Word.UNKNOWN in words and words <= {Word.UNKNOWN, Word.READY, Word.OUTDATED}):
        raise unseen(report)
    return OK if words <= {Word.READY, Word.OUTDATED} else BROKEN


def _as_json(found: "Sequence[Standing]") -> str:
    rows = [{"name": one.name, "state": one.word, "reason": one.reason, "next": one.command} for one in found]
    return json.dumps(rows, indent=2)


def _as_text(found: "Sequence[Standing]") -> str:
    from meshpki.cli.verdicts.words import aligned, plain

    table = [("STEP", "STATE", "NEXT"), *((one.name, str(one.word), one.command or "-") for one in found)]
    return "\n".join([*aligned(table), *(plain(f"  {one.name}: {one.reason}") for one in found if one.reason)])
