"""`meshpki graph`: the live trust tree as text or as a picture."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli.mesh_look import Out, Wanted, look
from meshpki.cli.options import Context, Files, Kubeconfig
from meshpki.cli.verify_options import Authorities, Everywhere, Namespace, RootFingerprints, Selector

if TYPE_CHECKING:
    from meshpki.drawing.tree import Tree
    from meshpki.verify import Report

EXAMPLES = """\b
Examples:
  meshpki graph
  meshpki graph -o svg --out trust.svg
  meshpki graph -o dot | dot -Tpdf > trust.pdf
  meshpki graph -o mermaid -n bookinfo
\b
Pods share a box by workload, in a large mesh by namespace; what is broken is never left out of the count.
\b
Exit codes: 0 drawn, whatever the verdict (meshpki verify judges), 4 no root is pinned, or no right to look.
"""


class Form(StrEnum):
    """How the tree is drawn; the exit code never depends on it."""

    TEXT = "text"
    SVG = "svg"
    DOT = "dot"
    MERMAID = "mermaid"


def graph(
    *,
    form: Annotated[Form, typer.Option("--output", "-o", help="text, svg, dot or mermaid")] = Form.TEXT,
    out: Out = None,
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    selector: Selector = "",
    root_fingerprint: RootFingerprints = None,
    authorities: Authorities = False,
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    files: Files = None,
) -> None:
    """Draw who trusts whom: pinned roots, the CAs below them, every workload, and where anchors are kept."""
    settings, roots = tuple(files or ()), tuple(root_fingerprint or ())
    _, found = look(Wanted(namespace, everywhere, selector, roots, authorities, False, context, kubeconfig, settings))
    tell(found, form, out)


def tell(report: "Report", form: Form, out: Path | None) -> None:
    """Draw a report, and deliver the drawing."""
    from meshpki.cli.document import deliver
    from meshpki.drawing import dot, mermaid, outline, svg
    from meshpki.drawing.tree import tree

    writers: dict[Form, Callable[[Tree], str]] = {
        Form.TEXT: outline.text,
        Form.SVG: svg.document,
        Form.DOT: dot.dot,
        Form.MERMAID: mermaid.mermaid,
    }
    deliver(writers[form](tree(report)), out)
