"""The page of a root rotation without a browser: what it tells, and that it stays harmless and readable by anyone."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from meshpki.drawing.page_frame import Origin
from meshpki.drawing.rotation_chart import axis, chart, columns, near, stages
from meshpki.drawing.rotation_page import page
from meshpki.probing import Second
from meshpki.rotate import goals
from meshpki.rotate.proof import Proof
from tests.support.certificates import AT
from tests.support.html import ALLOWED, Seen, read
from tests.support.proofs import EVERY, RATE, SECONDS, after, leaves, shown, spans, tally, turn
from tests.support.reports import HOSTILE, drawn

ORIGIN = Origin("meshpki-lab", "https://10.250.0.11:6443", "0.1.0")
NAMES = pytest.mark.parametrize("name", EVERY)


def written(name: str, error: str = "") -> str:
    report = drawn("hostile" if name == "hostile" else "good")
    return page(shown(name), report, ORIGIN, error)


def seen(name: str) -> Seen:
    return read(written(name))


def words(name: str) -> str:
    return seen(name).words()


@NAMES
def test_the_page_is_of_known_elements_and_nothing_runs_or_is_loaded(name: str) -> None:
    reader = seen(name)
    assert {tag for tag, _ in reader.tags} <= ALLOWED
    for tag, attributes in reader.tags:
        wrong = {key for key in attributes if key.startswith("on") or key in ("src", "style", "srcdoc", "action")}
        assert not wrong, tag
        assert (attributes.get("href") or "#").startswith("#")


@NAMES
def test_ids_headings_tables_and_pictures_are_as_a_screen_reader_needs_them(name: str) -> None:
    reader = seen(name)
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {word for _, one in reader.tags for word in (one.get("aria-labelledby") or "").split()}
    assert wanted | {(one["href"] or "")[1:] for one in reader.all("a")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in reader.tags if tag in ("h1", "h2", "h3")]
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all(one["scope"] in ("col", "row") for one in reader.all("th"))
    assert all(one["role"] == "img" for one in reader.all("svg"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("proven", "Proven: no request failed0 failed of 3,"),
        ("failed", "Failed: the mesh lost requests"),
        ("unprobed", "Not proven: that no request failed is not known"),
        ("nothing", "not proven: there was no probe"),
    ],
)
def test_the_verdict_stands_first(name: str, said: str) -> None:
    told = words(name).replace(shown(name).sentence, "0 failed of 3,") if name == "proven" else words(name)
    assert said in told
    assert told.index(said) < told.index("Stages and requests over time")


def test_both_roots_the_cluster_and_the_moments_are_told() -> None:
    told = words("proven")
    for root in turn().both:
        assert root.sha256 in told
        assert root.subject in told
    for part in ("meshpki-lab at https://10.250.0.11:6443", "2026-11-24 12:00:00 UTC", "generation 2"):
        assert part in told


def test_every_pod_is_told_with_both_serials_both_issuers_and_how_long_it_took() -> None:
    told = words("proven")
    for leaf in leaves():
        assert f"serial {leaf.serial:x}" in told
        assert f"issuer's key {leaf.aki}" in told
    begins = next(span.began for span in spans() if span.stage == goals.ACTIVATE)
    first = shown("proven").moves[0]
    assert first.at
    assert f"{(first.at - begins).total_seconds():.1f} s" in told


def test_a_pod_that_stayed_is_told_first_and_named_among_what_is_not_proven() -> None:
    told = words("failed")
    stayed = shown("failed").moves[-1].pod
    assert told.index("? was not seen to move") < told.index(shown("failed").moves[0].pod)
    assert f"1 pod had no leaf below the root that is entered: {stayed}" in told


def test_failures_are_told_by_class_moment_and_flow_and_marked_in_the_picture() -> None:
    told = words("failed")
    assert "By class: 3 x 503" in told
    assert "upstream connect error" in told
    assert "✗ marks failed requests: 3; a bar is 1 s" in told
    assert "ssl.fail_verify_error" in told
    assert f"✗ {goals.NAMES[4]} (not through)" in told
    assert "✗ stayed shut" in told


def test_what_is_not_proven_is_told_with_its_reason() -> None:
    assert "there was no probe" in words("unprobed")
    assert "the negative control was not tried" in words("failed")
    assert "sds.init_fetch_timeout by 1 grew, which a start explains" in words("proven")
    assert "both are still pinned" in words("failed")
    assert "Not looked at" in words("proven")


def test_requests_to_a_target_are_not_counted_among_those_on_new_connections() -> None:
    counted = shown("proven").tally
    assert counted
    own = f"{counted.own.requests:,} requests, each on a new TCP and TLS connection"
    assert f"{own};" in words("proven")
    assert f"{own}, and 1,000 to the target on its own;" in words("targeted")
    begun = shown("proven").sentence.partition(" on new connections")[0]
    assert shown("targeted").sentence.startswith(
        f"{begun} on new connections and 0 of 1000 to the target, on connections of its own, "
    )


def test_why_a_run_did_not_go_through_stands_in_the_verdict() -> None:
    told = read(written("failed", "MPK-440 trust: 3 of 99 requests failed")).words()
    assert "The run did not go through: MPK-440 trust: 3 of 99 requests failed." in told


def test_hostile_names_stay_text_in_every_part() -> None:
    text = written("hostile", HOSTILE[0])
    assert "<script" not in text
    assert "<svg onload" not in text
    assert HOSTILE[0] in words("hostile")
    assert not {char for char in text if not char.isprintable()} - {"\n", "\u3000"}


def test_a_long_run_of_a_large_mesh_makes_a_page_that_a_browser_opens() -> None:
    text = written("large")
    assert len(text) < 2_000_000
    assert "10,000 pods" in text
    assert "of which 1,000 are shown" in text
    assert text.count("<rect") < 600


@pytest.mark.parametrize("seconds", [1, 99, 240, 241, 14_400])
def test_columns_lose_no_request_and_are_few(seconds: int) -> None:
    proof = replace(shown("proven"), tally=tally(2, seconds), ended=after(seconds))
    found = columns(near(proof), axis(proof))
    assert sum(one.requests for one in found) == RATE * seconds
    assert sum(one.failed for one in found) == 2
    assert len(found) <= 241


def test_a_clock_that_is_far_off_bends_no_axis_and_is_told() -> None:
    whole = tally()
    odd = replace(whole, timeline=(Second(AT - timedelta(days=9), 5, 0), *whole.timeline))
    proof = replace(shown("proven"), tally=odd)
    assert axis(proof) == axis(shown("proven"))
    assert axis(proof).seconds == SECONDS + 1
    assert "1 second with a time far from this run are not drawn" in read(page(proof, drawn("good"), ORIGIN)).words()


def test_stages_of_both_ways_are_drawn_in_the_order_in_which_they_began() -> None:
    there, back = spans(goals.NAMES[:4]), spans()[4:6]
    both = (replace(back[0], stage=goals.TRUST), *there, replace(back[1], stage=goals.PREPARE))
    found: Proof = replace(shown("failed"), spans=both)
    assert [one.stage for one in stages(found)] == [*goals.NAMES[:4], goals.TRUST, goals.PREPARE]
    texts = [one.text for one in chart(found).iter("text")]
    assert texts.count(f"✓ {goals.TRUST}") == 2
