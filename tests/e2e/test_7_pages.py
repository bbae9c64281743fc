"""`report`, `graph` and `forecast` of the lab's mesh in a real browser, and `inspect` beside them."""

import json
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.e2e.conftest import Mesh
from tests.support.browser import SCHEMES, WIDTHS, Browser
from tests.support.browsing import looks_right

pytestmark = pytest.mark.lab

SCREENS = [(size, scheme) for size in WIDTHS for scheme in SCHEMES]


@pytest.fixture(scope="module")
def folder(mesh: Mesh, meshpki: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of this mesh, and the browser's pictures of them."""
    made = tmp_path_factory.mktemp("pages")
    for argv in (
        ("report", "--out", str(made / "report.html")),
        ("graph", "-o", "svg", "--out", str(made / "trust.svg")),
        ("forecast", "-o", "svg", "--out", str(made / "clocks.svg")),
    ):
        done = meshpki(*argv, *mesh.where(), seconds=120)
        assert done.returncode == 0, done.stderr
    return made


@pytest.mark.parametrize(("size", "scheme"), SCREENS)
def test_the_report_of_this_mesh_opens_on_every_screen_and_says_that_it_is_proven(
    size: str, scheme: str, mesh: Mesh, folder: Path, browser: Browser
) -> None:
    view = looks_right(browser, folder / "report.html", size, scheme)
    # who else may ask for a CA is a warning
    assert view.title.startswith(("proven: trust of example.org, ", "warned: trust of example.org, "))
    assert "\nProven" in view.words
    assert mesh.lab.context in view.words


@pytest.mark.parametrize("name", ["trust.svg", "clocks.svg"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_pictures_of_this_mesh_are_drawn(
    name: str, scheme: str, mesh: Mesh, folder: Path, browser: Browser
) -> None:
    view = looks_right(browser, folder / name, "desk", scheme, fits=False)
    assert "example.org" in view.words
    assert mesh.root_name() in view.words


def test_the_page_names_the_root_and_the_identity_that_inspect_shows_of_a_pod(
    mesh: Mesh, meshpki: Command, folder: Path, browser: Browser
) -> None:
    words = looks_right(browser, folder / "report.html", "desk", "light").words
    pod = mesh.json("-n", "bookinfo", "get", "pods", "-l", "app=productpage")["items"][0]["metadata"]["name"]
    shown = meshpki("inspect", f"pod/{pod}", "-n", "bookinfo", *mesh.reach(), "-o", "json")
    assert shown.returncode == 0, shown.stderr
    parts = {part["role"]: part["certificates"] for part in json.loads(shown.stdout)["parts"]}
    assert parts["chain"][0]["uris"] == ["spiffe://example.org/ns/bookinfo/sa/bookinfo-productpage"]
    for told in (*parts["chain"][0]["uris"], *(one["sha256"] for one in parts["bundle"])):
        assert told in words
