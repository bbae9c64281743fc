"""The fetch of many pods from a stand-in for the API server that counts: streams, connections, tries; never time."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from meshpki.cluster.client import ClusterError, NoAccessError
from meshpki.cluster.kubernetes import KubernetesCluster, connect
from meshpki.cluster.manifest import Query, Ref
from meshpki.cluster.response import AnswerError
from meshpki.errors import MeshpkiError
from tests.support.apiserver import TOKEN, Reply, StandIn, running

Answers = dict[str, bytes | MeshpkiError]


def pods(*names: str) -> list[Ref]:
    return [Ref("v1", "Pod", "ns", name) for name in names]


def many(size: int) -> list[Ref]:
    return pods(*(f"pod-{number}" for number in range(size)))


def fine(name: str) -> Reply:
    return Reply(body=f"of {name}".encode())


def told(stand_in: StandIn, folder: Path, asked: list[Ref], width: int = 8) -> Answers:
    with opened(stand_in, folder) as cluster:
        return {pod.name: answer for pod, answer in cluster.fetch(asked, 15000, "/config_dump", width)}


@contextmanager
def opened(stand_in: StandIn, folder: Path) -> Iterator[KubernetesCluster]:
    with running(stand_in, folder) as kubeconfig:
        yield connect(kubeconfig=kubeconfig)


def replying(**special: Reply) -> Callable[[str], Reply]:
    return lambda name: special.get(name) or fine(name)


def eventually(holds: Callable[[], bool]) -> bool:
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.01)
    return False


def test_each_pod_is_answered_once_over_one_stream_and_never_more_are_open_than_allowed(tmp_path: Path) -> None:
    stand_in = StandIn(fine, seconds=0.01)
    answers = told(stand_in, tmp_path, many(100), width=8)
    assert answers == {pod.name: f"of {pod.name}".encode() for pod in many(100)}
    assert Counter(stand_in.seen.opened) == dict.fromkeys(answers, 1)
    assert 1 < stand_in.seen.most <= 8


def test_the_handshake_is_made_once_and_its_session_taken_up_again(tmp_path: Path) -> None:
    stand_in = StandIn(fine)
    told(stand_in, tmp_path, many(20), width=1)
    assert stand_in.seen.resumed == 19
    assert stand_in.seen.tokens == {f"Bearer {TOKEN}"}


def test_no_connection_is_left_when_all_is_answered(tmp_path: Path) -> None:
    stand_in = StandIn(fine)
    with opened(stand_in, tmp_path) as cluster:
        assert len(list(cluster.fetch(many(30), 15000, "/", 8))) == 30
        assert eventually(lambda: not stand_in.seen.connections)


def test_no_connection_and_no_thread_is_left_when_the_caller_leaves_early(tmp_path: Path) -> None:
    stand_in = StandIn(replying(**{f"pod-{number}": Reply(silent=True) for number in range(1, 30)}))
    with opened(stand_in, tmp_path) as cluster:
        threads = threading.active_count()
        answers = cluster.fetch(many(30), 15000, "/", 8)
        assert next(answers)[1] == b"of pod-0"
        answers.close()
        assert threading.active_count() == threads
        assert eventually(lambda: not stand_in.seen.connections)


def test_answers_come_as_they_are_made_and_not_in_the_order_of_the_question(tmp_path: Path) -> None:
    stand_in = StandIn(replying(slow=Reply(silent=True)))
    with opened(stand_in, tmp_path) as cluster:
        answers = cluster.fetch(pods("slow", "a", "b"), 15000, "/", 2)
        assert {next(answers)[0].name for _ in range(2)} == {"a", "b"}
        answers.close()


REFUSALS = {
    "forbidden": (
        Reply(status=403, error='pods "x" is forbidden: User "x" cannot create resource "pods/portforward"'),
        NoAccessError,
        "forbidden",
    ),
    "gone": (Reply(status=404, error='pods "x" not found'), ClusterError, "not found"),
    "unreachable": (Reply(status=502, error="error dialing backend"), ClusterError, "dialing backend"),
    "unavailable": (Reply(status=503, error="no endpoints"), ClusterError, "no endpoints"),
    "deaf": (Reply(error="connect: connection refused"), AnswerError, "connection refused"),
    "closing": (Reply(raw=b"\x88\x00"), AnswerError, "ended before"),
    "babbling": (Reply(raw=b"\x83\x01x"), AnswerError, "no websocket frame"),
    "huge": (Reply(body=b"x" * (5 << 20)), AnswerError, "more than"),
}


def test_a_refused_pod_says_why_and_stops_no_other(tmp_path: Path) -> None:
    stand_in = StandIn(replying(**{name: reply for name, (reply, _, _) in REFUSALS.items()}))
    answers = told(stand_in, tmp_path, pods("first", *REFUSALS, "last"))
    assert (answers["first"], answers["last"]) == (b"of first", b"of last")
    for name, (_, kind, words) in REFUSALS.items():
        error = answers[name]
        assert type(error) is kind
        assert words in error.what
        assert name in error.where


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_asked_to_come_again_comes_again_and_with_half_the_width(tmp_path: Path, status: int) -> None:
    busy = Reply(status=status, retry_after="0", error="too many requests")
    tries = count()
    stand_in = StandIn(lambda name: busy if next(tries) < 8 else fine(name), seconds=0.02)
    answers = told(stand_in, tmp_path, many(24), width=8)
    assert answers == {pod.name: f"of {pod.name}".encode() for pod in many(24)}
    assert len(stand_in.seen.opened) == 24 + 8
    assert stand_in.seen.most <= 8


def test_who_is_refused_again_and_again_gives_up(tmp_path: Path) -> None:
    stand_in = StandIn(lambda _: Reply(status=429, retry_after="0", error="too many requests"))
    answers = told(stand_in, tmp_path, pods("a"))
    assert isinstance(answers["a"], ClusterError)
    assert answers["a"].status == 429
    assert len(stand_in.seen.opened) == 6


def test_a_server_with_another_name_is_not_spoken_to(tmp_path: Path) -> None:
    stand_in = StandIn(fine)
    with running(stand_in, tmp_path) as kubeconfig:
        text = kubeconfig.read_text().replace("api.example.org", "other.example.org")
        kubeconfig.write_text(text.replace('"server"', '"insecure-skip-tls-verify": false, "server"'))
        cluster = connect(kubeconfig=kubeconfig)
        answer = dict(cluster.fetch(pods("a"), 15000, "/", 1))[pods("a")[0]]
    assert isinstance(answer, NoAccessError)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.what
    assert stand_in.seen.opened == []
    assert stand_in.seen.tokens == set()


def test_a_server_that_is_gone_is_told_for_each_pod(tmp_path: Path) -> None:
    with running(StandIn(fine), tmp_path) as kubeconfig:
        cluster = connect(kubeconfig=kubeconfig)
    answers = list(cluster.fetch(many(3), 15000, "/", 2))
    assert [pod for pod, _ in answers] == many(3)
    assert {getattr(error, "code", "") for _, error in answers} == {"MPK-101"}


def test_objects_are_read_in_pages(tmp_path: Path) -> None:
    listed = [{"metadata": {"name": f"pod-{number}"}} for number in range(1_200)]
    stand_in = StandIn(fine, {"/api/v1/pods": listed})
    with opened(stand_in, tmp_path) as cluster:
        found = cluster.scan(Query("v1", "Pod"))
        next(found)
        assert stand_in.seen.requests.count("GET /api/v1/pods") == 1
        assert len(list(found)) == 1_199
        assert stand_in.seen.requests.count("GET /api/v1/pods") == 3


def test_the_clock_is_that_of_the_servers_answer(tmp_path: Path) -> None:
    with opened(StandIn(fine), tmp_path) as cluster:
        date = cluster.date()
    assert date is not None
    assert abs(date.timestamp() - time.time()) < 60
