"""`meshpki plan`: what `up` would change, object by object and field by field; nothing is written."""

from enum import StrEnum
from typing import Annotated

import typer

from meshpki.cli import options, output, schema
from meshpki.errors import PENDING

EXAMPLES = """\b
Examples:
  meshpki plan --context kind-demo -f mesh.yaml
  meshpki plan -o diff | less
  meshpki plan --only spire --detailed-exitcode
  meshpki plan -o json | jq '.steps[].objects[] | select(.action != "same")'
\b
Each object is applied as a server-side dry run with our field manager. One whose kind or namespace is still to come is
validated offline, by its CRD's schema where the plan holds that, and marked so. What istioctl would install is asked of
it and compared the same way. Secrets are masked, and the data of a Secret is never read.
\b
The pin (ConfigMap kube-system/meshpki-trust) is made only once the root is issued, so it is listed as a program to run.
\b
Exit codes: 0 planned, 3 there is something to change (with --detailed-exitcode), 1 the API server would refuse it,
2 usage or settings, 4 a precondition does not hold.
"""


class Form(StrEnum):
    """How a plan is written; exit codes never depend on it."""

    TEXT = "text"
    DIFF = "diff"
    JSON = "json"


def plan(
    files: options.Files = None,
    *,
    only: options.Only = None,
    first: options.First = "",
    last: options.Last = "",
    skip: options.Skip = None,
    form: Annotated[Form, typer.Option("--output", "-o", help="text, diff or json")] = Form.TEXT,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 3 where there is something to change.")
    ] = False,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    artifact_dir: options.ArtifactDir = None,
    ignore: options.Ignore = None,
    force_conflicts: options.Force = False,
    _schema: Annotated[bool, schema.option("plan-report")] = False,
) -> None:
    """Show what `up` would create, change and leave as it is, and write nothing."""
    from meshpki.cli import plan_forms as forms
    from meshpki.cli.mesh import Wanted, headline, opened
    from meshpki.install import wish_manifest
    from meshpki.planning import look
    from meshpki.workflow.plan import Selection

    wanted = Wanted(
        context,
        kubeconfig,
        files=options.given(files),
        selection=Selection(options.given(only), first, last, options.given(skip)),
        artifact_dir=artifact_dir,
        ignore=options.given(ignore),
        force_conflicts=force_conflicts,
    )
    cluster, _, settings, steps = opened(wanted)
    output.progress(output.plain(headline(cluster)))
    report = look(steps, wish_manifest(settings), cluster)
    match form:
        case Form.TEXT:
            output.data(forms.text(report))
        case Form.DIFF:
            output.data(forms.diff(report) or "no change")
        case Form.JSON:
            output.data(forms.as_json(report, cluster.context, cluster.host, cluster.version()))
    if detailed and report.pending:
        raise typer.Exit(PENDING)
