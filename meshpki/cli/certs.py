"""`meshpki certs`: every certificate of the mesh with the time it has left, and what renews it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output, schema
from meshpki.cli.mesh_look import Wanted, look
from meshpki.cli.options import Context, Files, Kubeconfig
from meshpki.cli.verify_options import Everywhere, Namespace, Selector

if TYPE_CHECKING:
    from meshpki.cluster.client import Reader
    from meshpki.pki.renewal import Renewal
    from meshpki.verify import Report

EXAMPLES = """\b
Examples:
  meshpki certs
  meshpki certs -n bookinfo --sort name
  meshpki certs -o json | jq '.leaves[] | select(.secondsLeft < 600)'
\b
Authorities first, then leaves; each certificate once, however many places hold it. Nothing is judged here.
Exit codes: 0 listed, 4 there is nothing to list, or no right to see it.
"""


class Form(StrEnum):
    """How the list is written; the exit code never depends on it."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"


class Order(StrEnum):
    """What the list is sorted by."""

    LEFT = "left"
    NAME = "name"


def certs(
    *,
    order: Annotated[Order, typer.Option("--sort", help="left: least time first; name")] = Order.LEFT,
    form: Annotated[Form, typer.Option("--output", "-o", help="table, wide or json")] = Form.TABLE,
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    selector: Selector = "",
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
    _schema: Annotated[bool, schema.option("certificate-list")] = False,
) -> None:
    """List every certificate of the mesh, root to leaf, with the time left, and when and by what it is renewed."""
    from meshpki.cli.session import settings_of
    from meshpki.components.renewal import cacerts_renewal

    chosen = tuple(files or ())
    wanted = Wanted(namespace, everywhere, selector, context=context, kubeconfig=kubeconfig, files=chosen)
    cluster, report = look(wanted)
    tell(cluster, report, cacerts_renewal(cluster, settings_of(cluster, chosen)), form, order)


def tell(reader: "Reader", report: "Report", known: "Mapping[str, Renewal]", form: Form, order: Order) -> None:
    """Write the list; raises PreconditionError where no place but the pin could be seen."""
    from meshpki.cli import certs_forms as forms
    from meshpki.verify import unjudged
    from meshpki.verify.expiry import inventory

    held = inventory(report, known)
    writers = {Form.TABLE: forms.table, Form.WIDE: forms.wide, Form.JSON: forms.as_json}
    output.data(writers[form](forms.by_name(held) if order is Order.NAME else held, report))
    untold = [pod for pod in report.pods if not pod.path]
    if len(untold) == len(report.pods) and not any(place.path for place in report.places):
        raise unjudged(reader, report)
    if untold:
        output.progress(f"{len(untold)} of {len(report.pods)} pods showed no certificate: meshpki verify tells why")
