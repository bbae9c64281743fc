"""A root whose key is lost: nobody holds its rotation up, there is no way back, and what it let in is closed."""

import contextlib
from datetime import timedelta
from itertools import count

import pytest

from meshpki.cluster.envoy import ADMIN_PORT
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.trust import root_certificate
from meshpki.errors import GateTimeoutError, MeshpkiError, PreconditionError
from meshpki.rotate import compromise, goals, journey
from meshpki.rotate.rotation import Rotation
from meshpki.status.rotation import rotation as shown
from meshpki.workflow.work import Limits
from tests.support import certificates as made
from tests.support.certificates import TRUST_DOMAIN, Issued
from tests.support.cluster import InMemoryCluster
from tests.support.mesh import answering, dump
from tests.support.rotating import ACCOUNTS, SETTINGS, Rotating, rotating
from tests.support.session import KilledError, Session
from tests.support.travel import Traveller

ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
SERVER = Ref("apps/v1", "StatefulSet", "spire-server", "spire-server")
OLD = root_certificate(SETTINGS, 1)
MINUTE = timedelta(minutes=1)
ROLLED_OUT = {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}


def deployed(ref: Ref) -> Object:
    metadata = {"name": ref.name, "namespace": ref.namespace}
    spec = {"selector": {"matchLabels": {"app": ref.name}}, "template": {"metadata": {}}}
    return {"apiVersion": "apps/v1", "kind": ref.kind, "metadata": metadata, "spec": spec, "status": ROLLED_OUT}


def applications() -> list[Ref]:
    return [Ref("apps/v1", "Deployment", "bookinfo", name) for name in sorted(ACCOUNTS)]


def left_behind_by(mesh: Rotating) -> None:
    """The mesh has left its first root, whose key was said to be known, and nothing was replaced yet."""
    compromise.note(mesh, SETTINGS, 1)
    Traveller(mesh, mesh.hours).forth()
    mesh.put(*map(deployed, (ISTIOD, SERVER, *applications())))
    mesh.requests.clear()


def draining(cluster: Session | InMemoryCluster, mesh: Rotating) -> list[str]:
    return Traveller(cluster, mesh.hours).follow((compromise.drain(SETTINGS, 1, mesh.hours),))  # type: ignore[arg-type]


def test_what_may_hold_a_connection_is_replaced_once_the_control_plane_first() -> None:
    mesh = rotating()
    left_behind_by(mesh)
    assert compromise.owed(mesh, SETTINGS) == 1
    assert draining(mesh, mesh) == [compromise.DRAIN]
    replaced = [ref for verb, ref in mesh.requests if verb == "merge"]
    assert replaced[:2] == [str(ISTIOD), str(SERVER)]
    assert sorted(replaced[2:-1]) == sorted(map(str, applications()))
    assert replaced[-1] == str(OLD)
    assert compromise.owed(mesh, SETTINGS) is None
    mesh.requests.clear()
    draining(mesh, mesh)
    assert mesh.writes == []


def test_a_drain_that_is_killed_after_every_write_replaces_each_workload_once() -> None:
    mesh = rotating()
    left_behind_by(mesh)
    for runs in count(1):
        assert runs < 12
        with contextlib.suppress(KilledError, MeshpkiError):
            draining(Session(mesh, allowed=1), mesh)
        if compromise.owed(mesh, SETTINGS) is None:
            break
    replaced = [ref for verb, ref in mesh.requests if verb == "merge"]
    assert sorted(replaced) == sorted(map(str, (ISTIOD, SERVER, OLD, *applications())))


def test_a_workload_that_does_not_roll_out_holds_up_no_other_and_is_named_until_it_does() -> None:
    mesh = rotating()
    left_behind_by(mesh)
    hanging = deployed(applications()[0])
    mesh.put({**hanging, "status": {**ROLLED_OUT, "readyReplicas": 0}})
    with pytest.raises(GateTimeoutError, match=r"client: 0/1 ready"):
        list(
            Traveller(mesh, mesh.hours, Limits(timedelta(minutes=4))).follow(
                (compromise.drain(SETTINGS, 1, mesh.hours),)
            )
        )
    assert len([ref for verb, ref in mesh.requests if verb == "merge"]) == 2 + len(applications())
    assert compromise.owed(mesh, SETTINGS) == 1
    status = shown(mesh, SETTINGS)
    assert status
    assert (status.stage, status.next_commands) == (compromise.DRAIN, ("meshpki rotate root",))
    assert [line for line in status.left if "client" in line] == list(status.left)


