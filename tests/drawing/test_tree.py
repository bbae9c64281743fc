from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshpki.drawing.mark import Mark
from meshpki.drawing.node import Kind, Node
from meshpki.drawing.tree import MOST_BOXES, overall, summary, tree
from meshpki.verify.workloads import grouped
from tests.support import reports
from tests.support.reports import EVERY, drawn


def box(nodes: Sequence[Node], title: str) -> Node:
    found = [node for node in nodes if node.title == title]
    assert len(found) == 1, [node.title for node in nodes]
    return found[0]


def named(report: str, title: str) -> Node:
    return box(tree(drawn(report)).nodes, title)


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("good", Mark.PROVEN),
        ("broken", Mark.BROKEN),
        ("rotation", Mark.PROVEN),
        ("large", Mark.BROKEN),
        ("empty", Mark.UNKNOWN),
    ],
)
def test_the_whole_has_the_mark_that_verify_gives_it(name: str, mark: Mark) -> None:
    assert tree(drawn(name)).mark is mark


def test_one_pod_that_could_not_be_judged_keeps_the_whole_from_proven() -> None:
    good = drawn("good")
    silent = reports.pod("silent", (), "unknown", reason="no answer")
    assert overall(replace(good, workloads=grouped([*good.pods, silent]))) is Mark.UNKNOWN


def test_one_place_that_could_not_be_judged_keeps_the_whole_from_proven() -> None:
    good = drawn("good")
    silent = reports.place(reports.PlaceKind.ISTIOD, "istiod-7f-y", "unknown", reason="no handshake")
    assert overall(replace(good, places=(*good.places, silent))) is Mark.UNKNOWN


def test_a_warning_alone_makes_the_whole_warned() -> None:
    good = drawn("good")
    odd = reports.pod("odd", good.pods[0].path, "proven", reports.finding("MPK-328", severity="warn"))
    assert overall(replace(good, workloads=grouped([*good.pods, odd]))) is Mark.WARNED


def test_workloads_hang_below_their_ca_and_that_below_the_pinned_root() -> None:
    (root,) = tree(drawn("good")).anchors
    assert (root.kind, root.title, root.mark) == (Kind.ANCHOR, "meshpki-root-g1", Mark.PROVEN)
    spire, istiod = sorted(root.below, key=lambda node: node.title)
    assert (spire.title, istiod.title) == ("SPIRE CA", "istiod.istio-system.svc")
    assert {node.title for node in spire.below} >= {*reports.WORKLOADS, "istio-ingressgateway", "spire-server"}
    (serving,) = istiod.below
    assert serving.lines[:2] == ("2 of 2 served chains proven", "15012, 15017")


def test_while_two_roots_are_pinned_each_carries_its_own_chains() -> None:
    anchors = tree(drawn("rotation")).anchors
    assert [anchor.title for anchor in anchors] == ["meshpki-root-g1", "meshpki-root-g2"]
    below = [{node.title for node in anchor.walk()} for anchor in anchors]
    assert "details-v1" in below[0] - below[1]
    assert "client" in below[1] - below[0]


def test_a_rogue_ca_stands_beside_the_good_one_and_is_not_proven() -> None:
    (root, *_) = tree(drawn("broken")).anchors
    marks = sorted(node.mark for node in root.below if node.title == "SPIRE CA")
    assert marks == [Mark.PROVEN, Mark.UNKNOWN]
    rogue = next(node for node in root.below if node.mark is Mark.UNKNOWN)
    assert "no proven chain runs through it" in rogue.lines
    assert [(node.title, node.mark, node.codes) for node in rogue.below] == [("intruder", Mark.BROKEN, ("MPK-344",))]


def test_a_chain_that_ends_at_no_pinned_root_hangs_apart() -> None:
    nowhere = named("broken", "no pinned root")
    assert [node.title for node in nowhere.walk()] == ["no pinned root", "SPIRE CA", "stranger"]
    assert {node.mark for node in nowhere.walk()} == {Mark.BROKEN}


def test_pods_without_a_certificate_are_drawn_with_their_reason() -> None:
    without = named("broken", "no certificate seen")
    assert [(node.title, node.mark) for node in without.below] == [("newborn", Mark.BROKEN), ("silent", Mark.UNKNOWN)]
    assert "no SPIRE agent runs on node node-1" in without.below[0].lines


def test_a_finding_about_a_ca_marks_that_ca() -> None:
    good = drawn("good")
    expired = reports.finding("MPK-305", about=good.roots[0])
    pods = [replace(pod, result="broken", findings=(expired,)) for pod in good.pods]
    (root, *_) = tree(replace(good, workloads=grouped(pods))).anchors
    assert (root.mark, root.codes) == (Mark.BROKEN, ("MPK-305",))


def test_places_of_one_kind_share_a_box_that_names_the_anchors_they_keep() -> None:
    bundles = named("good", "istio-ca-root-cert")
    assert bundles.lines[:2] == ("12 of 12 places proven", "12 keep meshpki-root-g1")
    webhooks = named("broken", "webhooks")
    assert (webhooks.mark, webhooks.codes) == (Mark.BROKEN, ("MPK-341",))
    assert webhooks.lines[2].startswith("1 keeps a stranger, sha256 ")


def test_peers_and_what_was_not_seen_are_drawn() -> None:
    assert named("broken", "peers").lines == ("1 of 2 pairs of groups verify each other",)
    unseen = named("good", "not seen")
    assert unseen.mark is Mark.UNKNOWN
    assert "needs --authorities" in unseen.lines[0]


def test_ten_thousand_pods_make_a_box_a_namespace_and_a_sum_and_all_are_counted() -> None:
    (root,) = tree(drawn("large")).anchors
    spire = box(root.below, "SPIRE CA")
    groups = [node for node in spire.below if node.kind is Kind.WORKLOADS]
    assert len(groups) == 13
    assert groups[-1].title == "48 namespaces more"
    tallies = [line for node in groups for line in node.lines if " pods proven" in line]
    assert sum(int(line.split(" of ")[1].split()[0].replace(",", "")) for line in tallies) == 10_000
    assert sum(int(line.split(", ")[1].split()[0]) for line in tallies if "broken" in line) == 10


def test_the_broken_come_before_the_rest_is_summed_up() -> None:
    (root,) = tree(drawn("large")).anchors
    marks = [node.mark for node in box(root.below, "SPIRE CA").below if node.kind is Kind.WORKLOADS]
    assert marks == sorted(marks, key=list(Mark).index, reverse=True)
    assert marks[0] is Mark.BROKEN


@pytest.mark.parametrize("name", EVERY)
def test_no_mesh_makes_more_boxes_than_a_person_reads(name: str) -> None:
    assert 1 <= len(tree(drawn(name)).nodes) <= MOST_BOXES


def test_more_cas_than_can_be_drawn_are_counted() -> None:
    titles = [node.title for node in tree(drawn("swarm")).nodes]
    assert [title for title in titles if title.endswith("more CAs")]


def test_the_summary_counts_pods_and_places() -> None:
    assert summary(drawn("broken")) == "9 of 14 pods proven, 4 broken, 1 unknown; 22 of 23 places proven"
    assert summary(drawn("empty")) == "0 of 0 pods proven, 0 broken, 0 unknown"


def test_no_character_that_steers_reaches_a_box() -> None:
    for node in tree(drawn("hostile")).nodes:
        assert all(text.isprintable() and len(text) <= 161 for text in (node.title, *node.lines))
