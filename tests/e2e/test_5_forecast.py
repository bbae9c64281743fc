"""Parts of the mesh stopped for real: the first request fails at the moment that `meshpki forecast` named.

Lives are short: SPIRE's are written into its configuration by hand, as an hour is the least that the settings allow
for a CA. Every request makes a connection of its own, and nobody tries again; TLS sessions are resumed, as Istio's
Envoys do by default (docs/decisions/0016-resumed-sessions.md).
"""

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Command
from tests.e2e import staging, traffic
from tests.e2e.conftest import Mesh, Verify
from tests.e2e.staging import spire_server
from tests.e2e.traffic import PATHS, REFUSED

pytestmark = pytest.mark.lab

Forecasts = Callable[..., dict[str, Any]]

SVID_TTL = "1m"
LOCAL = ("localauthority", "x509")
# a clock tells whole seconds, a round of requests takes one, and of three reviews the right one is to be hit
TOLERANCE = timedelta(seconds=6)
# by how much the client's certificate ends before its servers' where that is wished, and what is left to stop agents in
APART, AHEAD = timedelta(seconds=9), timedelta(seconds=35)
# each of one pod, with which the client keeps a session
SINGLE = ("details", "ratings", "productpage")


@dataclass(frozen=True)
class Staged:
    """A part that stops, and how; SPIRE's next CA lives for `ca_ttl`, empty where none is made.

    `resumed` is whether the client's certificate shall be the first to end, while its servers know its TLS sessions.
    """

    part: str
    ca_ttl: str
    stop: Callable[[Mesh], None]
    start: Callable[[Mesh], None]
    resumed: bool = False


def stop(mesh: Mesh, namespace: str, kind: str, *names: str) -> None:
    mesh.kubectl("-n", namespace, "scale", kind, *names, "--replicas=0")
    for name in names:
        label = f"app.kubernetes.io/name={name.removeprefix('cert-manager-')}"
        mesh.kubectl("-n", namespace, "wait", "pod", "-l", label, "--for=delete", "--timeout=60s")


def start(mesh: Mesh, namespace: str, kind: str, *names: str) -> None:
    mesh.kubectl("-n", namespace, "scale", kind, *names, "--replicas=1")
    for name in names:
        mesh.kubectl("-n", namespace, "rollout", "status", f"{kind}/{name}", "--timeout=90s")


SERVER = ("spire-server", "statefulset", "spire-server")
CONTROLLER = ("cert-manager", "deployment", "cert-manager")
WITH_WEBHOOK = (*CONTROLLER, "cert-manager-webhook")
STAGED = {
    "agent": Staged("spire-agent", "", staging.stop_agents, staging.start_agents),
    "agent, client first": Staged("spire-agent", "", staging.stop_agents, staging.start_agents, resumed=True),
    "server": Staged("spire-server", "", lambda mesh: stop(mesh, *SERVER), lambda mesh: start(mesh, *SERVER)),
    "issuer": Staged(
        "cert-manager", "3m30s", lambda mesh: stop(mesh, *CONTROLLER), lambda mesh: start(mesh, *CONTROLLER)
    ),
    # the CA lives long enough for spire-server to give up before it ends: eleven minutes
    "issuer, server gives up": Staged(
        "cert-manager", "12m", lambda mesh: stop(mesh, *WITH_WEBHOOK), lambda mesh: start(mesh, *WITH_WEBHOOK)
    ),
}
# the others wait for a CA's end, in full runs alone
QUICK = ("agent", "agent, client first", "server")


