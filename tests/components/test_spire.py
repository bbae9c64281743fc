"""Table of an agent's pod -> whether its node is known to be attested."""

import pytest

from meshpki.cluster.manifest import Object
from meshpki.components.spire import spire
from meshpki.settings import defaults
from meshpki.workflow.step import Readiness, Ready, Waiting
from tests.support.cluster import InMemoryCluster, namespace

LABELS = {"app": "spire-agent"}


def agents() -> Object:
    """The DaemonSet as the controller leaves it a moment before its pods have told anything."""
    status = {
        **dict.fromkeys(("desiredNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable"), 1),
        "currentNumberScheduled": 1,
        "observedGeneration": 1,
    }
    metadata = {"name": "spire-agent", "namespace": "spire-system", "generation": 1}
    spec = {"selector": {"matchLabels": LABELS}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec, "status": status}


def judged(status: Object) -> Readiness:
    cluster = InMemoryCluster()
    metadata = {"name": "spire-agent-x", "namespace": "spire-system", "labels": LABELS}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n"}, "status": status}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {}}
    cluster.put(namespace("spire-system"), agents(), pod, node)
    (gate,) = (gate for gate in spire(defaults(), ()).gates if gate.name == "agents")
    return gate.check(cluster)


def containers(*ready: bool) -> Object:
    return {"phase": "Running", "containerStatuses": [{"ready": one} for one in ready]}


@pytest.mark.parametrize(
    "status",
    [{"phase": "Pending"}, {"phase": "Pending", "containerStatuses": None}, containers(), containers(True, False)],
    ids=str,
)
def test_an_agent_that_has_told_nothing_yet_or_is_not_whole_attests_no_node(status: Object) -> None:
    found = judged(status)
    assert isinstance(found, Waiting)
    assert "no attested agent on n" in found.why


def test_an_agent_whose_containers_are_all_ready_attests_its_node() -> None:
    assert isinstance(judged(containers(True)), Ready)
