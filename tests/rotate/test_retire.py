"""The key of a root that the mesh has left is destroyed: by name, whole, and however often it was stopped half way."""

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.trust import root_certificate, root_name
from meshpki.errors import PreconditionError
from meshpki.rotate import journey, retire
from meshpki.rotate.acts import RETIRED
from tests.support.mesh import Mesh
from tests.support.rotating import SETTINGS, Rotating, rotating
from tests.support.session import KilledError, Session
from tests.support.travel import Traveller

LEFT = root_certificate(SETTINGS, 2)
KEY = Ref("v1", "Secret", LEFT.namespace, LEFT.name)


def gone_back() -> Rotating:
    """A mesh under its first root, which was on its way to a second one and left that again."""
    mesh = rotating()
    one = Traveller(mesh, mesh.hours)
    one.forth(until="new-root")
    one.back()
    mesh.requests.clear()
    return mesh


def destroyed(mesh: Rotating, session: Session | None = None, name: str = LEFT.name) -> tuple[Ref, ...]:
    """As the command does it."""
    cluster = session or Session(mesh)
    certificate = retire.checked(mesh, SETTINGS, journey.required_pin(mesh), name)
    return retire.retire(cluster, certificate, mesh.hours)


def test_the_certificate_goes_first_or_another_key_would_be_made() -> None:
    mesh = gone_back()
    assert set(retire.retirable(mesh, SETTINGS)) == {LEFT.name}
    assert destroyed(mesh) == (LEFT, KEY)
    assert [what for verb, what in mesh.writes if verb == "delete"] == [str(LEFT), str(KEY)]
    assert not {LEFT, KEY} & mesh.objects.keys()
    assert retire.retirable(mesh, SETTINGS) == {}


def test_a_retirement_that_was_killed_between_its_two_deletes_is_finished_by_the_same_command() -> None:
    mesh = gone_back()
    with pytest.raises(KilledError):
        destroyed(mesh, Session(mesh, allowed=1))
    assert (LEFT in mesh.objects, KEY in mesh.objects) == (False, True)
    assert set(retire.retirable(mesh, SETTINGS)) == {LEFT.name}
    assert destroyed(mesh) == (KEY,)
    assert KEY not in mesh.objects


def test_a_key_that_was_to_be_destroyed_never_becomes_the_next_roots() -> None:
    mesh = gone_back()
    with pytest.raises(KilledError):
        destroyed(mesh, Session(mesh, allowed=1))
    before = mesh.cert_manager.keys[KEY].certificate.key_sha256
    Traveller(mesh, mesh.hours).forth(until="new-root")
    turn = journey.required_turn(mesh, SETTINGS)
    assert turn.entering.number == 3
    assert turn.entering.root.key_sha256 != before


@pytest.mark.parametrize(
    "fault",
    [
        ClusterError("MPK-102", "the server is busy", status=503),
        ClusterError("MPK-102", "too many requests", status=429),
        ClusterError("MPK-101", "the connection was lost"),
    ],
    ids=["busy", "throttled", "no answer"],
)
def test_an_error_that_passes_ends_no_retirement_and_what_was_destroyed_is_told(fault: ClusterError) -> None:
    mesh = gone_back()
    assert destroyed(mesh, Session(mesh, faults={1: fault, 2: fault, 3: fault})) == (LEFT, KEY)
    assert not {LEFT, KEY} & mesh.objects.keys()


def test_an_error_that_stays_is_raised_and_the_key_can_be_destroyed_later() -> None:
    mesh = gone_back()
    fault = ClusterError("MPK-102", "the server is busy", status=503)
    with pytest.raises(ClusterError, match="busy"):
        destroyed(mesh, Session(mesh, faults=dict.fromkeys(range(2, 500), fault)))
    assert destroyed(mesh) == (KEY,)


def test_the_key_of_the_pinned_root_is_no_orphan_though_somebody_deleted_its_certificate() -> None:
    mesh = gone_back()
    del mesh.objects[root_certificate(SETTINGS, 1)]
    assert set(retire.retirable(mesh, SETTINGS)) == {LEFT.name}
    with pytest.raises(PreconditionError, match="MPK-444"):
        destroyed(mesh, name=root_name(1))


def test_no_key_is_read_on_the_way_and_no_other_secret_is_taken_for_a_roots() -> None:
    mesh = gone_back()
    for name in ("meshpki-root-gx", "meshpki-root", "meshpki-root-g²", "tls"):
        mesh.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": LEFT.namespace}})
    assert set(retire.retirable(mesh, SETTINGS)) == {LEFT.name}
    assert [request for request in mesh.requests if request[0] == "list" and "Secret" in request[1]] == []


class Unlisted(Mesh):
    """A cluster whose Secrets may not be listed."""

    def headers(self, query: Query) -> list[Object]:
        raise ClusterError("MPK-102", f"list refused: {query.kind}", status=403)


def test_who_may_not_list_secrets_still_retires_what_bears_the_label() -> None:
    mesh = Unlisted()
    mesh.put(_certificate(2), _certificate(3, left=False))
    assert set(retire.retirable(mesh, SETTINGS)) == {root_name(2)}


def _certificate(number: int, *, left: bool = True) -> Object:
    ref = root_certificate(SETTINGS, number)
    metadata = {"name": ref.name, "namespace": ref.namespace, "labels": {RETIRED: "true"} if left else {}}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}