@pytest.fixture
def forecasts(mesh: Mesh, meshpki: Command) -> Forecasts:
    """`meshpki forecast -o json` as a user runs it, with more options if wanted."""

    def run(*options: str) -> dict[str, Any]:
        done = meshpki("forecast", *mesh.where(), *options, "-o", "json", seconds=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    return run


@pytest.fixture
def single_requests(mesh: Mesh) -> Iterator[None]:
    with traffic.single(mesh):
        yield


@pytest.fixture
def spires(mesh: Mesh, verify: Verify) -> Iterator[Callable[[str, str], None]]:
    """What gives SPIRE other lifetimes; those of before hold again afterwards, and every identity is proven."""
    before = mesh.json("-n", "spire-server", "get", "configmap", "spire-server")["data"]["server.conf"]
    made: list[str] = []

    def shorten(ca_ttl: str, svid_ttl: str) -> None:
        made.extend([ca_ttl] if ca_ttl else [])
        text = re.sub(r'(\bca_ttl = )"\w+"', rf'\1"{ca_ttl}"', before) if ca_ttl else before
        text = re.sub(r'(\bdefault_x509_svid_ttl = )"\w+"', rf'\1"{svid_ttl}"', text)
        _configure(mesh, text, anew=bool(ca_ttl))

    yield shorten
    _configure(mesh, before, anew=bool(made))
    _until(lambda: verify("--strict").code == 0, timedelta(seconds=120))


@pytest.mark.usefixtures("single_requests")
def test_the_first_request_fails_when_the_forecast_says_so(
    mesh: Mesh,
    forecasts: Forecasts,
    spires: Callable[[str, str], None],
    sample: random.Random,
    request: pytest.FixtureRequest,
) -> None:
    chosen = list(STAGED) if request.config.getoption("--full") else [sample.choice(QUICK)]
    for name in chosen:
        staged = STAGED[name]
        spires(staged.ca_ttl, SVID_TTL)
        _until(lambda: all(_all_short(forecasts())), timedelta(seconds=90))
        if staged.resumed:
            _client_first(mesh, forecasts)
        try:
            staged.stop(mesh)
            foretold = forecasts("--authorities")
            first, last = _first(foretold, staged.part)
            failed = first_failures(mesh, last + timedelta(minutes=2))
        finally:
            staged.start(mesh)
        told = f"{name}: foretold {first:%H:%M:%S} to {last:%H:%M:%S}, seen {min(failed.values()):%H:%M:%S}"
        told += f"; each path: {_compared(failed, foretold, staged.part)}"
        print(told)  # noqa: T201 - the figures of a report
        assert first - TOLERANCE <= min(failed.values()) <= last + TOLERANCE, told
        for path in PATHS:
            earliest, latest = _span(foretold, path, staged.part)
            assert earliest - TOLERANCE <= failed[path] <= latest + TOLERANCE, f"{path}: {told}"
            if staged.resumed and PATHS[path] in [("client", service) for service in SINGLE]:
                assert failed[path] > earliest + TOLERANCE, f"{path} resumed no session: {told}"


def first_failures(mesh: Mesh, until: datetime) -> dict[str, datetime]:
    """When each path failed for the first time, asked again and again from the pod `client`."""
    failed: dict[str, datetime] = {}
    seen = 0
    while len(failed) < len(PATHS):
        assert datetime.now(UTC) < until, f"after {seen} requests these alone failed: {failed}"
        for answer in traffic.asked(mesh):
            seen += 1
            if answer.code == REFUSED:
                failed.setdefault(answer.path, answer.at)
    assert seen > 2 * len(PATHS), "nothing was asked before it failed"
    return failed


def _configure(mesh: Mesh, text: str, *, anew: bool) -> None:
    """Have spire-server start with a configuration, sign with a CA made `anew` by it, and agents take all SVIDs."""
    patch = json.dumps({"data": {"server.conf": text}})
    mesh.kubectl("-n", "spire-server", "patch", "configmap", "spire-server", "--type=merge", "-p", patch)
    _restart(mesh, "spire-server", "statefulset/spire-server", "spire-server")
    if anew:
        prepared = spire_server(mesh, *LOCAL, "prepare")["prepared_authority"]["authority_id"]
        spire_server(mesh, *LOCAL, "activate", "-authorityID", prepared)
        # its own certificate is the last to follow otherwise
        _restart(mesh, "spire-server", "statefulset/spire-server", "spire-server")
    _restart(mesh, "spire-system", "daemonset/spire-agent", "spire-agent")


def _restart(mesh: Mesh, namespace: str, workload: str, app: str) -> None:
    mesh.kubectl("-n", namespace, "delete", "pod", "-l", f"app.kubernetes.io/name={app}")
    mesh.kubectl("-n", namespace, "rollout", "status", workload, "--timeout=90s")


def _all_short(foretold: dict[str, Any]) -> Iterator[bool]:
    """Whether each workload holds a certificate of the short life; an Envoy may come back to its agent late."""
    at = datetime.fromisoformat(foretold["at"])
    for clock in foretold["clocks"]:
        if clock["name"].startswith("SVID "):
            yield timedelta(seconds=10) < datetime.fromisoformat(clock["ends"]) - at <= timedelta(seconds=61)


def _first(foretold: dict[str, Any], part: str) -> tuple[datetime, datetime]:
    """The first failure that is foretold, at the earliest and at the latest."""
    first = next(one["first"] for one in foretold["outages"] if one["stopped"] == part)
    return datetime.fromisoformat(first["at"]), datetime.fromisoformat(first["until"] or first["at"])


def _span(foretold: dict[str, Any], path: str, part: str) -> tuple[datetime, datetime]:
    """When a path may fail first: from the first end on, by the server's at the latest; SPIRE's CA caps renewals."""
    if part == "cert-manager":
        return _first(foretold, part)
    client, server = PATHS[path]
    return min(_ends(foretold, client), _ends(foretold, server)), _ends(foretold, server)


def _ends(foretold: dict[str, Any], workload: str) -> datetime:
    """The first end of what a workload holds, the versions of one service together."""
    clocks = {clock["name"].rpartition("/")[2]: clock["ends"] for clock in foretold["clocks"]}
    return min(datetime.fromisoformat(ends) for name, ends in clocks.items() if re.sub(r"-v\d$", "", name) == workload)


def _compared(failed: dict[str, datetime], foretold: dict[str, Any], part: str) -> str:
    return ", ".join(
        f"{path} holds to {earliest:%H:%M:%S} or {latest:%H:%M:%S}, failed {failed[path]:%H:%M:%S}"
        for path in PATHS
        for earliest, latest in [_span(foretold, path, part)]
    )


def _client_first(mesh: Mesh, forecasts: Forecasts) -> None:
    """Have the client's certificate end before those that it calls, which know its sessions, and be not yet renewed."""

    def left() -> timedelta:
        seen = forecasts()
        return _ends(seen, "client") - datetime.fromisoformat(seen["at"])

    def apart() -> bool:
        seen = forecasts()
        ends = _ends(seen, "client")
        others = min(_ends(seen, service) for service in traffic.SERVICES)
        return ends + APART <= others and ends - datetime.fromisoformat(seen["at"]) >= AHEAD

    # SVIDs of the others from the middle between two of the client's on
    _until(lambda: left() > timedelta(seconds=50), timedelta(seconds=60))
    time.sleep(6)
    mesh.kubectl("-n", "bookinfo", "delete", "pod", "-l", f"app in ({', '.join(traffic.SERVICES)})")
    mesh.kubectl("-n", "bookinfo", "wait", "deployment", "--all", "--for=condition=Available", "--timeout=90s")
    _until(apart, timedelta(minutes=4))
    # a session with each, under the certificates of now
    mesh.kubectl("-n", "bookinfo", "exec", "deploy/client", "-c", "curl", "--", "sh", "-c", _ONCE)


_ONCE = f"for path in {' '.join(PATHS)}; do curl --silent --output /dev/null --max-time 2 $path; done"


def _until(true: Callable[[], bool], at_most: timedelta) -> None:
    until = time.monotonic() + at_most.total_seconds()
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(2)
