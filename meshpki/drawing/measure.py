"""How wide text is at most, without a font to ask: every estimate errs towards wide, so that nothing overlaps."""

import unicodedata
from bisect import bisect_right
from itertools import accumulate

# Widths in em of Verdana, the widest of the faces that `system-ui` and `sans-serif` commonly stand for.
_NARROW = dict.fromkeys("ijlI.,:;'|!()[]/\\- ft", 0.47)
_MIDDLE = dict.fromkeys('rszcJ"*', 0.56)
_WIDE = dict.fromkeys("mMW@%", 1.08) | dict.fromkeys("w+=<>~#^OQDGHNUV&…", 0.83)
_EM = {**_NARROW, **_MIDDLE, **_WIDE}
_LOWER, _OTHER, _FOREIGN = 0.65, 0.78, 1.1
_BOLD = 1.12
_LONGEST = 400


def width(text: str, size: float, *, bold: bool = False) -> float:
    """An upper estimate of a line's width, in the unit of `size`."""
    return sum(map(_em, text)) * size * (_BOLD if bold else 1)


def certain(text: str) -> bool:
    """Whether the estimate is sure to hold; a face for another script may be wider, and is to be squeezed."""
    return all(char.isascii() or char in "…·✓✗" for char in text)


def fit(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """The text, or its two ends around `…` where it is wider than the room."""
    if width(text, size, bold=bold) <= room:
        return text
    half = min(len(text), _LONGEST) // 2
    while half and width(_ends(text, half), size, bold=bold) > room:
        half -= 1
    return _ends(text, half)


def wrap(text: str, size: float, room: float, rows: int) -> tuple[str, ...]:
    """The text in at most so many lines, broken after a blank, slash or comma where there is one; elided at the end."""
    lines: list[str] = []
    rest = text[: _LONGEST * rows]
    while rest and len(lines) < rows - 1:
        cut = _cut(rest, size, room)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return (*lines, fit(rest, size, room)) if rest else tuple(lines)


def _cut(text: str, size: float, room: float) -> int:
    """Where a line ends: at the last good place that fits, at the last character that fits where there is none."""
    widths = list(accumulate(_em(char) * size for char in text))
    end = bisect_right(widths, room)
    if end == len(text):
        return end
    good = max(text.rfind(char, 0, end) for char in " /,")
    at = good if text[good] == "/" else good + 1
    return at if at > end // 3 else max(end, 1)


def _ends(text: str, half: int) -> str:
    return f"{text[:half]}…{text[len(text) - half :]}"


def _em(char: str) -> float:
    if char in _EM:
        return _EM[char]
    if char.isascii():
        return _LOWER if char.islower() or char.isdigit() else _OTHER
    return 0.0 if unicodedata.combining(char) else _FOREIGN
