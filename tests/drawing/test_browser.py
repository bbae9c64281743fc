"""The pages and pictures in a real browser: on a desk and on a phone, light and dark."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from meshpki.codes import catalogue
from meshpki.drawing import forecast as clocks
from meshpki.drawing import rotation_page, svg
from meshpki.drawing.page import page
from meshpki.drawing.page_frame import Origin
from meshpki.drawing.tree import tree
from meshpki.forecast import forecast
from tests.support import proofs, reports
from tests.support.browser import SCHEMES, WIDTHS, Browser
from tests.support.browsing import looks_right
from tests.support.forecasts import seen
from tests.support.reports import HOSTILE, drawn

ORIGIN = Origin("meshpki-lab", "https://10.250.0.11:6443", "0.1.0")
TITLES = {code: entry.title for code, entry in catalogue().items()}
SCREENS = [(size, scheme) for size in WIDTHS for scheme in SCHEMES]
# every colour and every part is on these; the others are of another size or shape
WHOLE = ("broken", "failed")


def screens(names: Iterable[str]) -> pytest.MarkDecorator:
    """Each page on a desk and on a phone, once light and once dark; those that have everything on all four."""
    shown = [(name, *screen) for name in names for screen in (SCREENS if name in WHOLE else SCREENS[::3])]
    return pytest.mark.parametrize(("name", "size", "scheme"), shown)


Open = Callable[[str, str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Open:
    """Write a document where the browser, and who looks at its picture, finds it."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@screens(reports.EVERY)
def test_a_report_fits_its_screen_and_asks_for_nothing(
    name: str, size: str, scheme: str, browser: Browser, written: Open
) -> None:
    view = looks_right(browser, written("report.html", page(drawn(name), ORIGIN, TITLES)), size, scheme)
    assert "What expires when" in view.words
    assert drawn(name).roots[0].sha256 in view.words


@screens(proofs.EVERY)
def test_the_page_of_a_rotation_fits_its_screen_and_asks_for_nothing(
    name: str, size: str, scheme: str, browser: Browser, written: Open
) -> None:
    report = drawn("hostile" if name == "hostile" else "good")
    looks_right(
        browser, written("rotation.html", rotation_page.page(proofs.shown(name), report, ORIGIN, "")), size, scheme
    )


@pytest.mark.parametrize("name", reports.EVERY)
def test_a_trust_tree_is_a_picture_that_the_browser_draws(name: str, browser: Browser, written: Open) -> None:
    view = looks_right(browser, written("trust.svg", svg.document(tree(drawn(name)))), "desk", "dark", fits=False)
    assert "Trust tree of" in view.words


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_forecast_is_a_picture_that_the_browser_draws(scheme: str, browser: Browser, written: Open) -> None:
    looks_right(browser, written("clocks.svg", clocks.document(forecast(seen()))), "desk", scheme, fits=False)


def test_what_somebody_chose_as_a_name_runs_nothing_and_is_read_as_text(browser: Browser, written: Open) -> None:
    view = looks_right(browser, written("report.html", page(drawn("hostile"), ORIGIN, TITLES)), "desk", "light")
    assert HOSTILE[0] in view.words


def test_a_page_that_runs_loads_or_overflows_is_told(browser: Browser, written: Open) -> None:
    """Without this, the others could pass in a browser that tells nothing."""
    bad = '<title>x</title><p style="width:3000px">wide</p><img src="http://127.0.0.1:9/x.png"><script>lost()</script>'
    view = browser.view(written("bad.html", bad), "phone", "light")
    assert any("lost is not defined" in one for one in view.complaints)
    assert "http://127.0.0.1:9/x.png" in view.requests
    assert view.width > view.room
