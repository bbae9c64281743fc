"""istiod's CA rotated on a mesh in memory: what is done, in which order, and that a killed run is finished."""

from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

import pytest

from meshpki.cluster.client import BACKGROUND, ClusterError, Deletion
from meshpki.cluster.manifest import Object, Ref, owned, ref_of
from meshpki.components import approval
from meshpki.components.approval import policies
from meshpki.components.istiod_ca import istiod_ca as istiod_ca_step
from meshpki.errors import GateTimeoutError, MeshpkiError, PreconditionError, StepError
from meshpki.install import WISH, kept_wish, wish_manifest
from meshpki.rotate import istiod_ca
from meshpki.rotate.leaf import NAMESPACE, POD
from meshpki.rotate.mark import ANNOTATION
from meshpki.settings import Approval, IstiodCA, Settings, defaults, read_text
from meshpki.workflow.apply import wanted
from meshpki.workflow.event import Event, GateOpened, Outcome, StepDone
from meshpki.workflow.work import Limits
from tests.support.cluster import FakeClock, InMemoryCluster, namespace
from tests.support.istiod_ca import REF
from tests.support.mesh import Mesh
from tests.support.rotation import Rotating
from tests.support.session import Session

HOUR = timedelta(hours=1)
WISH_720 = IstiodCA(720 * HOUR, 180 * HOUR)
POLICY = Ref(*approval.POLICY, "", approval.ISTIOD_CA)
LIMITS = Limits(timedelta(minutes=3))


def rotation(there: Mesh, wish: IstiodCA = WISH_720, *, compromised: bool = False) -> istiod_ca.Rotation:
    settings = read_text(kept_wish(there), str(WISH))
    return istiod_ca.intended(istiod_ca.look(there, settings), settings, wish, compromised=compromised)


def rotate(there: Mesh, wish: IstiodCA = WISH_720, *, compromised: bool = False) -> list[Event]:
    begun, told = rotation(there, wish, compromised=compromised), list[MeshpkiError]()
    with closing(istiod_ca.rotate(there, begun, FakeClock(), LIMITS, told.append)) as events:
        done = list(events)
    assert told == []
    return done


def unheard(error: MeshpkiError) -> None:
    raise AssertionError(error)


def opened(events: list[Event]) -> list[str]:
    found = (f"{event.step}/{event.gate}" for event in events if isinstance(event, GateOpened))
    return list(dict.fromkeys(found))


def settled(there: Mesh, settings: Settings) -> bool:
    """Whether `up` with the kept settings would leave CA and settings as they are."""
    manifests = [owned(wish_manifest(settings), "settings")]
    manifests += [owned(one, "istiod-ca") for one in istiod_ca_step(settings).manifests]
    return {wanted(there, one, there.get(ref_of(one))) for one in manifests} == {Outcome.UNCHANGED}


def test_it_ends_with_the_new_ca_in_use_everywhere_and_nothing_left_behind() -> None:
    mesh = Rotating()
    there = mesh.cluster()
    events = rotate(there)
    assert opened(events) == ["istiod-ca/issued", "istiod/served", "istiod/logged", "istiod/metric", "leaf/signed"]
    assert {event.step for event in events if isinstance(event, StepDone)} == {
        "settings",
        "istiod-ca",
        "place",
        "istiod",
        "leaf",
    }
    assert mesh.revision(there) == 2
    assert NAMESPACE not in there.objects
    assert ANNOTATION not in there.objects[REF]["metadata"]["annotations"]


def test_the_wish_is_kept_so_that_up_changes_nothing_afterwards() -> None:
    there = Rotating().cluster()
    rotate(there)
    settings = read_text(kept_wish(there), str(WISH))
    assert settings == replace(defaults(), istiod_ca=WISH_720)
    assert settled(there, settings)


def test_where_policies_approve_the_new_lifetime_is_allowed_before_it_is_asked_for() -> None:
    policed = replace(defaults(), approval=Approval(policy=True))
    there = Rotating(settings=policed).cluster()
    there.reactions.append(seen)
    events = rotate(there)
    assert there.writes.index(("apply", f"{POLICY}")) < there.writes.index(("apply", f"{REF}"))
    assert there.objects[POLICY]["spec"]["constraints"]["maxDuration"] == "720h"
    assert opened(events)[0] == "approval/policies"
    (wish,) = (one for one in policies(replace(policed, istiod_ca=WISH_720)) if ref_of(one) == POLICY)
    assert wanted(there, owned(wish, "approval"), there.get(POLICY)) == Outcome.UNCHANGED


def seen(cluster: InMemoryCluster, stored: Object) -> None:
    """approver-policy takes a policy up at once."""
    if ref_of(stored) == POLICY and "status" not in stored:
        cluster.put({**stored, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})


def test_the_evidence_names_the_ca_of_before_and_of_now_and_every_replica() -> None:
    mesh = Rotating()
    there = mesh.cluster()
    begun = rotation(there)
    list(istiod_ca.rotate(there, begun, FakeClock(), LIMITS, unheard))
    done = istiod_ca.done(there, begun)
    assert begun.start.name == f"{mesh.issued[0].certificate.serial:x}"
    assert (done.ca, done.revision) == (mesh.issued[1].certificate, 2)
    assert [set(one.served.values()) for one in done.replicas] == [{f"{done.ca.serial:x}"}] * 2


