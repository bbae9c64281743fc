"""Parts of the mesh stopped for real: the first request fails at the moment that `meshpki forecast` named.

Lives are short: SPIRE's are written into its configuration by hand, as an hour is the least that the settings allow
for a CA. Every request makes a connection of its own, and nobody tries again.
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
from tests.e2e import staging
from tests.e2e.conftest import Mesh, Verify
from tests.e2e.staging import spire_server

pytestmark = pytest.mark.lab

Forecasts = Callable[..., dict[str, Any]]

SVID_TTL = "1m"
SERVICES = ("details", "ratings", "reviews", "productpage")
# what is asked, and the workloads whose certificates that takes
PATHS = {
    **{f"http://{service}:9080/health": ("client", service) for service in SERVICES},
    "http://istio-ingressgateway.istio-system/api/v1/products": ("istio-ingressgateway", "productpage"),
}
LOCAL = ("localauthority", "x509")
# a clock tells whole seconds, a round of requests takes one, and of three reviews the right one is to be hit
TOLERANCE = timedelta(seconds=6)


@dataclass(frozen=True)
class Staged:
    """A part that stops: how long SPIRE's CA lives meanwhile, and how the part is stopped and started."""

    ca_ttl: str
    stop: Callable[[Mesh], None]
    start: Callable[[Mesh], None]


def scaled(namespace: str, kind: str, name: str, pods: str) -> tuple[Callable[[Mesh], None], Callable[[Mesh], None]]:
    """How a workload is scaled to nothing and back; `pods` selects its pods."""

    def stop(mesh: Mesh) -> None:
        mesh.kubectl("-n", namespace, "scale", f"{kind}/{name}", "--replicas=0")
        mesh.kubectl("-n", namespace, "wait", "pod", "-l", pods, "--for=delete", "--timeout=60s")

    def start(mesh: Mesh) -> None:
        mesh.kubectl("-n", namespace, "scale", f"{kind}/{name}", "--replicas=1")
        mesh.kubectl("-n", namespace, "rollout", "status", f"{kind}/{name}", "--timeout=90s")

    return stop, start


STAGED = {
    "spire-agent": Staged("1h", staging.stop_agents, staging.start_agents),
    "spire-server": Staged(
        "1h", *scaled("spire-server", "statefulset", "spire-server", "app.kubernetes.io/name=spire-server")
    ),
    "cert-manager": Staged(
        "3m30s", *scaled("cert-manager", "deployment", "cert-manager", "app.kubernetes.io/name=cert-manager")
    ),
}


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
    """No connection serves two requests, and none is tried again."""
    rules = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_rules())})
    mesh.kubectl("apply", "-f", "-", given=rules)
    yield
    mesh.kubectl("delete", "--ignore-not-found", "-f", "-", given=rules)


@pytest.fixture
def spires(mesh: Mesh, verify: Verify) -> Iterator[Callable[[str, str], None]]:
    """What gives SPIRE other lifetimes; those of before hold again afterwards, and every identity is proven."""
    before = mesh.json("-n", "spire-server", "get", "configmap", "spire-server")["data"]["server.conf"]

    def shorten(ca_ttl: str, svid_ttl: str) -> None:
        text = re.sub(r'(\bca_ttl = )"\w+"', rf'\1"{ca_ttl}"', before)
        _configure(mesh, re.sub(r'(\bdefault_x509_svid_ttl = )"\w+"', rf'\1"{svid_ttl}"', text))

    yield shorten
    _configure(mesh, before)
    _until(lambda: verify("--strict").code == 0, timedelta(seconds=120))


@pytest.mark.usefixtures("single_requests")
def test_the_first_request_fails_when_the_forecast_says_so(
    mesh: Mesh,
    forecasts: Forecasts,
    spires: Callable[[str, str], None],
    sample: random.Random,
    request: pytest.FixtureRequest,
) -> None:
    parts = list(STAGED) if request.config.getoption("--full") else [sample.choice(list(STAGED))]
    for part in parts:
        staged = STAGED[part]
        spires(staged.ca_ttl, SVID_TTL)
        _until(lambda: all(_all_short(forecasts())), timedelta(seconds=90))
        try:
            staged.stop(mesh)
            foretold = forecasts("--authorities")
            first = _first(foretold, part)
            failed = first_failures(mesh, first + timedelta(minutes=2))
        finally:
            staged.start(mesh)
        told = f"{part}: foretold {first:%H:%M:%S}, seen {min(failed.values()):%H:%M:%S}; {_lines(failed, foretold)}"
        print(told)  # noqa: T201 - the figures of a report
        assert abs(min(failed.values()) - first) <= TOLERANCE, told
        for path, workloads in PATHS.items():
            assert abs(failed[path] - _ends(foretold, workloads)) <= TOLERANCE, f"{path}: {told}"


