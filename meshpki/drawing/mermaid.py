"""The tree as a Mermaid flowchart, as Markdown of GitHub and GitLab draws it."""

import re
from collections.abc import Iterator, Sequence

from meshpki.drawing.mark import Mark
from meshpki.drawing.node import Node
from meshpki.drawing.palette import LIGHT
from meshpki.drawing.tree import Tree
from meshpki.drawing.words import moment, visible

# Whatever may mean something to Mermaid, to Markdown or to HTML goes in as Mermaid's own `#number;`; a colon too, as
# its preprocessor takes `style a:b#9;` for a statement (mermaid packages/mermaid/src/utils.ts, encodeEntities).
_MEANINGFUL = re.compile(r"[^\w ./,()\u0080-\U0010ffff-]|_")


def mermaid(tree: Tree) -> str:
    """A flowchart whose arrows run from issuer to issued; what stands beside the tree is a subgraph of its own."""
    numbers = {id(node): f"n{number}" for number, node in enumerate(tree.nodes)}
    title = escaped(f"trust tree of {tree.trust_domain} at {moment(tree.at)}, {tree.summary}")
    lines = ["flowchart LR", f'  subgraph tree["{title}"]', "  direction LR", *_nodes(tree.anchors, numbers)]
    lines += [*_edges(tree.anchors, numbers), "  end"]
    if tree.beside:
        lines += ['  subgraph beside["beside the chains"]', *_nodes(tree.beside, numbers), "  end"]
    return "\n".join([*lines, *_classes(tree, numbers)])


def _nodes(nodes: Sequence[Node], numbers: dict[int, str]) -> Iterator[str]:
    for node in (one for top in nodes for one in top.walk()):
        words = (f"{node.mark.sign} {node.title} ({node.mark})", *node.lines, " ".join(node.codes))
        yield f'    {numbers[id(node)]}["{"<br/>".join(escaped(line) for line in words if line)}"]'


def _edges(nodes: Sequence[Node], numbers: dict[int, str]) -> Iterator[str]:
    for node in (one for top in nodes for one in top.walk()):
        for child in node.below:
            arrow = "-.->" if child.mark in (Mark.BROKEN, Mark.UNKNOWN) else "-->"
            yield f"    {numbers[id(node)]} {arrow} {numbers[id(child)]}"


def _classes(tree: Tree, numbers: dict[int, str]) -> Iterator[str]:
    for mark, tint in LIGHT.tints.items():
        found = [numbers[id(node)] for node in tree.nodes if node.mark is mark]
        if found:
            yield f"  classDef {mark} fill:{tint.fill},stroke:{tint.ink},color:{LIGHT.text},text-align:left"
            yield f"  class {','.join(found)} {mark}"


def escaped(text: str) -> str:
    """Text as it stands inside of a quoted label."""
    return _MEANINGFUL.sub(lambda found: f"#{ord(found[0])};", visible(text))
