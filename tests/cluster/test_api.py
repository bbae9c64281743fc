"""Table of what an API server has answered before -> what is told where it then does not."""

import contextlib
from collections.abc import Sequence

import pytest
import urllib3

from meshpki.cluster.api import Api
from meshpki.cluster.client import ClusterError, NoAccessError

RETRY = "the same command goes on from here once the API server answers again"
SOMEBODY_ELSE = (200, b"<html>a router</html>")


class Answering(urllib3.PoolManager):
    """A connection that gives these answers in turn, and none after the last."""

    def __init__(self, answers: Sequence[tuple[int, bytes]]) -> None:
        super().__init__()
        self._answers = iter(answers)

    def request(self, *_request: object, **_options: object) -> urllib3.BaseHTTPResponse:
        for status, body in self._answers:
            return urllib3.HTTPResponse(body, status=status)
        raise ConnectionRefusedError


def told(*before: tuple[int, bytes]) -> str:
    """The remedy of a request that nobody answers, after others."""
    api = Api("https://x", Answering(before), dict)
    for _ in before:
        with contextlib.suppress(ClusterError):
            api.json("GET", "/version")
    with pytest.raises(NoAccessError, match="connection refused") as error:
        api.json("GET", "/version")
    return error.value.remedy


@pytest.mark.parametrize("before", [(200, b"{}"), (403, b"{}"), (503, b"busy")], ids=str)
def test_a_server_that_has_answered_once_is_waited_for(before: tuple[int, bytes]) -> None:
    assert told(before) == RETRY
    assert told(before, SOMEBODY_ELSE) == RETRY


@pytest.mark.parametrize("before", [(), (SOMEBODY_ELSE,)], ids=str)
def test_a_server_that_has_never_answered_may_be_the_wrong_one(before: tuple[tuple[int, bytes], ...]) -> None:
    remedy = told(*before)
    assert "--context NAME" in remedy
    assert "`meshpki up --lab`" in remedy
