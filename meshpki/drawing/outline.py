"""The tree as indented text, for a terminal or a ticket."""

from collections.abc import Iterator, Sequence

from meshpki.drawing.node import Node
from meshpki.drawing.tree import Tree
from meshpki.drawing.words import moment, visible


def text(tree: Tree) -> str:
    """The whole tree, a box a line and its words under it; every mark is a sign and a word."""
    head = [visible(f"trust tree of {tree.trust_domain} at {moment(tree.at)}"), tree.summary, ""]
    body = [line for node in tree.anchors for line in (*_lines(node, "", ""), "")]
    beside = [line for node in tree.beside for line in _lines(node, "", "")]
    return "\n".join([*head, *body, *(["beside the chains", *beside] if beside else [])]).rstrip()


def _lines(node: Node, first: str, rest: str) -> Iterator[str]:
    """`first` stands before the node's own line, `rest` before all that follow."""
    yield f"{first}{node.mark.sign} {node.title}  {node.mark}{_codes(node)}"
    bar = "│ " if node.below else "  "
    for line in node.lines:
        yield f"{rest}{bar}  {line}"
    yield from _below(node.below, rest)


def _below(nodes: Sequence[Node], rest: str) -> Iterator[str]:
    for node in nodes:
        last = node is nodes[-1]
        yield from _lines(node, f"{rest}{'└─' if last else '├─'} ", f"{rest}{'   ' if last else '│  '}")


def _codes(node: Node) -> str:
    return f"  {' '.join(node.codes)}" if node.codes else ""
