"""`meshpki certs`: every certificate of the mesh with the time it has left, and what renews it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output
from meshpki.cli.options import Context, Files, Kubeconfig
from meshpki.errors import UsageError

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
\b
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
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Pods of one namespace only.")] = "",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="All of them, as without -n.")] = False,
    order: Annotated[Order, typer.Option("--sort", help="left: least time first; name")] = Order.LEFT,
    form: Annotated[Form, typer.Option("--output", "-o", help="table, wide or json")] = Form.TABLE,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
) -> None:
    """List every certificate of the mesh, root to leaf, with the time left, and when and by what it is renewed."""
    if namespace and everywhere:
        raise UsageError("MPK-356", "-n and -A exclude each other", remedy="leave one of them out")
    from datetime import UTC, datetime

    from meshpki.cli.session import open_cluster, settings_of
    from meshpki.components.renewal import cacerts_renewal
    from meshpki.settings import read
    from meshpki.verify import Scope, verify

    if files:
        read(files)  # wrong files are told before a cluster is asked
    cluster = open_cluster(context, kubeconfig)
    settings = settings_of(cluster, files or [])
    report = verify(cluster, settings, datetime.now(UTC), Scope(namespace))
    tell(cluster, report, cacerts_renewal(cluster, settings), form, order)


def tell(reader: "Reader", report: "Report", known: "Mapping[str, Renewal]", form: Form, order: Order) -> None:
    """Write the list; raises PreconditionError where no place but the pin could be seen."""
    from meshpki.cli import certs_forms as forms
    from meshpki.verify import unjudged
    from meshpki.verify.expiry import inventory

    held = inventory(report, known)
    if order is Order.NAME:
        held = forms.by_name(held)
    writers: dict[Form, Callable[[], str]] = {
        Form.TABLE: lambda: forms.table(held, report),
        Form.WIDE: lambda: forms.wide(held, report),
        Form.JSON: lambda: forms.as_json(held, report),
    }
    output.data(writers[form]())
    untold = [pod for pod in report.pods if not pod.path]
    if len(untold) == len(report.pods) and not any(place.path for place in report.places):
        raise unjudged(reader, report)
    if untold:
        output.progress(f"{len(untold)} of {len(report.pods)} pods showed no certificate: meshpki verify tells why")
