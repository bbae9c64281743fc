"""The colours, light and dark: every pair that text is read in has a contrast of 4.5 or more (WCAG 2.2, 1.4.3)."""

from dataclasses import dataclass

from meshpki.drawing.mark import Mark


@dataclass(frozen=True)
class Tint:
    """The colours of one mark: what fills a box, what draws its edge and sign and writes its word."""

    fill: str
    ink: str


@dataclass(frozen=True)
class Palette:
    """One scheme: the ground, a raised surface, text and quiet text on either, lines, links, and a tint a mark."""

    ground: str
    surface: str
    text: str
    quiet: str
    line: str
    link: str
    tints: dict[Mark, Tint]


LIGHT = Palette(
    ground="#ffffff",
    surface="#f6f8fa",
    text="#1f2328",
    quiet="#4d5661",
    line="#7c8591",
    link="#0550ae",
    tints={
        Mark.PROVEN: Tint("#eef8f0", "#17692c"),
        Mark.WARNED: Tint("#fff8e1", "#7d4e00"),
        Mark.UNKNOWN: Tint("#f3f0fa", "#6139a8"),
        Mark.BROKEN: Tint("#fff0ee", "#b3191f"),
    },
)
DARK = Palette(
    ground="#0d1117",
    surface="#161b22",
    text="#f0f6fc",
    quiet="#b6bfc9",
    line="#76808c",
    link="#79b8ff",
    tints={
        Mark.PROVEN: Tint("#0f2417", "#56d364"),
        Mark.WARNED: Tint("#2b2106", "#e3b341"),
        Mark.UNKNOWN: Tint("#211a33", "#c4a7ff"),
        Mark.BROKEN: Tint("#36130f", "#ff8a80"),
    },
)


def drawing_css(within: str = "") -> str:
    """The style of every drawing, light, and dark where the reader's system is; `within` is a selector before each."""
    dark = _rules(DARK, within)
    return f"{_FIXED}{_rules(LIGHT, within)}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"


_FIXED = """\
svg.drawing { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
svg.drawing text { direction: ltr; unicode-bidi: isolate; font-size: 12px; white-space: pre; }
svg.drawing .title { font-size: 14px; font-weight: 600; }
svg.drawing .word { font-weight: 600; }
svg.drawing .head { font-size: 20px; font-weight: 600; }
svg.drawing .edge { fill: none; stroke-width: 1.5; }
svg.drawing .box { stroke-width: 1.5; }
svg.drawing .anchor { stroke-width: 3; }
svg.drawing .edge.broken { stroke-dasharray: 7 4; stroke-width: 2; }
svg.drawing .edge.unknown { stroke-dasharray: 2 4; }
svg.drawing .box.unknown { stroke-dasharray: 3 4; }
svg.drawing .box.broken { stroke-width: 2.5; }
svg.drawing .sign { fill: none; stroke-width: 2.2; stroke-linecap: round; stroke-linejoin: round; }
"""


def _rules(palette: Palette, within: str) -> str:
    at = f"{within} svg.drawing".strip()
    rules = [
        f"{at} .ground {{ fill: {palette.ground}; }}",
        f"{at} text {{ fill: {palette.quiet}; }}",
        f"{at} .title, {at} .head {{ fill: {palette.text}; }}",
        f"{at} .edge {{ stroke: {palette.line}; }}",
        f"{at} .tip {{ fill: {palette.line}; }}",
        f"{at} .track {{ fill: {palette.surface}; stroke: {palette.line}; }}",
    ]
    for mark, tint in palette.tints.items():
        rules += [
            f"{at} .box.{mark} {{ fill: {tint.fill}; stroke: {tint.ink}; }}",
            f"{at} .edge.{mark}, {at} .sign.{mark} {{ stroke: {tint.ink}; }}",
            f"{at} .bar.{mark}, {at} .word.{mark} {{ fill: {tint.ink}; }}",
        ]
    return "".join(f"{rule}\n" for rule in rules)
