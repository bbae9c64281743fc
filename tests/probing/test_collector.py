"""The collector: polls that overlap, restarts, pods that are replaced, an API server that is away."""

import threading
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object
from meshpki.components.probe_flow import NAMESPACE
from meshpki.probing import Probe
from tests.support.cluster import FakeClock, InMemoryCluster

LOG, BEFORE = "logs client-0-x client", "previous logs client-0-x client"
RUN = 1795608000  # 2026-11-25 12:00 UTC


RUNNING: Object = {"running": {}}


def client(name: str = "client-0-x", number: int = 0, restarts: int = 0, state: Object = RUNNING) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": "client", "instance": f"client-{number}"},
        },
        "status": {"containerStatuses": [{"name": "client", "restartCount": restarts, "state": state}]},
    }


def lines(*seconds: int, run: int = RUN) -> str:
    """A request of the pair, one through the gateway and an echo in each second."""
    return "".join(
        f"2026-11-25T12:{second // 60:02}:{second % 60:02}.5Z {what}\n"
        for second in seconds
        for what in (
            f"r 0 {run} {second + RUN - run} 200 0 ok",
            f"r gateway {run} {second + RUN - run} 200 0 ok",
            f"e stream {run} {second + RUN - run}",
        )
    )


@pytest.fixture
def cluster() -> InMemoryCluster:
    made = InMemoryCluster()
    made.put(client())
    made.answers[LOG] = "2026-11-25T12:00:00.1Z sh: starting\n" + lines(1, 2, 3)
    return made


@pytest.fixture
def probing(cluster: InMemoryCluster) -> Probe:
    made = Probe(cluster, FakeClock(), ["node-a"])
    made.begin()
    return made


def test_what_was_there_before_does_not_count_and_overlapping_polls_count_once(
    cluster: InMemoryCluster, probing: Probe
) -> None:
    for last in (5, 6, 6, 9):
        cluster.answers[LOG] = lines(*range(1, last + 1))
        probing.poll()
    tally = probing.tally()
    assert (tally.requests, [one.echoes for one in tally.streams]) == (12, [6])
    assert tally.proven, tally.why_not()


def test_only_the_newest_part_of_a_log_is_asked_for_again(cluster: InMemoryCluster, probing: Probe) -> None:
    cluster.answers[LOG] = lines(*range(1, 100))
    probing.poll()
    cluster.answers[LOG] = lines(*range(97, 103))  # as since the newest record, two seconds early
    probing.poll()
    assert probing.tally().requests == 2 * 99
    assert probing.tally().proven


def test_a_container_that_starts_again_is_read_to_its_end_first(cluster: InMemoryCluster, probing: Probe) -> None:
    cluster.answers[LOG] = lines(4, 5)
    probing.poll()
    cluster.put(client(restarts=1))
    cluster.answers[BEFORE] = lines(4, 5, 6, 7)
    cluster.answers[LOG] = lines(10, 11, run=RUN + 9)
    for _ in range(2):
        probing.poll()
    tally = probing.tally()
    assert (tally.requests, tally.gaps) == (12, 0)
    assert [one.runs for one in tally.flows] == [2, 2]
    assert [verb for verb, _ in cluster.requests].count("logs") == 1 + 1 + 2 + 1


def test_a_log_that_is_lost_with_its_container_leaves_the_count_unproven(
    cluster: InMemoryCluster, probing: Probe
) -> None:
    cluster.put(client(restarts=1))
    cluster.answers[LOG] = lines(10, 11, run=RUN + 9)
    probing.poll()
    assert probing.tally().requests == 4
    assert not probing.tally().proven
    assert "client-0-x" in probing.tally().unread


def test_the_successor_of_a_client_counts_on_and_its_loss_is_told(cluster: InMemoryCluster, probing: Probe) -> None:
    cluster.answers[LOG] = lines(4, 5)
    probing.poll()
    cluster.objects.clear()
    cluster.put(client("client-0-y"), client("client-7-z", number=7))
    cluster.answers["logs client-0-y client"] = lines(10, 11, run=RUN + 9)
    cluster.answers["logs client-7-z client"] = "not one of ours\n"
    probing.poll()
    tally = probing.tally()
    assert (tally.requests, tally.gaps, tally.malformed, tally.replaced) == (8, 0, 0, ("client-0-x",))


