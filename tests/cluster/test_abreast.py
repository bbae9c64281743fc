"""Requests abreast of each other: what becomes of those under way, and of those not begun, when one fails."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from meshpki.cluster.abreast import abreast

AWHILE = 5.0


def broken_off(error: BaseException, first: Callable[[], None], then: Callable[[], None]) -> Future[None]:
    """Ask one after the other, and break off when the first is under way; the second."""
    begun = threading.Event()

    def ask() -> None:
        begun.set()
        first()

    queued = Future[None]()
    with contextlib.suppress(type(error)), abreast(1, "some") as pool:
        pool.submit(ask)
        queued = pool.submit(then)
        assert begun.wait(AWHILE)
        raise error
    return queued


def test_all_are_done_before_it_goes_on() -> None:
    done: list[int] = []
    with abreast(2, "some") as pool:
        for number in range(10):
            pool.submit(done.append, number)
    assert sorted(done) == [*range(10)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=repr)
def test_whoever_interrupts_waits_for_none_that_is_under_way(error: BaseException) -> None:
    answered, done = threading.Event(), list[bool]()
    queued = broken_off(error, lambda: done.append(answered.wait(AWHILE)), lambda: None)
    assert (done, queued.cancelled()) == ([], True)
    answered.set()


def test_after_an_error_what_is_under_way_is_waited_for_and_no_more_is_begun() -> None:
    done: list[bool] = []
    queued = broken_off(ValueError(), lambda: done.append(threading.Event().wait(0.2)), lambda: None)
    assert (done, queued.cancelled()) == ([False], True)
