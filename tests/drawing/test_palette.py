"""WCAG 2.2: 1.4.3 asks 4.5 for text, 1.4.11 asks 3 for what is drawn and must be seen."""

import pytest

from meshpki.drawing.mark import Mark
from meshpki.drawing.palette import DARK, LIGHT, Palette, drawing_css

SCHEMES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_reckoned_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@SCHEMES
def test_text_can_be_read_on_every_ground_it_stands_on(palette: Palette) -> None:
    grounds = [palette.ground, palette.surface, *(tint.fill for tint in palette.tints.values())]
    for ground in grounds:
        assert contrast(palette.text, ground) >= 7
        assert contrast(palette.quiet, ground) >= 4.5
    for ground in (palette.ground, palette.surface):
        assert contrast(palette.link, ground) >= 4.5


@SCHEMES
@pytest.mark.parametrize("mark", list(Mark))
def test_a_mark_can_be_read_on_its_box_and_on_the_page(palette: Palette, mark: Mark) -> None:
    tint = palette.tints[mark]
    for ground in (tint.fill, palette.ground, palette.surface):
        assert contrast(tint.ink, ground) >= 4.5


@SCHEMES
def test_lines_can_be_seen(palette: Palette) -> None:
    assert contrast(palette.line, palette.ground) >= 3


def test_every_mark_has_its_rules_in_both_schemes() -> None:
    for mark in Mark:
        assert drawing_css().count(f".box.{mark} {{ fill:") == 2
