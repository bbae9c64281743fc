from xml.etree.ElementTree import Element, fromstring

import pytest

from meshpki.drawing import measure
from meshpki.drawing.forecast import document
from meshpki.drawing.svg import NAMESPACE
from meshpki.forecast import forecast
from meshpki.forecast.observation import Observation
from meshpki.verify.places import Unseen
from tests.support.certificates import AT, HOUR
from tests.support.forecasts import MINUTE, seen, svid
from tests.support.reports import HOSTILE

SVG = f"{{{NAMESPACE}}}"
ALLOWED = {"svg", "title", "desc", "style", "rect", "line", "text", "g"}
EVERY = {
    "whole": seen(unseen=(Unseen("SPIRE's prepared and old CAs", "--authorities"),)),
    "overdue": seen(at=AT + 22 * HOUR),
    "nothing": seen(cacerts=None, spire_ca=None, listeners=(), svids=()),
    "hostile": seen(
        svids=tuple(svid(text, HOUR, node=text) for text in HOSTILE), unseen=tuple(Unseen(one, one) for one in HOSTILE)
    ),
    "crowd": seen(svids=tuple(svid(f"a-{one}", (20 + one) * MINUTE, node=f"node-{one:03}") for one in range(40))),
}


def picture(observation: Observation) -> Element:
    return fromstring(document(forecast(observation)))  # noqa: S314 - our own output, of which the parser is the test


def words(name: str) -> list[str]:
    return [one.text or "" for one in picture(EVERY[name]).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", EVERY)
def test_the_picture_is_well_formed_and_of_a_few_harmless_elements(name: str) -> None:
    root = picture(EVERY[name])
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= ALLOWED
    assert not {key for one in root.iter() for key in one.attrib if key.startswith("on") or "href" in key}


@pytest.mark.parametrize("name", EVERY)
def test_every_text_ends_inside_the_picture(name: str) -> None:
    root = picture(EVERY[name])
    inner = root.find(f"{SVG}svg")
    assert inner is not None
    for one in inner.iter(f"{SVG}text"):
        x = one.attrib["x"]
        size = 20 if one.get("class") == "head" else 12
        reach = float(one.get("textLength", measure.width(one.text or "", size, bold=bool(one.get("class")))))
        if one.get("text-anchor") is None and "%" not in x:
            assert float(x) + reach <= float(inner.attrib["width"]), one.text
        assert float(one.attrib["y"]) < float(root.attrib["height"])


@pytest.mark.parametrize("name", EVERY)
def test_bars_stay_inside_and_the_sooner_is_the_shorter(name: str) -> None:
    bars = [float(one.attrib["width"].rstrip("%")) for one in picture(EVERY[name]).iter(f"{SVG}rect")
            if one.get("class", "").startswith("bar")]  # fmt: skip
    assert all(0 < width <= 100 for width in bars)
    stops = sum(1 for text in words(name) if " if " in text)
    assert bars[stops:] == sorted(bars[stops:])


def test_what_each_parts_stopping_does_is_told_above_the_clocks() -> None:
    told = words("whole")
    assert told.index("! if spire-server stops") < told.index("! if cert-manager stops")
    assert told.index("! if cert-manager stops") < told.index("! if the root is never rotated")
    assert told.index("✓ if istiod stops") < told.index("✓ SPIRE CA: next one made")
    assert "at 2026-11-24 12:00 UTC. not seen: SPIRE's prepared and old CAs" in told


def test_what_is_overdue_and_what_fails_already_has_the_worst_mark() -> None:
    told = words("overdue")
    assert "✗ if spire-server stops" in told
    assert "✗ SPIRE CA: next one used" in told
    assert "overdue" in told


def test_a_crowd_is_cut_short_and_counted_but_the_root_is_kept() -> None:
    told = words("crowd")
    assert sum(1 for text in told if " if spire-agent" in text) == 6
    assert [text for text in told if text.startswith("and ")] == [
        "and 34 more: -o json tells all",
        "and 31 more: -o json tells all",
    ]
    assert "! root CN=meshpki-root-g1: ends" in told
