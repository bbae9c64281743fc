"""Columns that a person and `awk` can read: two blanks between them, no borders, and data shown plainly."""

from collections.abc import Iterator, Sequence

from meshpki.cli.verdicts import plain


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """One line a row, each column as wide as its widest cell; cells are data, so what steers a terminal is shown."""
    shown = [tuple(plain(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
