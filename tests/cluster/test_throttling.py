"""A server that is busy, or hangs up, and what is asked of it again; Retry-After is 0 here, so that no time passes."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.kubernetes import connect
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.cluster.throttling import READING, WRITING, Patience, patience
from tests.support.apiserver import Reply, StandIn, running

PODS = Query("v1", "Pod", "ns")
MADE: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}}
BUSY, LOST = (429, "0"), (0, "")


def eventually(holds: Callable[[], bool]) -> bool:
    for _ in range(3000):
        if holds():
            return True
        time.sleep(0.01)
    return False


def busy(*refusals: tuple[int, str]) -> StandIn:
    return StandIn(lambda _: Reply(), refusals=list(refusals))


@pytest.mark.parametrize(
    ("verb", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", {}, READING),
        ("PATCH", "/api/v1/namespaces/ns/configmaps/a", {"dryRun": "All"}, READING),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, READING),
        ("PATCH", "/api/v1/namespaces/ns/configmaps/a", {"force": "true"}, WRITING),
        ("DELETE", "/api/v1/namespaces/bookinfo/services/reviews", {}, WRITING),
    ],
)
def test_what_changes_nothing_is_tried_for_long(
    verb: str, path: str, query: dict[str, str], expected: Patience
) -> None:
    assert patience(verb, path, query) == expected


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says_so(tmp_path: Path, status: int) -> None:
    api = busy((status, "0"), (status, "0"))
    with running(api, tmp_path) as kubeconfig:
        assert connect(kubeconfig=kubeconfig).version() == "v1.35.4"
    assert api.seen.requests == ["GET /version"] * 3


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ((429, ""), 429),
        ((503, ""), 503),
        ((500, "0"), 500),
        ((429, "3600"), 429),
        ((429, "soon"), 429),
        ((409, "0"), 409),
    ],
    ids=str,
)
def test_a_refusal_that_names_no_time_or_one_too_late_is_told_at_once(
    tmp_path: Path, refusal: tuple[int, str], status: int
) -> None:
    api = busy(refusal)
    with running(api, tmp_path) as kubeconfig, pytest.raises(ClusterError) as caught:
        connect(kubeconfig=kubeconfig).version()
    assert (caught.value.status, api.seen.requests) == (status, ["GET /version"])


def test_a_server_that_stays_busy_is_told_as_it_refused_last(tmp_path: Path) -> None:
    api = busy(*[BUSY] * 20)
    with running(api, tmp_path) as kubeconfig, pytest.raises(ClusterError) as caught:
        connect(kubeconfig=kubeconfig).version()
    assert (caught.value.status, len(api.seen.requests)) == (429, 11)


def test_a_write_is_sent_again_too_but_not_long_after_its_lease_was_looked_at(tmp_path: Path) -> None:
    api = busy()
    with running(api, tmp_path) as kubeconfig:
        cluster = connect(kubeconfig=kubeconfig)
        cluster.get(Ref("v1", "ConfigMap", "ns", "a"))
        api.refusals += [BUSY]
        cluster.create(MADE)
        api.refusals += [(429, "5")]
        with pytest.raises(ClusterError):
            cluster.create(MADE)
    assert api.seen.requests.count("POST /api/v1/namespaces/ns/configmaps") == 3


@pytest.mark.parametrize("lost", [1, 2])
def test_a_read_whose_connection_is_lost_is_sent_once_more(tmp_path: Path, lost: int) -> None:
    api = busy(*[LOST] * lost)
    with running(api, tmp_path) as kubeconfig:
        cluster = connect(kubeconfig=kubeconfig)
        if lost == 1:
            assert cluster.version() == "v1.35.4"
        else:
            with pytest.raises(ClusterError, match="the connection was closed"):
                cluster.version()
    assert api.seen.requests == ["GET /version"] * 2


def test_a_write_whose_connection_is_lost_may_have_been_done_and_is_not_sent_again(tmp_path: Path) -> None:
    api = busy()
    with running(api, tmp_path) as kubeconfig:
        cluster = connect(kubeconfig=kubeconfig)
        cluster.get(Ref("v1", "ConfigMap", "ns", "a"))
        api.refusals.append(LOST)
        with pytest.raises(ClusterError, match="the connection was closed"):
            cluster.create(MADE)
    assert api.seen.requests.count("POST /api/v1/namespaces/ns/configmaps") == 1


def test_a_stream_is_opened_once_the_server_has_time(tmp_path: Path) -> None:
    api = busy()
    with running(api, tmp_path) as kubeconfig:
        cluster = connect(kubeconfig=kubeconfig)
        cluster.list(PODS)
        api.refusals.append(BUSY)
        before = len(api.seen.requests)
        with cluster.watch(PODS, lambda: None):
            assert eventually(lambda: len(api.seen.requests) > before + 1)
    assert api.seen.requests[before : before + 2] == ["GET /api/v1/namespaces/ns/pods"] * 2


def test_an_interrupt_ends_the_wait_for_a_busy_server(tmp_path: Path) -> None:
    api = busy(*[(429, "9")] * 20)
    with running(api, tmp_path) as kubeconfig:
        command = [sys.executable, "-m", "meshpki", "status", "--kubeconfig", str(kubeconfig)]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert eventually(lambda: bool(api.seen.requests))
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.send_signal(signal.SIGINT)
        assert child.wait(5) == 130


def test_nobody_listening_is_told_at_the_first_try(tmp_path: Path) -> None:
    with running(busy(), tmp_path) as kubeconfig, socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        text = kubeconfig.read_text()
        port = text.partition("https://127.0.0.1:")[2].partition('"')[0]
        kubeconfig.write_text(text.replace(port, str(unheard.getsockname()[1])))
        began = time.monotonic()
        with pytest.raises(ClusterError, match="connection refused"):
            connect(kubeconfig=kubeconfig).version()
    assert time.monotonic() - began < 5
