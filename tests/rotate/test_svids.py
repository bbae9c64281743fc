"""How many workloads have moved, and by when the others will have."""

from datetime import timedelta

from meshpki.rotate.svids import Moving, moving, sorted_out
from tests.support import certificates as made
from tests.support.certificates import AT
from tests.support.mesh import held, mesh, pod

SKI = str(made.mesh_spire_ca().certificate.ski)
LEAF = made.svid()[0]


def test_pods_are_sorted_by_who_signed_their_leaf() -> None:
    found = [("b", LEAF), ("a", LEAF), ("c", "no answer")]
    assert sorted_out(found, frozenset({SKI}), {"d": "crashed"}) == Moving(
        ("a", "b"), {}, {"c": "no answer", "d": "crashed"}
    )
    assert sorted_out(found, frozenset({"00"}), {}) == Moving((), {"b": LEAF, "a": LEAF}, {"c": "no answer"})


def test_agents_that_run_have_renewed_by_half_of_a_life_and_a_tenth_of_that() -> None:
    young = made.svid(made.SVID.but(not_before=AT, not_after=AT + timedelta(hours=2)))[0]
    seen = Moving(staying={"a": LEAF, "b": young})
    assert seen.until == AT + timedelta(hours=1, minutes=6)
    assert Moving(("a",)).until is None


def test_it_is_told_how_many_of_all_moved_and_how_many_are_silent() -> None:
    assert str(Moving(("a",), {"b": LEAF})) == "1 of 2 workloads moved"
    assert str(Moving(("a",), {}, {"c": "x"})) == "1 of 2 workloads moved, 1 do not answer"


def test_every_envoy_with_a_promised_identity_is_asked_and_a_pod_without_one_counts_as_silent() -> None:
    there = mesh(pod(), pod("ratings-v1-7c9-x", initContainerStatuses=[]), reviews_v1_5d9_x=held())
    seen = moving(there, frozenset({SKI}))
    assert seen.moved == ("Pod bookinfo/reviews-v1-5d9-x",)
    assert list(seen.silent) == ["Pod bookinfo/ratings-v1-7c9-x"]
    assert list(moving(there, frozenset({"00"})).staying) == ["Pod bookinfo/reviews-v1-5d9-x"]