def first_failures(mesh: Mesh, until: datetime) -> dict[str, datetime]:
    """When each path failed for the first time, asked again and again from the pod `client`."""
    failed: dict[str, datetime] = {}
    seen = 0
    while len(failed) < len(PATHS):
        assert datetime.now(UTC) < until, f"after {seen} requests these alone failed: {failed}"
        for at, path, code in _asked(mesh):
            seen += 1
            if code != "200":
                failed.setdefault(path, at)
    assert seen > 2 * len(PATHS), "nothing was asked before it failed"
    return failed


def _asked(mesh: Mesh) -> Iterator[tuple[datetime, str, str]]:
    """Ten seconds of requests: the moment each was made, what was asked, and the status."""
    script = (
        f"for round in 1 2 3 4 5 6 7 8 9 10; do for path in {' '.join(PATHS)}; do at=$(date +%s);"
        " echo $at $path $(curl --silent --output /dev/null --max-time 2 --write-out '%{http_code}' $path);"
        " done; sleep 0.7; done"
    )
    answered = mesh.kubectl("-n", "bookinfo", "exec", "deploy/client", "-c", "curl", "--", "sh", "-c", script)
    for line in answered.splitlines():
        at, path, code = line.split()
        yield datetime.fromtimestamp(int(at), UTC), path, code


def _rules() -> Iterator[staging.Object]:
    def rule(kind: str, name: str, spec: staging.Object) -> staging.Object:
        metadata = {"name": f"forecast-{name}", "namespace": "bookinfo"}
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}

    once = {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}}
    yield rule("DestinationRule", "once", {"host": "*.bookinfo.svc.cluster.local", "trafficPolicy": once})
    for service in SERVICES:
        route = [{"destination": {"host": service}}]
        yield rule("VirtualService", service, {"hosts": [service], "http": [{"route": route, "retries": _NEVER}]})


_NEVER = {"attempts": 0}


def _configure(mesh: Mesh, text: str) -> None:
    """Have spire-server start with a configuration, sign with a CA made by it, and agents take everything anew."""
    patch = json.dumps({"data": {"server.conf": text}})
    mesh.kubectl("-n", "spire-server", "patch", "configmap", "spire-server", "--type=merge", "-p", patch)
    _restart(mesh, "spire-server", "statefulset/spire-server", "spire-server")
    prepared = spire_server(mesh, *LOCAL, "prepare")["prepared_authority"]["authority_id"]
    spire_server(mesh, *LOCAL, "activate", "-authorityID", prepared)
    # its own certificate is the last to follow otherwise
    _restart(mesh, "spire-server", "statefulset/spire-server", "spire-server")
    _restart(mesh, "spire-system", "daemonset/spire-agent", "spire-agent")


def _restart(mesh: Mesh, namespace: str, workload: str, app: str) -> None:
    mesh.kubectl("-n", namespace, "delete", "pod", "-l", f"app.kubernetes.io/name={app}")
    mesh.kubectl("-n", namespace, "rollout", "status", workload, "--timeout=90s")


def _all_short(foretold: dict[str, Any]) -> Iterator[bool]:
    """Whether each workload holds a certificate of the short life."""
    at = datetime.fromisoformat(foretold["at"])
    for clock in foretold["clocks"]:
        if clock["name"].startswith("SVID "):
            yield datetime.fromisoformat(clock["ends"]) - at <= timedelta(seconds=61)


def _first(foretold: dict[str, Any], part: str) -> datetime:
    outage = next(one for one in foretold["outages"] if one["stopped"] == part)
    assert outage["first"]["until"] is None, outage
    return datetime.fromisoformat(outage["first"]["at"])


def _ends(foretold: dict[str, Any], workloads: tuple[str, ...]) -> datetime:
    """The first end of what some workloads hold, the versions of one service together."""
    clocks = {clock["name"].rpartition("/")[2]: clock["ends"] for clock in foretold["clocks"]}
    return min(datetime.fromisoformat(ends) for name, ends in clocks.items() if re.sub(r"-v\d$", "", name) in workloads)


def _lines(failed: dict[str, datetime], foretold: dict[str, Any]) -> str:
    return "; ".join(
        f"{path} {_ends(foretold, workloads):%H:%M:%S} {failed[path]:%H:%M:%S}" for path, workloads in PATHS.items()
    )


def _until(true: Callable[[], bool], at_most: timedelta) -> None:
    until = time.monotonic() + at_most.total_seconds()
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(2)
