"""`meshpki inspect`: the certificates of a pod, a file, a Secret or a ConfigMap, without base64, jq and openssl."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output, schema
from meshpki.cli.options import Context, Kubeconfig
from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.inspection import Inspection

EXAMPLES = """\b
Examples:
  meshpki inspect productpage-v1-7d9f-x          what its Envoy presents and trusts
  meshpki inspect chain.pem -o short
  meshpki inspect secret/cacerts -n istio-system
  meshpki inspect configmap/istio-ca-root-cert -n bookinfo
  meshpki inspect productpage-v1-7d9f-x --bundle -o pem > roots.pem
  kubectl get validatingwebhookconfiguration ... | meshpki inspect -
\b
A file that exists goes before a pod of that name; with -n the word always names an object. Of a Secret, which has to
be named in full, the whole crosses the wire: meshpki keeps its certificates alone and drops the rest at once.
This shows; it proves nothing: meshpki verify does.
\b
Exit codes: 0 shown, 2 no certificate can be read of it, 4 not there or no right to it.
"""


class Form(StrEnum):
    """How certificates are written; the exit code never depends on it."""

    TEXT = "text"
    SHORT = "short"
    JSON = "json"
    PEM = "pem"


def inspect(
    what: Annotated[str, typer.Argument(metavar="POD|secret/NAME|configmap/NAME|FILE|-", help="What to look at.")],
    *,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="The object's namespace.")] = "",
    bundle: Annotated[bool, typer.Option("--bundle", help="The trust bundle alone; a file is read as one.")] = False,
    form: Annotated[Form, typer.Option("--output", "-o", help="text, short, json or pem")] = Form.TEXT,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    _schema: Annotated[bool, schema.option("inspection")] = False,
) -> None:
    """Show the certificates of a pod's Envoy, of a file, or of a Secret or ConfigMap, and how they hang together."""
    from datetime import UTC, datetime

    from meshpki.cli.session import open_cluster
    from meshpki.inspection import FileTarget, inspect, target_of

    target = target_of(what, namespace)
    if isinstance(target, FileTarget) and target.also:
        output.progress(output.plain(f"reading the file {what}; -n NAMESPACE would mean {target.also} of the cluster"))
    found = inspect(
        target,
        datetime.now(UTC),
        stdin=sys.stdin.buffer,
        cluster=lambda: open_cluster(context, kubeconfig),
        bundle=bundle,
    )
    tell(found, form)


def tell(found: "Inspection", form: Form) -> None:
    """Write what was found; raises UsageError (MPK-380) where a block among it was damaged."""
    from meshpki.cli import inspect_forms as forms
    from meshpki.cli.inspect_json import as_json

    writers = {Form.TEXT: forms.text, Form.SHORT: forms.short, Form.JSON: as_json, Form.PEM: forms.pem}
    output.data(writers[form](found))
    damaged = [why for part in found.parts for why in part.contents.damaged]
    if damaged:
        raise UsageError("MPK-380", "; ".join(damaged), where=found.source, remedy="read the whole file, or object")
