"""The page without a browser: structure, escaping, what it may load, and what a reader of any kind finds in it."""

import base64
import hashlib
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from meshpki.codes import catalogue
from meshpki.drawing.page import page
from meshpki.drawing.page_frame import Origin
from meshpki.verify.places import PlaceKind
from meshpki.verify.report import Report
from meshpki.verify.scope import Scope
from tests.support.html import ALLOWED, Seen, read
from tests.support.reports import EVERY, HOSTILE, drawn, finding, place

ORIGIN = Origin("meshpki-lab", "https://10.250.0.11:6443", "0.1.0")
TITLES = {code: entry.title for code, entry in catalogue().items()}
NAMES = pytest.mark.parametrize("name", EVERY)


def written(name: str) -> str:
    return page(drawn(name), ORIGIN, TITLES)


def words_of(report: Report) -> str:
    return read(page(report, ORIGIN, TITLES)).words()


def seen(name: str) -> Seen:
    return read(written(name))


@NAMES
def test_the_page_is_well_formed_and_of_known_elements(name: str) -> None:
    assert {tag for tag, _ in seen(name).tags} <= ALLOWED


@NAMES
def test_nothing_can_run_and_nothing_is_loaded(name: str) -> None:
    for tag, attributes in seen(name).tags:
        assert not {key for key in attributes if key.startswith("on") or key in ("src", "style", "srcdoc", "action")}, (
            tag
        )
        assert (attributes.get("href") or "#").startswith("#")


def test_the_policy_allows_this_very_style_sheet_and_nothing_else() -> None:
    reader = seen("good")
    (css,) = (text for tag, text in reader.texts if tag == "style")
    policy = next(one["content"] for one in reader.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    allowed = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    assert "url(http" not in css
    assert "@import" not in css


@NAMES
def test_ids_are_unique_and_every_reference_meets_one(name: str) -> None:
    tags = seen(name).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {word for _, one in tags for word in (one.get("aria-labelledby") or "").split()}
    wanted |= {(one.get("href") or "").removeprefix("#") for tag, one in tags if tag == "a"}
    assert wanted <= set(ids)


@NAMES
def test_landmarks_language_and_headings_are_there_in_order(name: str) -> None:
    reader = seen(name)
    assert reader.all("html") == [{"lang": "en", "dir": "ltr"}]
    assert [len(reader.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1, 1, 1, 1, 1]
    levels = [int(tag[1]) for tag, _ in reader.tags if tag in ("h1", "h2", "h3")]
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert reader.tags[[tag for tag, _ in reader.tags].index("body") + 1] == ("a", {"class": "skip", "href": "#report"})


@NAMES
def test_tables_keep_their_roles_heads_and_labels(name: str) -> None:
    reader = seen(name)
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all(one["role"] == "table" for one in reader.all("table"))
    assert all(one["scope"] in ("col", "row") and one["role"] for one in reader.all("th"))
    assert all(one["data-label"] and one["role"] == "cell" for one in reader.all("td"))


@NAMES
def test_pictures_have_a_name(name: str) -> None:
    assert all(
        one["role"] == "img" and ("aria-label" in one or "aria-labelledby" in one) for one in seen(name).all("svg")
    )


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("good", "Proven: every identity chains to the pinned root"),
        ("broken", "Broken: the mesh is not what it should be"),
        ("empty", "Nothing could be judged"),
    ],
)
def test_the_verdict_stands_first_in_words(name: str, verdict: str) -> None:
    words = seen(name).words()
    assert verdict in words
    assert words.index(verdict) < words.index("Trust tree")


def test_findings_are_told_with_title_remedy_and_whom_they_concern() -> None:
    words = seen("broken").words()
    assert f"MPK-344 {TITLES['MPK-344']}" in words
    assert "restart the pod; if it stays" in words
    assert "Pod bookinfo/intruder-5d9-0" in words
    assert words.index("✗ broken MPK-341") < words.index("! warned MPK-328")


def test_the_codes_of_a_verdict_are_not_broken_at_their_hyphens() -> None:
    shown = re.findall(r'✗ broken</span> <span class="([a-z]+)">(MPK-\d{3})</span>', written("broken"))
    assert ("short", "MPK-344") in shown


def test_when_where_and_which_root_are_told() -> None:
    words = seen("good").words()
    assert "2026-11-24 12:00 UTC" in words
    assert "meshpki-lab at https://10.250.0.11:6443" in words
    assert drawn("good").roots[0].sha256 in words


def test_where_only_a_part_was_looked_at_the_verdict_is_on_that_part() -> None:
    words = words_of(replace(drawn("good"), scope=Scope("bookinfo", "app=reviews")))
    assert "Proven: every identity with labels app=reviews in namespace bookinfo chains to the pinned root" in words
    assert "2026-11-24 12:00 UTC, of pods only those with labels app=reviews in namespace bookinfo" in words


def test_what_was_not_seen_or_not_judged_is_told_with_what_it_needs() -> None:
    words = seen("broken").words()
    assert "no answer from Envoy's admin port (MPK-350)" in words
    assert "--authorities, with the right to exec into spire-server" in words
    assert "There are none." in seen("good").words()


def test_a_place_that_could_not_be_judged_is_told_and_nothing_claims_that_all_was() -> None:
    silent = place(PlaceKind.ISTIOD, "istiod-7f-y", "unknown", reason="no handshake on 15012")
    words = words_of(replace(drawn("good"), places=(silent,), unseen=()))
    assert "Not all of it could be judged" in words
    assert "1 pod or place that could not be judged" in words
    assert "no handshake on 15012" in words
    assert "was seen and judged" not in words


def test_a_broken_place_is_no_lesser_verdict_where_no_pod_could_be_judged() -> None:
    stale = place(PlaceKind.WEBHOOK, "injector", "broken", finding())
    assert "Broken: the mesh is not what it should be" in words_of(replace(drawn("empty"), places=(stale,)))


def test_every_workload_has_a_row_and_the_broken_come_first() -> None:
    text = written("large")
    rows = re.findall(r'<tr role="row"><th scope="row" role="rowheader"><bdi>app-\d+</bdi>.*?</tr>', text)
    assert len(rows) == len(drawn("large").workloads)
    broken = [number for number, row in enumerate(rows) if "✗ broken" in row]
    assert broken == list(range(len(broken)))


def test_ten_thousand_pods_make_a_page_that_a_browser_opens() -> None:
    assert len(written("large")) < 2_000_000


def test_hostile_names_stay_text_in_every_part() -> None:
    text, words = written("hostile"), seen("hostile").words()
    assert "<script" not in text
    assert "<svg onload" not in text
    assert HOSTILE[0] in words
    assert not {char for char in text if not char.isprintable()} - {"\n", "\u3000"}


def test_small_screen_dark_and_paper_are_provided_for() -> None:
    text = written("good")
    assert 'content="width=device-width, initial-scale=1"' in text
    for rule in ("@media (min-width: 800px)", "@media print", "prefers-color-scheme: dark", "color-scheme: light dark"):
        assert rule in text
