"""The probe on the mesh: real handshakes, a refused control, faults that are seen, a restart that loses nothing."""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import pytest

from meshpki.cli.session import SystemClock
from meshpki.cluster.kubernetes import KubernetesCluster
from meshpki.cluster.manifest import MANAGED_BY, Object, Query, owned
from meshpki.components.probe import NAMESPACE, STEP, probe, remove
from meshpki.components.probe_flow import CLIENT
from meshpki.components.spire import schedulable
from meshpki.probing import Probe, Tally
from meshpki.probing.counters import compare, snapshot
from meshpki.settings import Settings, read_text
from meshpki.workflow.event import Event, GateOpened, Tick
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Step
from meshpki.workflow.work import Limits
from tests.e2e.conftest import Mesh

pytestmark = pytest.mark.lab

TARGET = "details.bookinfo:9080/health"
CLOCK = SystemClock()
LIMITS = Limits(gate=timedelta(minutes=3))


@pytest.fixture(scope="module")
def settings(mesh: Mesh) -> Settings:
    where = mesh.lab.settings
    return read_text(where.read_text() if where else "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n", "lab")


@pytest.fixture(scope="module")
def nodes(mesh: Mesh, lab_cluster: KubernetesCluster) -> list[str]:
    return sorted(schedulable(lab_cluster.list(Query("v1", "Node"))))


@pytest.fixture(scope="module")
def step(settings: Settings, nodes: list[str]) -> Step:
    return probe(settings, nodes, TARGET)


@pytest.fixture(scope="module")
def events(step: Step, lab_cluster: KubernetesCluster) -> Iterator[list[Event]]:
    yield [event for event in run(Plan((step,)), lab_cluster, CLOCK, LIMITS) if not isinstance(event, Tick)]
    remove(lab_cluster, CLOCK)


@pytest.fixture
def counting(events: list[Event], step: Step, lab_cluster: KubernetesCluster, nodes: list[str]) -> Iterator[Probe]:
    """A count that begins while every flow is answered, whatever a test did before."""
    for gate in step.gates:
        wait_for(lambda gate=gate: gate.check(lab_cluster), lambda seen: type(seen).__name__ == "Ready")
    with Probe(lab_cluster, CLOCK, nodes, TARGET) as probing:
        yield probing


Seen = TypeVar("Seen")


def wait_for(look: Callable[[], Seen], enough: Callable[[Seen], bool], seconds: float = 120) -> Seen:
    until = time.monotonic() + seconds
    seen = look()
    while not enough(seen) and time.monotonic() < until:
        threading.Event().wait(1)
        seen = look()
    assert enough(seen), seen
    return seen


def more(probing: Probe, requests: int) -> Tally:
    """The count once it has grown by some requests."""
    before = probing.tally().requests
    return wait_for(probing.tally, lambda tally: tally.requests >= before + requests)


def to_servers(tally: Tally) -> int:
    """The requests that end at the probe's own servers."""
    return sum(one.requests for one in tally.flows if one.flow.mark != "target")


def live(cluster: KubernetesCluster, **labels: str) -> list[Object]:
    pods = cluster.list(Query("v1", "Pod", NAMESPACE, labels=",".join(f"{k}={v}" for k, v in labels.items())))
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def test_the_gates_open_and_tell_that_the_control_was_refused_by_a_tls_alert(events: list[Event]) -> None:
    opened = {event.gate: event.detail for event in events if isinstance(event, GateOpened)}
    assert set(opened) == {"policies", "rollout", "identities", "control", "warm"}
    assert "an untrusted identity was refused: SSLV3_ALERT_CERTIFICATE" in opened["control"]
    assert "plaintext was refused" in opened["control"]


