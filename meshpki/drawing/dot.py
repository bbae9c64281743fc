"""The tree in Graphviz's DOT, light; names are escaped as the language's quoted strings want them."""

from collections.abc import Iterator, Sequence

from meshpki.drawing.node import Kind, Node
from meshpki.drawing.palette import LIGHT
from meshpki.drawing.tree import Tree
from meshpki.drawing.words import moment, visible

# A backslash begins an escape such as \\N, and Graphviz reads entities even in plain labels (lib/common/utils.c).
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_HEAD = """\
digraph trust {
  rankdir=LR;
  bgcolor="white";
  charset="UTF-8";
  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11, margin="0.18,0.1"];
"""
_STYLES = {"broken": "dashed", "unknown": "dotted"}


def dot(tree: Tree) -> str:
    """A digraph whose edges run from issuer to issued; what stands beside the tree is a cluster of its own."""
    numbers = {id(node): f"n{number}" for number, node in enumerate(tree.nodes)}
    label = escaped(f"trust tree of {tree.trust_domain} at {moment(tree.at)}: {tree.summary}")
    lines = [f'  label="{label}";', *_nodes(tree.anchors, numbers), *_edges(tree.anchors, numbers)]
    if tree.beside:
        lines += ["  subgraph cluster_beside {", '    label="beside the chains";', *_nodes(tree.beside, numbers), "  }"]
    return _HEAD + "\n".join([*lines, "}"])


def _nodes(nodes: Sequence[Node], numbers: dict[int, str]) -> Iterator[str]:
    for node in (one for top in nodes for one in top.walk()):
        tint = LIGHT.tints[node.mark]
        words = (
            f"{node.mark.sign} {node.title} ({node.mark})",
            *node.lines,
            *([" ".join(node.codes)] * bool(node.codes)),
        )
        label = "".join(f"{escaped(line)}\\l" for line in words)
        pen = 3 if node.kind is Kind.ANCHOR else 1.5
        look = f'fillcolor="{tint.fill}", color="{tint.ink}", fontcolor="{LIGHT.text}", penwidth={pen}'
        yield f'  {numbers[id(node)]} [label="{label}", {look}];'


def _edges(nodes: Sequence[Node], numbers: dict[int, str]) -> Iterator[str]:
    for node in (one for top in nodes for one in top.walk()):
        for child in node.below:
            look = f'color="{LIGHT.tints[child.mark].ink}", style={_STYLES.get(child.mark, "solid")}'
            yield f"  {numbers[id(node)]} -> {numbers[id(child)]} [{look}];"


def escaped(text: str) -> str:
    """Text as it stands inside of a quoted string."""
    return visible(text).translate(_ESCAPES)
