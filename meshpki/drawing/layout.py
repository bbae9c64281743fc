"""Where each box of the tree stands: anchors at the left, those who present chains at the right, places below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from meshpki.drawing.measure import fit, width, wrap
from meshpki.drawing.node import Node
from meshpki.drawing.tree import Tree

TITLE, TEXT = 14.0, 12.0
BOX, GAP, SPACE, MARGIN = 340, 56, 14, 16
PAD, SIGN = 14, 24
TITLE_LINE, FIRST_LINE, LINE, FOOT = 25, 46, 17, 13
_ROWS = 3
_HEADING = 34
_COLUMNS = 3


@dataclass(frozen=True)
class Box:
    """One node where it stands; `title` and `lines` are what of its words has room."""

    node: Node
    x: float
    y: float
    title: str
    lines: tuple[str, ...]

    @property
    def height(self) -> float:
        """From the top edge to the bottom edge."""
        return FIRST_LINE + LINE * (len(self.lines) - 1) + FOOT

    @property
    def middle(self) -> float:
        """Where edges meet it."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Layout:
    """The whole: boxes, edges (issuer, issued), the height at which the boxes beside begin, and the size."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[Box, Box], ...]
    beside_at: float
    width: float
    height: float


def layout(tree: Tree, top: float = MARGIN) -> Layout:
    """The layout of a tree below `top`; no two boxes overlap, and every line of text fits its box."""
    boxes: list[Box] = []
    edges: list[tuple[Box, Box]] = []
    y = top
    for anchor in tree.anchors:
        _, y = _place(anchor, MARGIN, y, boxes, edges)
    beside_at = y + SPACE
    beside = tuple(_grid(tree.beside, beside_at + _HEADING))
    every = (*boxes, *beside)
    right = max([box.x for box in every] + [MARGIN + (_COLUMNS - 1) * (BOX + GAP)]) + BOX
    bottom = max((box.y + box.height for box in every), default=top)
    return Layout(every, tuple(edges), beside_at, right + MARGIN, bottom + MARGIN)


def _place(node: Node, x: float, y: float, boxes: list[Box], edges: list[tuple[Box, Box]]) -> tuple[Box, float]:
    """Put a node left of all that is below it, at the middle of their height; the answer's number is where it ends."""
    box = box_of(node, x, y)
    bottom = y
    children: list[Box] = []
    for child in node.below:
        placed, bottom = _place(child, x + BOX + GAP, bottom, boxes, edges)
        children.append(placed)
    if children:
        middle = (children[0].middle + children[-1].middle) / 2
        box = replace(box, y=max(y, middle - box.height / 2))
    boxes.append(box)
    edges.extend((box, child) for child in children)
    return box, max(bottom, box.y + box.height + SPACE)


def _grid(nodes: Sequence[Node], y: float) -> Iterator[Box]:
    for start in range(0, len(nodes), _COLUMNS):
        row = [
            box_of(node, MARGIN + column * (BOX + GAP), y)
            for column, node in enumerate(nodes[start : start + _COLUMNS])
        ]
        yield from row
        y = max(box.y + box.height for box in row) + SPACE


def box_of(node: Node, x: float, y: float) -> Box:
    """A node's box at a corner, with as much of its words as it has room for."""
    word = width(node.mark, TEXT, bold=True)
    title = fit(node.title, TITLE, BOX - 2 * PAD - SIGN - word - PAD, bold=True)
    codes = (" ".join(node.codes),) if node.codes else ()
    lines = [row for line in (*node.lines, *codes) for row in wrap(line, TEXT, BOX - 2 * PAD, _ROWS)]
    return Box(node, x, y, title, tuple(lines))
