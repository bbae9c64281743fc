import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.cli import verdicts
from meshpki.cli.verdicts.tree import ASCII
from meshpki.verify.assessment import assess
from meshpki.verify.demands import Demands, Ignore
from meshpki.verify.places import Unseen
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, grouped
from tests.support import certificates as made
from tests.support import reports
from tests.support.certificates import AT

SHA = made.mesh_root().certificate.sha256


def report(*pods: PodVerdict) -> Report:
    """A report of pods alone."""
    return replace(reports.drawn("empty"), workloads=grouped(pods))


def healthy() -> Report:
    path = reports.workload_path("reviews-v1")
    return report(reports.pod("reviews-v1", path), reports.pod("reviews-v1", path, replica=1))


def test_on_a_narrow_terminal_the_trust_domain_stands_in_the_heading_alone() -> None:
    narrow = verdicts.table(healthy(), width=100).splitlines()
    assert "ID IN spiffe://example.org" in narrow[0]
    assert "  /ns/bookinfo/sa/" in narrow[1]
    assert verdicts.table(healthy(), width=1000) == verdicts.table(healthy())


def test_a_good_mesh_is_one_line_a_workload_and_a_sum() -> None:
    header, row, *rest = verdicts.table(healthy()).splitlines()
    assert re.split(" {2,}", header) == ["NAMESPACE", "WORKLOAD", "PODS", "SPIFFE ID", "CHAIN", "LEFT", "RESULT"]
    assert re.split(" {2,}", row) == [
        "bookinfo",
        "reviews-v1",
        "2/2",
        "spiffe://example.org/ns/bookinfo/sa/bookinfo-reviews-v1",
        "leaf > SPIRE CA > meshpki-root-g1",
        "41m",
        "proven",
    ]
    assert header.index("CHAIN") == row.index("leaf >")
    assert rest == ["", f"root meshpki-root-g1  sha256 {SHA}  900d left", "2 of 2 pods proven, 0 broken, 0 unknown"]


def test_places_and_peers_that_are_proven_are_a_line_of_the_sum_alone() -> None:
    text = verdicts.table(reports.drawn("good"))
    assert text.splitlines()[-3:] == [
        "8 of 8 pods proven, 0 broken, 0 unknown",
        "21 of 21 places proven",
        "1 of 1 pairs of peers can verify each other",
    ]
    assert "webhook" not in text
    assert "1 thing was not looked at; -o wide lists each" in text


def test_what_is_not_proven_is_named_with_code_expectation_finding_and_remedy() -> None:
    text = verdicts.table(reports.drawn("broken"))
    assert re.search(r"newborn +0/1 +- +- +- +broken MPK-343", text)
    assert "  pod bookinfo/newborn-5d9-0: broken\n    MPK-343 fail  expected a bundle of" in text
    assert "restart the pod; if it stays" in text
    assert "see meshpki explain MPK-343" in text
    assert "  pod bookinfo/silent-5d9-0: unknown: no answer from Envoy's admin port (MPK-350)" in text
    assert "  webhook ConfigMap istio-system/istio-sidecar-injector: broken\n    MPK-341" in text
    assert "  peers bookinfo/client-5d9-0 and 7 more to bookinfo/client-5d9-0 and 7 more: broken\n    MPK-345" in text
    assert "22 of 23 places proven, 1 broken" in text


def test_warnings_are_told_where_they_are_wanted() -> None:
    warned = reports.drawn("broken")
    assert "MPK-328" not in verdicts.table(warned)
    assert "MPK-328 warn" in verdicts.table(warned, warnings=True)
    assert "MPK-328 warn" in verdicts.wide(warned)


def test_a_chain_to_nowhere_ends_in_a_question_mark() -> None:
    assert re.search(r"stranger .*leaf > SPIRE CA > \?", verdicts.table(reports.drawn("broken")))


def test_the_same_reason_of_many_pods_is_told_once() -> None:
    pods = [reports.pod("app", (), "broken", reports.finding(), replica=number) for number in range(7)]
    text = verdicts.table(report(*pods))
    assert "  pod bookinfo/app-5d9-0, pod bookinfo/app-5d9-1, pod bookinfo/app-5d9-2 and 4 more: broken" in text
    assert text.count("MPK-341 fail") == 1
    assert "pod bookinfo/app-5d9-6: broken" in verdicts.wide(report(*pods))


def test_what_is_ignored_is_neither_proven_nor_broken_and_is_listed() -> None:
    judged = assess(reports.drawn("broken"), Demands(ignores=(Ignore("MPK-341", "bookinfo/stale-*"),)))
    text = verdicts.table(judged.report)
    assert re.search(r"stale .*0/1 .* ignored\n", text)
    assert "  ignored MPK-341=bookinfo/stale-*: pod bookinfo/stale-5d9-0\n" in text
    assert "9 of 14 pods proven, 3 broken, 1 unknown, 1 ignored" in text
    assert "pod bookinfo/stale-5d9-0: ignored" not in text


