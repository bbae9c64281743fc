"""What `status` says of a root rotation that it cannot see, each case in words of its own."""

import pytest

from meshpki import errors
from meshpki.artifacts import NONE
from meshpki.cluster.client import ClusterError
from meshpki.components.trust import PIN
from meshpki.rotate import goals
from meshpki.status import State, look
from meshpki.status.rotation import rotation
from tests.support.certificates import AT
from tests.support.mesh import Mesh
from tests.support.rotating import SETTINGS, Rotating, rotating
from tests.support.travel import Traveller

BUSY = ClusterError("MPK-102", "the server is busy", status=503)


@pytest.fixture
def settled() -> Rotating:
    return rotating()


def test_a_mesh_under_one_root_has_no_rotation(settled: Mesh) -> None:
    assert rotation(settled, SETTINGS) is None


def test_whoever_may_not_list_certificates_is_not_told_of_two_roots(settled: Rotating) -> None:
    settled.denied = frozenset({"Certificate"})
    found = rotation(settled, SETTINGS)
    assert found
    assert found.way == "none under way, but perhaps connections of an old root to close"
    assert found.reason == "list refused: Certificate (MPK-102)"


def test_an_api_server_that_is_busy_is_told_as_such_and_as_nothing_else(settled: Rotating) -> None:
    settled.faults.append(BUSY)
    found = rotation(settled, SETTINGS)
    assert found
    assert (found.way, found.reason) == (f"unknown from {PIN}", "the server is busy (MPK-102)")


def test_two_roots_are_told_where_their_stage_cannot_be_seen() -> None:
    mesh = rotating()
    Traveller(mesh, mesh.hours).forth(until=goals.NEW_ROOT)
    mesh.denied = frozenset({"Certificate"})
    found = rotation(mesh, SETTINGS)
    assert found
    assert (found.way, found.stage) == (f"two roots in {PIN}", "")


@pytest.mark.parametrize(
    "data",
    [{}, {"root.pem": "no PEM"}, {"generation": "two"}, {"generation": None}],
    ids=["empty", "no PEM", "word", ""],
)
def test_a_pin_that_is_none_is_said_and_hides_nothing_else(settled: Rotating, data: dict[str, str]) -> None:
    settled.objects[PIN]["data"] = {**settled.objects[PIN]["data"], **data} if data else {}
    report = look(settled, SETTINGS, NONE, AT)
    assert report.rotation
    assert report.rotation.way == f"unknown from {PIN}"
    assert "(MPK-376)" in report.rotation.reason
    assert next(one for one in report.authorities if one.name == "root").state is State.NOT_READY
    assert {one.name: one.state for one in report.steps}["spire"] is State.NOT_READY
    assert report.exit_code == errors.BROKEN