@pytest.mark.parametrize("compromised", [False, True])
def test_the_same_lifetime_again_still_rotates(*, compromised: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(istiod_ca, "PATIENCE", timedelta(0))  # a value, so that the test takes no ten seconds
    mesh = Rotating()
    there = mesh.cluster()
    for times in (2, 3):
        rotate(there, defaults().istiod_ca, compromised=compromised)
        assert mesh.revision(there) == times
    assert ("merge", f"{REF}/status") in there.writes


def interrupted(there: Mesh, after: int) -> Iterator[Event]:
    with closing(istiod_ca.rotate(there, rotation(there), FakeClock(), LIMITS, unheard)) as events:
        yield from islice(events, after)


@pytest.mark.parametrize("after", range(0, 16, 3))
def test_a_run_that_is_stopped_anywhere_is_finished_by_the_next_with_one_ca_more(after: int) -> None:
    mesh = Rotating()
    there = mesh.cluster()
    list(interrupted(there, after))
    assert NAMESPACE not in there.objects
    begun = rotation(there)
    rotate(there)
    assert mesh.revision(there) == 2
    assert begun.start.name == f"{mesh.issued[0].certificate.serial:x}"
    assert ANNOTATION not in there.objects[REF]["metadata"]["annotations"]


def test_a_request_that_is_denied_ends_the_run_and_leaves_the_ca_of_before() -> None:
    mesh = Rotating(denied="not by policy")
    there = mesh.cluster()
    with pytest.raises(StepError, match=r"MPK-406.*not by policy"):
        rotate(there)
    assert mesh.revision(there) == 1
    assert NAMESPACE not in there.objects


@dataclass
class Undeletable(Session):
    """A run that gets no answer when it removes its namespace."""

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        if ref != NAMESPACE:
            return super().delete(ref, how)
        raise ClusterError("MPK-102", "no answer from the API server", where=str(ref))


@pytest.mark.parametrize(("denied", "code"), [("not by policy", "MPK-406"), ("", "")])
def test_a_namespace_that_cannot_be_removed_is_told_and_is_neither_error_nor_end_of_the_run(
    denied: str, code: str
) -> None:
    mesh, told = Rotating(denied=denied), list[MeshpkiError]()
    there = mesh.cluster()
    session = Undeletable(there)
    events = istiod_ca.rotate(session, rotation(there), FakeClock(), LIMITS, told.append)  # type: ignore[arg-type]
    with pytest.raises(StepError, match=code) if code else nullcontext():
        list(events)
    assert [one.where for one in told] == [str(NAMESPACE)]
    assert mesh.revision(there) == (1 if denied else 2)


def test_an_istiod_that_never_follows_is_named_when_the_time_is_up() -> None:
    mesh = Rotating()
    there = mesh.cluster()
    there.reactions.remove(mesh.sync)
    with pytest.raises(GateTimeoutError, match=r"MPK-407.*istiod-0"):
        rotate(there)
    assert ANNOTATION in there.objects[REF]["metadata"]["annotations"]
    there.reactions.append(mesh.sync)
    rotate(there)
    assert mesh.revision(there) == 2


def test_a_leaf_that_the_ca_of_before_signed_is_no_proof() -> None:
    there = Rotating(leaf_of=0).cluster()
    with pytest.raises(MeshpkiError, match=r"MPK-408.*not by the newest cacerts"):
        rotate(there)


def test_what_an_earlier_run_left_is_cleared() -> None:
    there = Rotating().cluster()
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD.name, "namespace": NAMESPACE.name}, "spec": {}}
    there.put(owned(namespace(NAMESPACE.name), "leaf"), pod)
    rotate(there)
    assert ("delete", str(POD)) in there.writes
    assert NAMESPACE not in there.objects


def test_without_a_mesh_there_is_nothing_to_rotate() -> None:
    with pytest.raises(PreconditionError, match="MPK-400"):
        istiod_ca.look(Mesh(), defaults())


def test_no_secret_is_asked_for() -> None:
    there = Rotating().cluster()
    rotate(there)
    assert [request for request in there.requests if "Secret" in request[1]] == []


def test_a_namespace_of_somebody_else_is_refused_before_anything_is_written() -> None:
    there = Rotating().cluster()
    there.put(namespace(NAMESPACE.name))
    with pytest.raises(PreconditionError, match="meshpki did not make it") as refused:
        rotate(there)
    assert (refused.value.code, there.writes) == ("MPK-409", [])


def test_a_namespace_that_somebody_makes_meanwhile_is_neither_taken_over_nor_deleted() -> None:
    there = Rotating().cluster()
    begun = rotation(there)
    there.put(namespace(NAMESPACE.name))
    with pytest.raises(PreconditionError, match="MPK-409"):
        list(istiod_ca.rotate(there, begun, FakeClock(), LIMITS, unheard))
    assert there.objects[NAMESPACE]["metadata"].get("labels") is None
