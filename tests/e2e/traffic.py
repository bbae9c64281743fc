"""Requests to Bookinfo from its pod `client`: each makes a connection of its own, and nobody tries again."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.e2e.conftest import Mesh
from tests.e2e.staging import Object

SERVICES = ("details", "ratings", "reviews", "productpage")
GATEWAY = "http://istio-ingressgateway.istio-system/api/v1/products"
# what is asked, and the workloads whose certificates that takes
PATHS = {
    **{f"http://{service}:9080/health": ("client", service) for service in SERVICES},
    GATEWAY: ("istio-ingressgateway", "productpage"),
}
# one round: three pods stand behind `reviews`, and the one whose certificate ends first has to be hit
ROUND = (*PATHS, *["http://reviews:9080/health"] * 5)
# what an Envoy answers whose peer refuses its certificate, or is refused; a slow machine's curl gives up with 000
REFUSED = "503"
_NEVER = {"attempts": 0}


@dataclass(frozen=True)
class Answer:
    """One request: when it was made (UTC), what was asked, and the status."""

    at: datetime
    path: str
    code: str


@contextmanager
def single(mesh: Mesh) -> Iterator[None]:
    """No connection serves two requests meanwhile, and none is tried again."""
    rules = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_rules())})
    mesh.kubectl("apply", "-f", "-", given=rules)
    try:
        yield
    finally:
        mesh.kubectl("delete", "--ignore-not-found", "-f", "-", given=rules)


def asked(mesh: Mesh) -> Iterator[Answer]:
    """Ten rounds of requests, a second or so each."""
    script = (
        f"for round in 1 2 3 4 5 6 7 8 9 10; do for path in {' '.join(ROUND)}; do at=$(date +%s);"
        " echo $at $path $(curl --silent --output /dev/null --max-time 2 --write-out '%{http_code}' $path);"
        " done; sleep 0.5; done"
    )
    answered = mesh.kubectl("-n", "bookinfo", "exec", "deploy/client", "-c", "curl", "--", "sh", "-c", script)
    for line in answered.splitlines():
        at, path, code = line.split()
        yield Answer(datetime.fromtimestamp(int(at), UTC), path, code)


@dataclass
class Flow:
    """What is asked while something else goes on."""

    answers: list[Answer] = field(default_factory=list)

    def refused(self) -> list[Answer]:
        """The requests that a certificate failed."""
        return [one for one in self.answers if one.code == REFUSED]


@contextmanager
def flowing(mesh: Mesh) -> Iterator[Flow]:
    """Requests without a pause from before the block to after it; all are in the Flow once it is left."""
    flow, over = Flow(list(asked(mesh))), threading.Event()

    def on() -> None:
        while not over.is_set():
            flow.answers.extend(asked(mesh))

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(on)
        try:
            yield flow
        finally:
            over.set()
            running.result()


def _rules() -> Iterator[Object]:
    def rule(kind: str, name: str, spec: Object) -> Object:
        metadata = {"name": f"single-{name}", "namespace": "bookinfo"}
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}

    once = {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}}
    yield rule("DestinationRule", "once", {"host": "*.bookinfo.svc.cluster.local", "trafficPolicy": once})
    for service in SERVICES:
        route = [{"destination": {"host": service}}]
        yield rule("VirtualService", service, {"hosts": [service], "http": [{"route": route, "retries": _NEVER}]})
