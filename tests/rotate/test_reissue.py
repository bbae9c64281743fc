"""A Certificate issued again: what is asked of cert-manager, when, and what counts as done."""

import base64
import threading
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.trust import CERT_MANAGER, istiod_certificate
from meshpki.errors import StepError
from meshpki.rotate.reissue import MANAGER, issuing, reissue, reissued, revision, trigger
from meshpki.settings import defaults
from meshpki.workflow.step import Failed, Readiness, Ready, Waiting
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster

REF = istiod_certificate(defaults())
READY: Object = {"type": "Ready", "status": "True"}
AT_IT: Object = {"type": "Issuing", "status": "True", "observedGeneration": 1}
FAILED: Object = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "no"}
AT_ONCE = timedelta(0)


def certificate(*conditions: Object, at: int = 1) -> Object:
    metadata = {"name": REF.name, "namespace": REF.namespace, "generation": 2}
    status = {"conditions": list(conditions), "revision": at, "renewalTime": "2026-12-01T00:00:00Z"}
    return {"apiVersion": CERT_MANAGER, "kind": "Certificate", "metadata": metadata, "status": status}


def request(at: int) -> Object:
    notes = {"cert-manager.io/certificate-name": REF.name, "cert-manager.io/certificate-revision": str(at)}
    metadata = {"name": f"cacerts-{at}", "namespace": REF.namespace, "annotations": notes}
    status = {"certificate": base64.b64encode(made.mesh_root().pem).decode()}
    return {"apiVersion": CERT_MANAGER, "kind": "CertificateRequest", "metadata": metadata, "status": status}


def cluster(*objects: Object) -> InMemoryCluster:
    there = InMemoryCluster()
    there.put(*objects)
    return there


def conflict() -> ClusterError:
    return ClusterError("MPK-102", "the object has been modified", status=409, reason="Conflict")


def test_a_certificate_that_was_never_issued_is_at_revision_zero() -> None:
    assert revision(None) == revision({"metadata": {}}) == 0


@pytest.mark.parametrize("before", [(READY,), (READY, FAILED)], ids=["well", "after a failure"])
def test_the_trigger_sets_one_condition_and_leaves_the_rest_of_the_status(before: tuple[Object, ...]) -> None:
    there = cluster(certificate(*before))
    assert trigger(there, REF, before=1)
    live = there.objects[REF]
    assert issuing(live)
    found = {one["type"]: one for one in live["status"]["conditions"]}
    assert len(live["status"]["conditions"]) == len(found)
    assert found["Ready"] == READY
    assert (found["Issuing"]["reason"], found["Issuing"]["observedGeneration"]) == ("ManuallyTriggered", 2)
    assert (live["status"]["revision"], live["status"]["renewalTime"]) == (1, "2026-12-01T00:00:00Z")
    assert there.writes == [("merge", f"{REF}/status")]
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == [MANAGER]


@pytest.mark.parametrize("live", [certificate(READY, AT_IT), certificate(READY, at=2)], ids=["under way", "done"])
def test_the_trigger_writes_nothing_where_it_is_under_way_or_done(live: Object) -> None:
    there = cluster(live)
    assert not trigger(there, REF, before=1)
    assert there.writes == []


class Contested(InMemoryCluster):
    """A cluster in which somebody else writes first, a number of times."""

    lost = 0

    def merge(self, ref: Ref, patch: Object, manager: str, subresource: str = "") -> Object:
        self.lost -= 1
        if self.lost >= 0:
            self.put(certificate(READY, {**FAILED, "message": str(self.lost)}))
        return super().merge(ref, patch, manager, subresource)


@pytest.mark.parametrize(("lost", "asked"), [(0, True), (4, True), (5, False)])
def test_the_trigger_never_overwrites_what_somebody_else_wrote_meanwhile(lost: int, *, asked: bool) -> None:
    there = Contested()
    there.put(certificate(READY))
    there.lost = lost
    if asked:
        assert trigger(there, REF, before=1)
    else:
        with pytest.raises(StepError, match="MPK-406"):
            trigger(there, REF, before=1)
    assert issuing(there.objects[REF]) is asked


def test_a_refusal_other_than_a_conflict_is_told_at_once() -> None:
    there = cluster(certificate(READY))
    there.faults = [ClusterError("MPK-102", "no right", status=403)]
    with pytest.raises(ClusterError, match="no right"):
        trigger(there, REF, before=1)


def test_a_certificate_that_is_not_there_is_not_triggered() -> None:
    with pytest.raises(StepError, match="MPK-406"):
        trigger(cluster(), REF, before=1)


def test_the_program_triggers_where_nothing_issues_by_itself_in_time() -> None:
    there = cluster(certificate(READY))
    program = reissue(REF, before=1, patience=AT_ONCE)
    assert not program.settled(there)
    program.run(there, threading.Event())
    assert program.settled(there)
    assert there.writes == [("merge", f"{REF}/status")]


def test_the_program_leaves_alone_what_a_change_of_the_spec_has_triggered() -> None:
    there = cluster(certificate(READY, AT_IT))
    program = reissue(REF, before=1)
    assert program.settled(there)
    program.run(there, threading.Event())
    assert there.writes == []


def test_the_program_that_is_stopped_triggers_nothing() -> None:
    there, stop = cluster(certificate(READY)), threading.Event()
    stop.set()
    reissue(REF, before=1).run(there, stop)
    assert there.writes == []


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], Waiting(f"{REF} is not there yet")),
        ([certificate(READY), request(1)], Waiting(f"{REF} is still at revision 1")),
        ([certificate(READY, AT_IT, at=1)], Waiting(f"{REF}: no CertificateRequest of revision 1 holds it")),
        ([certificate(READY, FAILED), request(1)], Failed(f"{REF}: Failed: no")),
        ([certificate(READY, at=2), request(2)], Ready()),
    ],
    ids=["absent", "before", "its request gone", "failed", "anew"],
)
def test_it_is_issued_again_when_a_newer_revision_is(objects: list[Object], expected: Readiness) -> None:
    readiness, chain = reissued(cluster(*objects), REF, before=1)
    assert readiness == expected
    assert bool(chain) is (expected == Ready())