def test_the_wide_form_has_a_line_a_pod_and_one_a_place_and_names_what_was_not_seen() -> None:
    found = reports.drawn("good")
    text = verdicts.wide(found)
    first = found.pods[0]
    assert re.search(rf"{first.path[0].serial:x} +2026-11-24T12:41:00Z  proven", text)
    assert re.search(r"^spire-bundle +ConfigMap istio-system/spire-bundle +anchors [0-9a-f]{16} ", text, re.MULTILINE)
    assert re.search(
        r"^istiod +ConfigMap istio-system/istiod-7f-x 15012 +leaf > istiod\.istio-system\.svc > ", text, re.MULTILINE
    )
    assert "  not seen: SPIRE's prepared and old authorities; it needs --authorities" in text


def test_the_tree_leads_from_the_root_through_its_cas_to_what_they_issued() -> None:
    lines = verdicts.tree(reports.drawn("good"), branches=ASCII).splitlines()
    assert lines[0] == f"root meshpki-root-g1  900d left  sha256 {SHA}"
    assert lines[1].startswith("|-- SPIRE CA  24h left  serial ")
    assert lines[2] == "|   |-- bookinfo/client  1 pod  41m left"
    assert "|   `-- spire-server ConfigMap istio-system/spire-server-0 8081  41m left" in lines
    assert "    `-- istiod ConfigMap istio-system/istiod-7f-x 15017  20h left" in lines
    assert "kept and checked" in lines
    assert "`-- clock ConfigMap istio-system/kubernetes  0 s apart" in lines


@pytest.mark.parametrize("form", [verdicts.table, verdicts.tree, verdicts.wide])
def test_a_root_that_has_ended_is_called_expired_and_nothing_is_left_of_it(form: Callable[[Report], str]) -> None:
    found = reports.drawn("good")
    text = form(replace(found, at=found.roots[0].not_after))
    assert "expired" in text
    assert "expired left" not in text


def test_the_tree_shows_a_rogue_ca_apart_and_what_leads_to_no_root() -> None:
    text = verdicts.tree(reports.drawn("broken"))
    assert re.search(r"├── SPIRE CA .*\n│   └── bookinfo/intruder  0 of 1 pod proven  60m left  broken MPK-344", text)
    assert "at no pinned root\n├── bookinfo/newborn  0 of 1 pod proven  broken MPK-343\n" in text
    assert re.search(r"└── SPIRE CA .*\n    └── bookinfo/stranger  0 of 1 pod proven  41m left  broken MPK-302", text)


def test_ten_thousand_pods_are_a_line_a_workload_in_the_tree() -> None:
    text = verdicts.tree(reports.drawn("large"))
    assert re.search(r"team-0/app-0  [0-9]+ of [0-9]+ pods proven  41m left  broken MPK-341", text)
    assert len(text.splitlines()) < 1500


@pytest.mark.parametrize("name", sorted(reports.EVERY.keys() - {"large", "swarm"}))
def test_every_report_has_a_text_in_every_form(name: str) -> None:
    found = reports.drawn(name)
    for text in (verdicts.table(found), verdicts.wide(found), verdicts.tree(found), verdicts.summary(found)):
        assert verdicts.summary(found) in text


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202eevil", "a\nb", "\u2066", "\x7f", "\u200b", "\u2028"])
def test_characters_that_steer_a_terminal_are_shown_by_number(text: str) -> None:
    shown = verdicts.plain(text)
    assert shown.isprintable()
    assert "\\u{" in shown


def test_hostile_names_do_not_reach_the_terminal() -> None:
    found = reports.drawn("hostile")
    judged = assess(found, Demands(ignores=(Ignore("MPK-341", "*"),)))
    texts = [verdicts.table(found), verdicts.wide(judged.report), verdicts.tree(found)]
    texts += [verdicts.as_json(found), verdicts.as_yaml(found), verdicts.summary(found)]
    for text in texts:
        assert not {char for char in text if not char.isprintable()} - {"\n"}


def test_several_things_unseen_are_counted() -> None:
    found = replace(healthy(), unseen=(Unseen("a", "b"), Unseen("c", "d")))
    assert "2 things were not looked at" in verdicts.table(found)
    counted = "2 things were not looked at; -o wide lists each with what it needs"
    assert verdicts.short(found) == f"{verdicts.summary(found)}\n{counted}"
    assert verdicts.short(replace(found, unseen=())) == verdicts.summary(found)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "expired"),
        (0, "0m"),
        (59, "0m"),
        (3600 * 3 - 1, "179m"),
        (3600 * 3, "3h"),
        (86400 * 3 - 1, "71h"),
        (86400 * 3, "3d"),
    ],
)
def test_the_time_left_is_in_one_unit(seconds: int, shown: str) -> None:
    assert verdicts.left(AT + timedelta(seconds=seconds), AT) == shown
