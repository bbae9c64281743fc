import pytest

from meshpki.cluster.manifest import Object
from meshpki.components.rollout import deployment, judge_rollout, pods_of
from meshpki.workflow.step import Failed, Waiting
from tests.support.cluster import InMemoryCluster

ISTIOD = deployment("istio-system", "istiod")


def workload() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": ISTIOD.name, "namespace": ISTIOD.namespace},
        "spec": {"selector": {"matchLabels": {"app": "istiod"}}},
    }


def pod(name: str, phase: str, **metadata: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": ISTIOD.namespace, "labels": {"app": "istiod"}, **metadata},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    "away",
    [
        pytest.param(pod("evicted", "Failed"), id="evicted, which Kubernetes keeps for long"),
        pytest.param(pod("completed", "Succeeded"), id="ended"),
        pytest.param(pod("leaving", "Running", deletionTimestamp="2026-11-24T12:00:00Z"), id="about to leave"),
    ],
)
def test_a_pod_that_serves_no_more_is_none_of_its_workloads(away: Object) -> None:
    cluster = InMemoryCluster()
    for one in (workload(), away, pod("serves", "Running"), pod("starts", "Pending")):
        cluster.put(one)
    assert [one["metadata"]["name"] for one in pods_of(cluster, ISTIOD)] == ["serves", "starts"]


def test_a_workload_that_is_not_there_has_no_pods() -> None:
    cluster = InMemoryCluster()
    cluster.put(pod("left", "Running"))
    assert pods_of(cluster, ISTIOD) == []


NEVER = {"name": "discovery", "restartCount": 0, "state": {"waiting": {"reason": "InvalidImageName"}}}
REFUSED = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]}


@pytest.mark.parametrize(("seen", "kind"), [(1, Waiting), (2, Failed)])
@pytest.mark.parametrize(("status", "pods"), [({}, [NEVER]), (REFUSED, [])], ids=["a pod fails", "pods are refused"])
def test_a_failure_of_an_older_generation_is_not_final_before_the_controller_has_seen_the_newest(
    seen: int, kind: type[Waiting | Failed], status: Object, pods: list[Object]
) -> None:
    cluster = InMemoryCluster()
    wanted = workload()
    newest = {**wanted["metadata"], "generation": 2}
    cluster.put({**wanted, "metadata": newest, "status": {"observedGeneration": seen, **status}})
    for number, container in enumerate(pods):
        cluster.put({**pod(f"p{number}", "Pending"), "status": {"phase": "Pending", "containerStatuses": [container]}})
    judged = judge_rollout(cluster, ISTIOD)
    assert isinstance(judged, kind)
