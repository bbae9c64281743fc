"""Waiting and trying again inside an act: how long, for which errors, and what ends it."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.errors import StepError
from meshpki.rotate.patience import Patience
from tests.support.cluster import FakeClock

BUSY = ClusterError("MPK-102", "busy", status=503)
FORBIDDEN = ClusterError("MPK-102", "no right", status=403)
SOON = timedelta(seconds=10)


def failing(error: ClusterError, times: int) -> tuple[list[int], Callable[[], bool]]:
    """An act that fails so many times."""
    tries: list[int] = []

    def act() -> bool:
        tries.append(len(tries))
        if len(tries) <= times:
            raise error
        return True

    return tries, act


def patience() -> Patience:
    return Patience(FakeClock(), threading.Event())


def wait(patience: Patience, act: Callable[[], bool]) -> None:
    patience.until(act, SOON, "it")


both = pytest.mark.parametrize("trying", [wait, Patience.insist])
Trying = Callable[[Patience, Callable[[], bool]], None]


@both
def test_what_a_busy_server_refuses_is_tried_again(trying: Trying) -> None:
    tries, act = failing(BUSY, 3)
    trying(patience(), act)
    assert len(tries) == 4


@both
def test_what_is_not_allowed_is_told_at_once(trying: Trying) -> None:
    tries, act = failing(FORBIDDEN, 3)
    with pytest.raises(ClusterError, match="no right"):
        trying(patience(), act)
    assert len(tries) == 1


def test_a_wait_ends_with_what_did_not_follow() -> None:
    with pytest.raises(StepError, match=r"MPK-441 it did not follow within 10 s"):
        patience().until(lambda: False, SOON, "it")


def test_a_server_that_stays_busy_ends_the_trying_with_its_own_words() -> None:
    _, act = failing(BUSY, 1000)
    waiting = patience()
    before = waiting.clock.now()
    with pytest.raises(ClusterError, match="busy"):
        waiting.insist(act)
    assert waiting.clock.now() - before == timedelta(minutes=1)


@both
def test_a_run_that_was_stopped_tries_nothing_any_more(trying: Trying) -> None:
    stopped, (tries, act) = patience(), failing(BUSY, 0)
    stopped.stop.set()
    trying(stopped, act)
    assert tries == []