def test_every_request_has_a_handshake_of_its_own_and_none_is_lost(
    counting: Probe, lab_cluster: KubernetesCluster, nodes: list[str]
) -> None:
    before = snapshot(lab_cluster, live(lab_cluster, app="server"))
    counting.poll()
    begun = to_servers(counting.tally())
    tally = more(counting, 300)
    changes = compare(before, snapshot(lab_cluster, live(lab_cluster, app="server")))
    handshakes = changes.total("ssl.handshake")
    print(f"{to_servers(tally) - begun} requests, {handshakes} handshakes, {tally.per_second:.1f}/s")  # noqa: T201
    assert tally.proven, tally.why_not()
    assert len(tally.flows) == len(nodes) ** 2 + 2 * len(nodes)
    assert all(stream.echoes for stream in tally.streams)
    # of each flow one request may have been under way at the first look, its handshake done and its record to come
    assert handshakes >= to_servers(tally) - begun - len(tally.flows)
    assert changes.why_not(must_grow=["ssl.handshake"]) == ""


def test_a_client_that_starts_again_loses_and_doubles_nothing(counting: Probe, mesh: Mesh, nodes: list[str]) -> None:
    more(counting, 30)
    with contextlib.suppress(subprocess.CalledProcessError):  # the shell that kills them all is one of them
        mesh.kubectl("-n", NAMESPACE, "exec", "deploy/client-0", "-c", CLIENT, "--", "sh", "-c", "kill -9 -1")
    tally = wait_for(counting.tally, lambda tally: all(f.runs >= 2 for f in tally.flows if f.flow.source == nodes[0]))
    tally = more(counting, 60)
    assert (tally.failed, tally.gaps, tally.malformed, tally.unread) == (0, 0, 0, ""), tally.failures


def test_a_peer_that_may_not_be_trusted_is_seen_with_its_class(
    counting: Probe, step: Step, lab_cluster: KubernetesCluster, mesh: Mesh
) -> None:
    wrong = {"spec": {"trafficPolicy": {"tls": {"subjectAltNames": ["spiffe://example.org/ns/nowhere/sa/nobody"]}}}}
    rule = next(m for m in step.manifests if (m["kind"], m["metadata"]["name"]) == ("DestinationRule", "server-0"))
    mesh.kubectl(
        "-n", NAMESPACE, "patch", "destinationrule", "server-0", "--type=merge", f"--patch={json.dumps(wrong)}"
    )
    try:
        tally = wait_for(counting.tally, lambda tally: dict(tally.errors).get("CERTIFICATE_VERIFY_FAILED", 0) >= 10)
    finally:
        mesh.kubectl("-n", NAMESPACE, "delete", "destinationrule", "server-0")
        lab_cluster.apply(owned(rule, STEP))
    assert not tally.proven
    assert {one.flow.mark for one in tally.failures if one.error == "CERTIFICATE_VERIFY_FAILED"} == {"0"}
    assert sum(second.failed for second in tally.timeline) == tally.failed


def test_a_server_that_goes_away_is_seen_by_every_way_to_it_and_by_its_stream(counting: Probe, mesh: Mesh) -> None:
    mesh.kubectl("-n", NAMESPACE, "scale", "deployment", "server-0", "--replicas=0")
    try:
        tally = wait_for(counting.tally, lambda tally: tally.failed >= 10 and tally.breaks > 0)
    finally:
        mesh.kubectl("-n", NAMESPACE, "scale", "deployment", "server-0", "--replicas=1")
    print(tally.why_not())  # noqa: T201
    assert not tally.proven
    assert any(error.startswith("HTTP 503") for error, _ in tally.errors)
    assert all(one.failed == 0 for one in tally.flows if one.flow.mark == "target")


def test_what_was_made_is_labelled_and_all_of_it_is_gone_afterwards(
    events: list[Event], mesh: Mesh, lab_cluster: KubernetesCluster
) -> None:
    labels = ",".join(f"{key}={value}" for key, value in {**MANAGED_BY, "meshpki.dev/step": STEP}.items())
    kinds = (
        "namespace,serviceaccount,configmap,secret,service,deployment,gateway.networking.istio.io,virtualservice,"
        "destinationrule,sidecar,peerauthentication,authorizationpolicy"
    )
    asked = ("get", kinds, "-A", "-l", labels, "-o", "name")
    assert len(mesh.kubectl(*asked).split()) >= 20
    assert remove(lab_cluster, CLOCK)
    assert not remove(lab_cluster, CLOCK)
    assert mesh.kubectl(*asked) == ""
    left = [pod for pod in lab_cluster.list(Query("v1", "Pod")) if pod["metadata"]["namespace"] == NAMESPACE]
    assert left == []
