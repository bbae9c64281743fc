"""`meshpki report`: the proof as one page that can be kept, sent and printed."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli.mesh_look import Out, Wanted, look
from meshpki.cli.options import Context, Files, Kubeconfig
from meshpki.cli.verify_options import Authorities, Everywhere, Namespace, RootFingerprints, Selector
from meshpki.errors import OK, PRECONDITION

if TYPE_CHECKING:
    from meshpki.cluster.client import Reader
    from meshpki.drawing.page_frame import Origin
    from meshpki.verify import Report

EXAMPLES = """\b
Examples:
  meshpki report --out trust.html
  meshpki report -o html --strict > trust.html
\b
The page needs nothing besides itself: no script, no font, no network.
\b
Exit codes, as of meshpki verify: 0 all that could be judged is proven, 5 broken (with --strict also unknown),
4 nothing could be judged. The page is written in each of these cases.
"""


class Form(StrEnum):
    """How the report is written."""

    HTML = "html"


def report(
    *,
    form: Annotated[Form, typer.Option("--output", "-o", help="html")] = Form.HTML,
    out: Out = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on what could not be judged, too.")] = False,
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    selector: Selector = "",
    root_fingerprint: RootFingerprints = None,
    authorities: Authorities = False,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
) -> None:
    """Write one page of what verify finds: verdict, trust tree, expiry, findings with their remedies, workloads."""
    from meshpki import __version__
    from meshpki.drawing.page_frame import Origin

    del form  # there is one so far; the option keeps its place for others
    settings, roots = tuple(files or ()), tuple(root_fingerprint or ())
    wanted = Wanted(namespace, everywhere, selector, roots, authorities, strict, context, kubeconfig, settings)
    cluster, found = look(wanted)
    code = tell(cluster, found, Origin(cluster.context, cluster.host, __version__), out, strict=strict)
    if code != OK:
        raise typer.Exit(code)


def tell(reader: "Reader", found: "Report", origin: "Origin", out: Path | None, *, strict: bool) -> int:
    """Deliver the page and answer with verify's exit code; raises PreconditionError where nothing could be judged."""
    from meshpki.cli.document import deliver
    from meshpki.codes import catalogue
    from meshpki.drawing.page import page
    from meshpki.verify import unjudged

    deliver(page(found, origin, {code: entry.title for code, entry in catalogue().items()}), out)
    code = found.exit_code(strict=strict)
    if code == PRECONDITION:
        raise unjudged(reader, found)
    return code
