"""A table that stays one for a screen reader where a narrow screen shows its rows as cards."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from meshpki.drawing.element import Content, element
from meshpki.drawing.mark import Mark

Cell = Sequence[Content]


def table(caption: str, columns: Sequence[str], rows: Iterable[Iterable[Cell]]) -> Element:
    """A table whose first column heads its rows. CSS `display` takes away a table's roles, so they are said."""
    heads = (element("th", column, scope="col", role="columnheader") for column in columns)
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads, role="row"), role="rowgroup"),
        element("tbody", *(_row(columns, row) for row in rows), role="rowgroup"),
        role="table",
    )


def marked(mark: Mark, codes: Iterable[str] = ()) -> Cell:
    """A verdict with the codes of its findings, none of which is broken at its hyphen."""
    shown = (part for code in sorted(set(codes)) for part in (" ", *short(code)))
    return [element("span", f"{mark.sign} {mark}", class_=f"mark {mark}"), *shown]


def short(text: str) -> Cell:
    """A number or a time, which a narrow column does not break."""
    return [element("span", text, class_="short")]


def name(text: str) -> Cell:
    """A name of somebody else's choice."""
    return [element("bdi", text)] if text else ["-"]


def identity(text: str) -> Cell:
    """A SPIFFE ID or a fingerprint."""
    return [element("bdi", text, class_="id")] if text else ["-"]


def _row(columns: Sequence[str], row: Iterable[Cell]) -> Element:
    first, *others = row
    cells = (
        element("td", *cell, data_label=column, role="cell") for column, cell in zip(columns[1:], others, strict=True)
    )
    return element("tr", element("th", *first, scope="row", role="rowheader"), *cells, role="row")
