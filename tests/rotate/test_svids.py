"""How many workloads have moved, and by when the others will have."""

from datetime import timedelta

from meshpki.components.spire import CSI_DRIVER
from meshpki.rotate.svids import Moving, moving, sorted_out
from meshpki.settings import defaults
from tests.support import certificates as made
from tests.support.certificates import AT
from tests.support.control_plane import ControlPlane
from tests.support.mesh import held, pod

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
    assert str(Moving(("a",), {"b": LEAF})) == "1 of 2 certificates moved"
    assert str(Moving(("a",), {}, {"c": "x"})) == "1 of 2 certificates moved, 1 do not answer"


def plane() -> ControlPlane:
    csi = {**pod("gateway-7c9-x"), "spec": {**pod()["spec"], "volumes": [{"name": "s", "csi": {"driver": CSI_DRIVER}}]}}
    csi["metadata"]["labels"] = {}
    strange = pod("strange-7c9-x")
    strange["metadata"]["labels"] = {}
    return ControlPlane(others=(csi, strange, pod("ratings-v1-7c9-x", initContainerStatuses=[])))


def test_every_envoy_that_has_spires_socket_is_asked_and_every_spire_server() -> None:
    there = plane().around(pod(), reviews_v1_5d9_x=held(), gateway_7c9_x=held(), strange_7c9_x=held())
    seen = moving(there, defaults(), frozenset({SKI}))
    names = ("bookinfo/gateway-7c9-x", "bookinfo/reviews-v1-5d9-x", "spire-server/spire-server-0 port 8081")
    assert seen.moved == tuple(f"Pod {name}" for name in names)
    assert list(seen.silent) == ["Pod bookinfo/ratings-v1-7c9-x"]
    assert sorted(moving(there, defaults(), frozenset({"00"})).staying) == list(seen.moved)


def test_a_server_that_does_not_answer_is_silent_and_hides_no_workload() -> None:
    there = plane().around(pod(), reviews_v1_5d9_x=held())
    del there.listeners["spire-server-0", 8081]
    seen = moving(there, defaults(), frozenset({SKI}))
    assert seen.moved == ("Pod bookinfo/reviews-v1-5d9-x",)
    assert "Pod spire-server/spire-server-0 port 8081" in seen.silent
