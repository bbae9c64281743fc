"""`meshpki forecast`: every clock of the tree, and what fails first if a part of the mesh stops now."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output, schema
from meshpki.cli.mesh_look import Out, Wanted, look
from meshpki.cli.options import Context, Files, Kubeconfig
from meshpki.cli.verify_options import Authorities

if TYPE_CHECKING:
    from meshpki.forecast import Forecast

EXAMPLES = """\b
Examples:
  meshpki forecast
  meshpki forecast --authorities -o svg --out clocks.svg
  meshpki forecast -o json | jq '.outages[] | {stopped, node, first}'
\b
Arithmetic on the dates that are seen now; a certificate that is renewed a moment later moves what follows from it.
A request is one on a new connection: those that stand go on, as certificates are checked when they are made.
Which CA SPIRE has prepared is told by spire-server alone, by exec: --authorities.
\b
Exit codes: 0 told, 4 there is no mesh, or no right to see it.
"""


class Form(StrEnum):
    """How the forecast is written; the exit code never depends on it."""

    TABLE = "table"
    JSON = "json"
    SVG = "svg"


def forecast(
    *,
    form: Annotated[Form, typer.Option("--output", "-o", help="table, json or svg")] = Form.TABLE,
    out: Out = None,
    authorities: Authorities = False,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
    _schema: Annotated[bool, schema.option("forecast")] = False,
) -> None:
    """Tell when each certificate is renewed and by whom, and what fails first, and when, if a part stops now."""
    from meshpki import forecast as forecasting
    from meshpki.cli.session import settings_of
    from meshpki.verify import unjudged

    chosen = tuple(files or ())
    cluster, report = look(Wanted(context=context, kubeconfig=kubeconfig, files=chosen))
    seen = forecasting.gather(cluster, settings_of(cluster, chosen), report, authorities=authorities)
    if seen.empty:
        raise unjudged(cluster, report)
    tell(forecasting.forecast(seen), form, out)


def tell(found: "Forecast", form: Form, out: Path | None) -> None:
    """Deliver a forecast in one of its forms, and say beside it what was not seen."""
    from meshpki.cli import forecast_forms as forms
    from meshpki.cli.document import deliver
    from meshpki.drawing.forecast import document

    writers = {Form.TABLE: forms.table, Form.JSON: forms.as_json, Form.SVG: document}
    deliver(writers[form](found), out)
    for one in found.seen.unseen:
        output.progress(output.plain(f"not seen: {one.what}: {one.needs}"))
