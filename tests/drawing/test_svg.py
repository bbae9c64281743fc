from collections.abc import Iterator
from itertools import combinations
from xml.etree.ElementTree import Element, fromstring

import pytest

from meshpki.drawing import measure, svg
from meshpki.drawing.layout import BOX, MARGIN, PAD, SIGN, TEXT, TITLE, Box, Layout, layout
from meshpki.drawing.mark import Mark
from meshpki.drawing.tree import tree
from tests.support.reports import EVERY, drawn

SVG = f"{{{svg.NAMESPACE}}}"
ALLOWED = {"svg", "title", "desc", "style", "defs", "marker", "path", "rect", "text", "g"}


def picture(name: str) -> Element:
    return fromstring(svg.document(tree(drawn(name))))  # noqa: S314 - our own output, of which the parser is the test


def placed(name: str) -> Layout:
    return layout(tree(drawn(name)))


def overlap(one: Box, other: Box) -> bool:
    across = one.x < other.x + BOX and other.x < one.x + BOX
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def texts(root: Element) -> Iterator[Element]:
    yield from root.iter(f"{SVG}text")


@pytest.mark.parametrize("name", EVERY)
def test_the_picture_is_well_formed_and_of_a_few_harmless_elements(name: str) -> None:
    root = picture(name)
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= ALLOWED
    attributes = {key for one in root.iter() for key in one.attrib}
    assert not {key for key in attributes if key.startswith("on") or "href" in key}


@pytest.mark.parametrize("name", EVERY)
def test_no_two_boxes_overlap_and_all_lie_inside(name: str) -> None:
    found = placed(name)
    assert [(one.title, other.title) for one, other in combinations(found.boxes, 2) if overlap(one, other)] == []
    for box in found.boxes:
        assert box.x >= MARGIN
        assert box.x + BOX <= found.width - MARGIN
        assert MARGIN <= box.y <= box.y + box.height <= found.height - MARGIN


@pytest.mark.parametrize("name", EVERY)
def test_every_line_fits_its_box_by_an_estimate_that_errs_towards_wide(name: str) -> None:
    for box in placed(name).boxes:
        word = measure.width(box.node.mark, TEXT, bold=True)
        assert PAD + SIGN + measure.width(box.title, TITLE, bold=True) + PAD + word + PAD <= BOX + 0.01
        assert all(measure.width(line, TEXT) <= BOX - 2 * PAD for line in box.lines)


@pytest.mark.parametrize("name", EVERY)
def test_every_text_ends_inside_the_picture(name: str) -> None:
    root = picture(name)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for one in texts(root):
        size = {"title": TITLE, "head": 20}.get(one.get("class", ""), TEXT)
        bold = one.get("class", "") != ""
        reach = measure.width(one.text or "", size, bold=bold)
        x = float(one.attrib["x"])
        assert (x - reach >= 0) if one.get("text-anchor") == "end" else (x + reach <= width), one.text
        assert 0 < float(one.attrib["y"]) < height


@pytest.mark.parametrize("name", EVERY)
def test_an_issuer_stands_left_of_what_it_issued(name: str) -> None:
    found = placed(name)
    assert all(above.x + BOX < below.x for above, below in found.edges)
    assert len(found.edges) == sum(len(box.node.below) for box in found.boxes)


def test_a_face_nobody_knows_the_width_of_is_squeezed_into_the_reckoned_width() -> None:
    foreign = [one for one in texts(picture("hostile")) if not measure.certain(one.text or "")]
    assert foreign
    assert all(float(one.attrib["textLength"]) <= BOX for one in foreign)


def test_who_hears_the_picture_hears_title_and_summary() -> None:
    root = picture("broken")
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "tree-title tree-desc")
    assert root.findtext(f"{SVG}title") == "Trust tree of example.org"
    assert "4 broken, 1 unknown" in (root.findtext(f"{SVG}desc") or "")


def test_every_mark_is_a_word_and_a_shape_beside_its_colour() -> None:
    root = picture("broken")
    words = {one.text for one in texts(root)}
    shapes = {one.get("d") for one in root.iter(f"{SVG}path") if (one.get("class") or "").startswith("sign")}
    assert words >= set(Mark)
    assert len(shapes) == len(Mark)


def test_the_picture_has_a_dark_side_and_needs_nothing_from_elsewhere() -> None:
    drawing = svg.document(tree(drawn("good")))
    assert "@media screen and (prefers-color-scheme: dark)" in drawing
    assert not any(word in drawing for word in ("@import", "@font-face", "<script", "<image", "url(http", "xlink"))


def test_nothing_is_hidden_under_the_ground() -> None:
    drawn_in_order = [one for one in picture("good") if one.tag.removeprefix(SVG) in ("rect", "text", "path", "g")]
    assert drawn_in_order[0].get("class") == "ground"
    assert drawn_in_order[1].text == "Trust tree of example.org"


def test_hostile_names_stay_text() -> None:
    root = picture("hostile")
    shown = " ".join(one.text or "" for one in texts(root))
    assert "<script>alert(1)</script>" in shown
    assert "\\u{202e}gnp.exe" in shown
    assert "\\u{1b}]0;pwned" in shown
