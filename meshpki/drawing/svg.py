"""The tree as SVG: no script, no font of its own, light and dark, with a title and a description for who hears it."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from meshpki.drawing import measure
from meshpki.drawing.element import Content, as_xml, element, style
from meshpki.drawing.layout import BOX, FIRST_LINE, LINE, MARGIN, PAD, SIGN, TEXT, TITLE, TITLE_LINE, Box, layout
from meshpki.drawing.mark import Mark
from meshpki.drawing.node import Kind
from meshpki.drawing.palette import drawing_css
from meshpki.drawing.tree import Tree
from meshpki.drawing.words import moment

NAMESPACE = "http://www.w3.org/2000/svg"
_HEAD, _HEAD_SIZE = 84, 20.0
_LEGEND = 40
_SHAPES = {
    Mark.PROVEN: "M0 -8 A8 8 0 1 1 0 8 A8 8 0 1 1 0 -8 M-3.5 0 L-1 3 L4 -3",
    Mark.WARNED: "M0 -8 L9 7.5 L-9 7.5 Z M0 -2.5 L0 2 M0 4.8 L0 4.9",
    Mark.UNKNOWN: "M0 -9 L9 0 L0 9 L-9 0 Z M-2 -2 A2.2 2.2 0 1 1 0.8 0.2 L0 1.6 M0 4.4 L0 4.5",
    Mark.BROKEN: "M-3.5 -8 L3.5 -8 L8 -3.5 L8 3.5 L3.5 8 L-3.5 8 L-8 3.5 L-8 -3.5 Z M-3 -3 L3 3 M3 -3 L-3 3",
}


def document(tree: Tree) -> str:
    """The tree as a file of its own, with head and legend."""
    return as_xml(drawing(tree, head=True))


def drawing(tree: Tree, *, head: bool) -> Element:
    """The element `svg`; without a head it is part of a page, which brings the style and says the summary."""
    placed = layout(tree, _HEAD if head else MARGIN)
    height = placed.height + _LEGEND
    opening = [style(drawing_css()), *_head(tree, placed.width)] if head else []
    return element(
        "svg",
        element("title", f"Trust tree of {tree.trust_domain}", id="tree-title"),
        element("desc", f"{tree.summary}, at {moment(tree.at)}", id="tree-desc"),
        element("defs", _tip()),
        element("rect", class_="ground", width="100%", height="100%"),
        *opening,
        *(_edge(above, below) for above, below in placed.edges),
        *([_text("Beside the chains", MARGIN, placed.beside_at + 18, "title")] if tree.beside else []),
        *(_box(box) for box in placed.boxes),
        *_legend(placed.height + _LEGEND / 2 - 6),
        xmlns=NAMESPACE,
        class_="drawing",
        viewBox=f"0 0 {placed.width:g} {height:g}",
        width=f"{placed.width:g}",
        height=f"{height:g}",
        role="img",
        aria_labelledby="tree-title tree-desc",
    )


def sign(mark: Mark, x: float, y: float) -> Element:
    """The shape of a mark around a point."""
    return element("path", class_=f"sign {mark}", d=_SHAPES[mark], transform=f"translate({x:g} {y:g})")


def _head(tree: Tree, width: float) -> Iterator[Element]:
    room = width - 2 * MARGIN
    yield _text(
        measure.fit(f"Trust tree of {tree.trust_domain}", _HEAD_SIZE, room, bold=True),
        MARGIN,
        34,
        "head",
        size=_HEAD_SIZE,
    )
    yield sign(tree.mark, MARGIN + 9, 57)
    yield _text(measure.fit(f"{tree.summary}, at {moment(tree.at)}", TEXT, room - SIGN), MARGIN + SIGN + 2, 61)


def _box(box: Box) -> Element:
    node = box.node
    right = box.x + BOX - PAD
    kind = " anchor" if node.kind is Kind.ANCHOR else ""
    word = node.kind if node.kind is Kind.UNSEEN else node.mark
    return element(
        "g",
        element(
            "rect",
            class_=f"box {node.mark}{kind}",
            x=f"{box.x:g}",
            y=f"{box.y:g}",
            width=BOX,
            height=f"{box.height:g}",
            rx=8,
        ),
        sign(node.mark, box.x + PAD + 7, box.y + TITLE_LINE - 5),
        _text(box.title, box.x + PAD + SIGN, box.y + TITLE_LINE, "title", size=TITLE),
        _text(word, right, box.y + TITLE_LINE, f"word {node.mark}", anchor="end"),
        *(_text(line, box.x + PAD, box.y + FIRST_LINE + row * LINE) for row, line in enumerate(box.lines)),
    )


def _text(text: str, x: float, y: float, class_: str = "", *, size: float = TEXT, anchor: str = "") -> Element:
    """A line of text; one in a script whose face nobody here knows is squeezed into the width that was reckoned."""
    squeezed = {}
    if not measure.certain(text):
        reckoned = measure.width(text, size, bold=bool(class_))
        squeezed = {"textLength": f"{max(reckoned, 1):g}", "lengthAdjust": "spacingAndGlyphs"}
    return element("text", text, class_=class_, x=f"{x:g}", y=f"{y:g}", text_anchor=anchor, **squeezed)


def _edge(above: Box, below: Box) -> Element:
    x1, x2 = above.x + BOX, below.x - 2
    middle = (x1 + x2) / 2
    path = f"M{x1:g} {above.middle:g} C{middle:g} {above.middle:g} {middle:g} {below.middle:g} {x2:g} {below.middle:g}"
    return element("path", class_=f"edge {below.node.mark}", d=path, marker_end="url(#tip)")


def _tip() -> Content:
    return element(
        "marker",
        element("path", class_="tip", d="M0 0 L8 4 L0 8 z"),
        id="tip",
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=8,
        markerHeight=8,
        markerUnits="userSpaceOnUse",
        orient="auto",
    )


def _legend(y: float) -> Iterator[Element]:
    x = float(MARGIN)
    for mark in Mark:
        yield sign(mark, x + 9, y - 4)
        yield _text(mark.meaning, x + SIGN, y)
        x += SIGN + measure.width(mark.meaning, TEXT) + SIGN