def test_while_the_api_server_is_away_nothing_is_proven_and_afterwards_all_is_caught_up(
    cluster: InMemoryCluster, probing: Probe
) -> None:
    cluster.answers[LOG] = lines(4, 5, 6)
    away = ClusterError("MPK-101", "no answer from the API server", status=0)
    cluster.faults += [away, ClusterError("MPK-102", "busy", status=503)]
    probing.poll()
    assert "no answer" in probing.tally().unread
    cluster.faults.insert(0, away)
    probing.poll()
    assert not probing.tally().proven
    cluster.faults.clear()
    probing.poll()
    assert probing.tally().proven, probing.tally().why_not()
    assert probing.tally().requests == 6


def test_one_client_that_cannot_be_read_is_named_and_hides_no_other(cluster: InMemoryCluster) -> None:
    cluster.put(client("client-1-x", number=1))
    cluster.answers["logs client-1-x client"] = ""
    probing = Probe(cluster, FakeClock(), ["node-a", "node-b"])
    probing.begin()
    del cluster.objects[next(ref for ref in cluster.objects if ref.name == "client-0-x")]
    cluster.put(client())
    cluster.answers[LOG] = lines(4, 5)
    probing.poll()
    assert probing.tally().requests == 4


def test_a_client_that_hangs_is_told_though_every_flow_stops_with_it(cluster: InMemoryCluster) -> None:
    clock = FakeClock()
    probing = Probe(cluster, clock, ["node-a"])
    probing.begin()
    cluster.answers[LOG] = lines(4, 5)
    for seconds, proven in ((0, True), (20, True), (1, False), (600, False)):
        clock.wait(threading.Event(), timedelta(seconds=seconds))
        probing.poll()
        assert probing.tally().proven is proven, seconds
    assert probing.tally().why_not() == "Pod meshpki-probe/client-0-x: no new record for 621 s"
    cluster.answers[LOG] = lines(*range(4, 630))
    probing.poll()
    assert probing.tally().proven, probing.tally().why_not()


def test_of_two_clients_that_hang_together_each_is_told_whatever_the_clocks_of_their_nodes_say() -> None:
    cluster, clock = InMemoryCluster(), FakeClock()
    cluster.put(client(), client("client-1-x", number=1))
    probing = Probe(cluster, clock, ["node-a", "node-b"])
    probing.begin()
    cluster.answers["logs client-0-x client"] = lines(1, 2)
    cluster.answers["logs client-1-x client"] = lines(1000, 1001)
    for _ in range(2):
        probing.poll()
        clock.wait(threading.Event(), timedelta(seconds=30))
        cluster.answers["logs client-0-x client"] += lines(3)
    assert "client-0-x" not in probing.tally().unread
    assert "client-1-x: no new record for 30 s" in probing.tally().unread


WAITING: Object = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.mark.parametrize(("state", "why"), [(WAITING, "does not run (CrashLoopBackOff)"), ({}, "does not run")])
def test_a_container_that_does_not_run_proves_nothing_though_its_old_log_is_there(
    cluster: InMemoryCluster, probing: Probe, state: Object, why: str
) -> None:
    cluster.answers[LOG] = lines(4, 5)
    cluster.put(client(state=state))
    probing.poll()
    assert probing.tally().requests == 4
    assert probing.tally().why_not().endswith(why)
    cluster.put(client())
    probing.poll()
    assert probing.tally().proven


def test_the_last_poll_is_tried_again_while_a_client_cannot_be_asked(cluster: InMemoryCluster) -> None:
    with Probe(cluster, FakeClock(), ["node-a"]) as probing:
        cluster.answers[LOG] = lines(*range(1, 8))
        cluster.faults += [ClusterError("MPK-101", "no answer from the API server", status=0)] * 3
    assert probing.tally().requests == 8
    assert probing.tally().proven


def test_a_thread_polls_while_it_is_open_and_once_more_at_the_end(cluster: InMemoryCluster) -> None:
    with Probe(cluster, FakeClock(), ["node-a"]) as probing:
        cluster.answers[LOG] = lines(*range(1, 8))
    assert probing.tally().requests == 8