def test_pods_that_only_their_owner_can_replace_are_named() -> None:
    mesh = rotating()
    bare = mesh.objects[Ref("v1", "Pod", "bookinfo", "client-5d9-x")]
    metadata = {**bare["metadata"], "name": "debug", "ownerReferences": []}
    mesh.put({**bare, "metadata": metadata})
    assert compromise.beyond_reach(mesh) == ("bookinfo/Pod/debug",)
    assert {ref.name for ref in compromise.workloads(mesh, SETTINGS)} == {"istiod", "spire-server", *ACCOUNTS}


def svid(ca: Issued) -> bytes:
    """A leaf of the client's as SPIRE would issue it, with its chain."""
    life = {"not_before": ca.x509.not_valid_before_utc, "not_after": ca.x509.not_valid_after_utc}
    leaf = ca.issue(made.SVID.but(uris=(f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/client",), **life))
    return made.pem(leaf, ca)


def silent(mesh: Rotating) -> str:
    """A pod of the mesh whose Envoy answers nobody, as an intruder's would."""
    mesh.born("intruder-5d9-x")
    del mesh.listeners["intruder-5d9-x", 15000]
    return "bookinfo/intruder-5d9-x"


def gone(mesh: Rotating, impatience: timedelta | None) -> Rotation:
    turn = journey.required_turn(mesh, SETTINGS)
    found = Rotation(SETTINGS, turn, mesh.hours, impatience=impatience)
    Traveller(mesh, mesh.hours, Limits(timedelta(minutes=3))).follow(journey.remaining(mesh, found))
    return found


def test_a_pod_that_does_not_follow_holds_up_a_rotation_but_none_from_a_compromised_root() -> None:
    mesh = rotating()
    name = silent(mesh)
    Traveller(mesh, mesh.hours).forth(until=goals.PREPARE)
    with pytest.raises(GateTimeoutError, match=name):
        gone(mesh, None)
    assert gone(mesh, MINUTE).left_behind == {name}
    assert journey.standing(mesh, SETTINGS) is None


@pytest.mark.parametrize("kept", ["the old root", "no bundle"])
def test_a_pod_with_the_new_leaf_that_never_drops_the_old_root_is_left_behind_and_not_waited_for_again(
    kept: str,
) -> None:
    mesh = rotating()
    Traveller(mesh, mesh.hours).forth(until=goals.MOVED)
    half_way = mesh.spire.workloads["client-5d9-x"]
    bundles = {TRUST_DOMAIN: made.pem(*half_way.anchors)} if kept == "the old root" else {}
    mesh.listeners["client-5d9-x", ADMIN_PORT] = answering(dump(svid(half_way.ca), bundles))
    assert gone(mesh, MINUTE).left_behind == {"bookinfo/client-5d9-x"}
    assert journey.standing(mesh, SETTINGS) is None


def test_a_pod_that_was_left_behind_and_is_through_by_now_is_waited_for_again() -> None:
    mesh = rotating()
    Traveller(mesh, mesh.hours).forth(until=goals.TAINT)
    found = Rotation(SETTINGS, journey.required_turn(mesh, SETTINGS), mesh.hours, impatience=MINUTE)
    found.left_behind.update({"bookinfo/client-5d9-x", "bookinfo/gone-5d9-x"})
    assert len(found.look(mesh).envoys) == len(ACCOUNTS)
    assert found.left_behind == {"bookinfo/gone-5d9-x"}


def test_nobody_is_left_behind_who_follows_in_time() -> None:
    mesh = rotating(istiods=(0.0, 5.0), servers=2)
    Traveller(mesh, mesh.hours).forth(until=goals.NEW_ROOT)
    assert gone(mesh, MINUTE).left_behind == set()
    assert mesh.broken == []


def test_there_is_no_way_back_to_a_compromised_root_until_its_label_is_taken_off() -> None:
    mesh = rotating()
    compromise.note(mesh, SETTINGS, 1)
    one = Traveller(mesh, mesh.hours)
    one.forth(until=goals.TRUST)
    status = shown(mesh, SETTINGS)
    assert status
    assert status.next_commands == ("meshpki rotate root",)
    with pytest.raises(PreconditionError, match="known to somebody else") as refused:
        one.back()
    assert refused.value.code == "MPK-446"
    mesh.merge(OLD, {"metadata": {"labels": {compromise.COMPROMISED: None}}}, "kubectl")
    one.back()
    assert journey.standing(mesh, SETTINGS) is None
