"""What must hold of every page and picture of ours in a browser."""

from pathlib import Path

from tests.support.browser import Browser, View

GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}


def looks_right(browser: Browser, page: Path, size: str, scheme: str, *, fits: bool = True) -> View:
    """Its view, which has a title and a picture, fits its screen, and asked and complained of nothing.

    The picture is left beside the page. What is no page but a drawing may be wider than the screen.
    """
    view = browser.view(page, size, scheme)
    page.with_name(f"{page.stem}-{size}-{scheme}.png").write_bytes(view.picture)
    assert view.complaints == ()
    assert view.requests == (page.as_uri(),)
    assert view.title
    assert len(view.picture) > 3 * browser.blank(size, scheme), "there is nothing on it"
    if fits:
        assert view.width <= view.room
        assert view.too_wide == ()
        assert view.overlaps == ()
        assert view.ground == GROUNDS[scheme]
    return view
