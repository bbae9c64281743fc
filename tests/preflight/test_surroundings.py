"""Tables of clocks, namespaces and workloads -> what a preflight says of them."""

from datetime import UTC, datetime, timedelta

import pytest

from meshpki.cluster.manifest import Object
from meshpki.preflight.surroundings import ENFORCE, components_of, forbidding, skews

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
NEEDED = {"spire-system": "privileged", "istio-system": "baseline"}


def seconds(number: float) -> datetime:
    return AT + timedelta(seconds=number)


def node(name: str = "a", *, ready: bool = True) -> Object:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": conditions}}


def lease(renewed: float | None, name: str = "a") -> Object:
    spec = {} if renewed is None else {"renewTime": f"{seconds(renewed):%Y-%m-%dT%H:%M:%S.%fZ}"}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("here", "leases", "nodes", "told"),
    [
        (0, [lease(-9)], [node()], []),
        (10, [lease(10)], [node()], []),
        (11, [], [], ["this machine's clock is 11 s ahead of the API server's"]),
        (-90, [], [], ["this machine's clock is 90 s behind of the API server's"]),
        (0, [lease(15)], [node()], ["Node a's clock is 15 s ahead of the API server's"]),
        (0, [lease(-61)], [node()], ["Node a's clock is 61 s behind of the API server's"]),
        (0, [lease(-600)], [node(ready=False)], []),
        (0, [lease(-600, "gone"), lease(None)], [node()], []),
    ],
    ids=["well", "just", "ahead", "behind", "a node ahead", "a node behind", "a node that is down", "no node of it"],
)
def test_a_clock_that_differs_is_told_with_whose_it_is(
    here: float, leases: list[Object], nodes: list[Object], told: list[str]
) -> None:
    assert list(skews(AT, seconds(here), leases, nodes)) == told


def test_without_a_date_of_the_api_server_nothing_is_said_of_clocks() -> None:
    assert skews(None, AT, [lease(900)], [node()]) == ()


@pytest.mark.parametrize(
    ("name", "level", "refused"),
    [
        ("spire-system", "privileged", False),
        ("spire-system", "baseline", True),
        ("spire-system", "", False),
        ("istio-system", "baseline", False),
        ("istio-system", "restricted", True),
        ("elsewhere", "restricted", False),
        ("spire-system", "made up", False),
    ],
)
def test_a_namespace_that_enforces_more_than_its_pods_can_bear_is_told(name: str, level: str, *, refused: bool) -> None:
    labels = {ENFORCE: level} if level else {}
    found = forbidding([{"metadata": {"name": name, "labels": labels}}], NEEDED)
    assert found == (((name, level, NEEDED[name]),) if refused else ())


def test_what_is_there_already_is_told_with_its_version_and_its_owner() -> None:
    containers = [{"name": "discovery", "image": "docker.io/istio/pilot:1.24.0"}]
    spec = {"template": {"spec": {"containers": containers}}}
    helm = [{"manager": "kube", "fieldsV1": {"f:status": {}}}, {"manager": "helm", "fieldsV1": {"f:spec": {}}}]
    metadata = {"name": "istiod", "namespace": "istio-system", "managedFields": helm}
    istiod = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    labelled = {"name": "spire-server", "namespace": "a", "labels": {"app.kubernetes.io/managed-by": "x"}}
    ours = {**istiod, "metadata": labelled}
    other = {**istiod, "metadata": {"name": "web", "namespace": "a"}}
    found = [(one.ref.name, one.version, one.owner) for one in components_of([istiod, ours, other])]
    assert found == [("istiod", "1.24.0", "helm"), ("spire-server", "1.24.0", "x")]
