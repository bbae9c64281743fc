"""A mesh in memory that can be rotated beside a probe: its pods start, its clients write their logs, Envoys count.

Whole commands run on it: it has what a preflight looks at, and the workloads that a drain replaces.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from meshpki.cluster.client import BACKGROUND, Deletion
from meshpki.cluster.manifest import Object, Ref, ref_of
from meshpki.components.probe import node_of
from meshpki.components.probe_flow import CLIENT, NAMESPACE, SERVER, flows
from meshpki.components.trust import ALIAS
from meshpki.install import wish_manifest
from meshpki.probing.collector import READER
from tests.support.cluster import InMemoryCluster, config_map
from tests.support.control_plane import workload
from tests.support.hours import Hours
from tests.support.mesh import paged, pod
from tests.support.rotating import ACCOUNTS, NODES, SETTINGS, Rotating, rotating

PLACE = Ref("v1", "Namespace", "", NAMESPACE)
_ROLLED_OUT = {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
_MESH = 'defaultConfig:\n  proxyMetadata:\n    PROXY_CONFIG_XDS_AGENT: "true"\n'
_REFUSALS = {
    b"/untrusted": b"OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    b"/plaintext": b"reset reason: connection termination",
}
_SERVER_IMAGE = "ghcr.io/spiffe/spire-server:1.15.3"


@dataclass
class BesideHours(Hours):
    """Hours in which the probe's reader only looks on: time passes where the rotation itself waits."""

    def wait(self, event: threading.Event, at_most: timedelta) -> bool:
        if threading.current_thread().name != READER:
            return super().wait(event, at_most)
        until = self.now() + at_most
        while self.now() < until:
            if event.wait(0.002):
                return True
        return False


@dataclass
class Client:
    """A client of the probe: one record a flow and second since it was born."""

    source: str
    born: datetime

    def log(self, now: datetime, since: datetime | None, failed: Callable[[datetime], bool]) -> str:
        """What it has written since a moment."""
        first = 1 if since is None else max(1, int((since - self.born).total_seconds()) - 1)
        seconds = range(first, int((now - self.born).total_seconds()) + 1)
        return "".join(self._second(number, failed) for number in seconds)

    def _second(self, number: int, failed: Callable[[datetime], bool]) -> str:
        at, run = self.born + timedelta(seconds=number), int(self.born.timestamp())
        answer = "503 0 upstream connect error" if failed(at) else "200 0 ok"
        return "".join(
            f"{at:%Y-%m-%dT%H:%M:%S.%f}Z {'e' if flow.stream else 'r'} {flow.mark} {run} {number}"
            f"{'' if flow.stream else f' {answer}'}\n"
            for flow in flows(NODES)
            if flow.source == self.source
        )


@dataclass
class Probed(Rotating):
    """The mesh; `lost` are the moments after which the next request of every flow fails, `cold` has all fail."""

    hours: Hours = field(default_factory=BesideHours)
    clients: dict[str, Client] = field(default_factory=dict)
    lost: list[datetime] = field(default_factory=list)
    cold: bool = False
    farewell: Callable[[], None] = lambda: None

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        """`farewell` is what happens when the probe is deleted."""
        found = super().delete(ref, how)
        if ref == PLACE:
            self.farewell()
        return found

    def start(self, _cluster: InMemoryCluster, stored: Object) -> None:
        """A namespace gets istiod's bundle; a Deployment of the probe is rolled out."""
        ref = ref_of(stored)
        if ref == PLACE and "deletionTimestamp" not in stored["metadata"]:
            self.istiods.publish(NAMESPACE)
        if (ref.kind, ref.namespace) != ("Deployment", NAMESPACE) or "status" in stored:
            return
        self.put({**stored, "status": _ROLLED_OUT})
        name, labels = f"{ref.name}-5d9-x", stored["spec"]["template"]["metadata"]["labels"]
        if labels["app"] in {CLIENT, SERVER}:
            self.born(
                name, node_of({"metadata": {"labels": {"instance": _client(labels)}}}, NODES), labels["app"], labels
            )
        else:
            outside = pod(name, namespace=NAMESPACE)
            self.put({**outside, "metadata": {**outside["metadata"], "labels": labels}, "spec": {"containers": []}})
            self.listeners[name, 8080] = paged(_control)

    def born(self, name: str, node: str = NODES[0], account: str = "client", labels: Object | None = None) -> None:
        """A new pod of the mesh, or one of the probe's by its labels."""
        if labels is None:
            super().born(name, node, account)
            return
        self.istiods.born(name)
        self.spire.born(name, node, account, NAMESPACE)
        self._label(name, labels)
        if account == CLIENT:
            self.clients[name] = Client(node, self.hours.now())

    def logs(self, pod: Ref, container: str, lines: int, **how: object) -> str:
        """Of a client, what it has written by now; else as any cluster in memory."""
        client = self.clients.get(pod.name)
        if client is None or pod.namespace != NAMESPACE or pod not in self.objects:
            return super().logs(pod, container, lines, **how)  # type: ignore[arg-type]
        self._request("logs", pod)
        since = how.get("since")
        return client.log(self.hours.now(), since if isinstance(since, datetime) else None, self._failed)

    def lose(self) -> None:
        """The next request of every flow fails."""
        self.lost.append(self.hours.now())

    def _failed(self, at: datetime) -> bool:
        return self.cold or any(one < at <= one + timedelta(seconds=1) for one in self.lost)

    def _label(self, name: str, labels: Object) -> None:
        live = self.objects[Ref("v1", "Pod", NAMESPACE, name)]
        self.put({**live, "metadata": {**live["metadata"], "labels": {**live["metadata"]["labels"], **labels}}})


def probed(root_ends: timedelta | None = None, istiods: Sequence[float] = (0.0,)) -> Probed:
    """A mesh as `meshpki up` leaves it, on whose nodes a probe may run; its root may end soon, or long ago."""
    mesh = Probed()
    if root_ends is not None:
        mesh.cert_manager.ends[f"{ALIAS}-g1"] = root_ends
    rotating(mesh=mesh, istiods=istiods)
    mesh.server_date = mesh.hours.now()
    mesh.put(*(_node(name) for name in NODES), wish_manifest(SETTINGS))
    mesh.put(config_map("istio", "istio-system", mesh=_MESH))
    mesh.put(config_map("spire-server", "spire-server", **{"server.conf": 'KeyManager "disk" {}'}))
    mesh.put(_running(workload("Deployment", "istiod"), env=[{"name": "ISTIO_MULTIROOT_MESH", "value": "true"}]))
    mesh.put(_running(workload("StatefulSet", "spire-server"), name="spire-server", image=_SERVER_IMAGE))
    mesh.put(*(_application(name) for name in ACCOUNTS))
    mesh.reactions.append(mesh.start)
    mesh.requests.clear()
    return mesh


def _client(labels: Object) -> str:
    """The client of a pod's node, by whose number that is known."""
    return f"{CLIENT}-{str(labels['instance']).rpartition('-')[2]}"


def _control(asked: bytes) -> tuple[int, bytes]:
    return 503, next(answer for way, answer in _REFUSALS.items() if way in asked)


def _node(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def _running(one: Object, **container: object) -> Object:
    template = {"metadata": {}, "spec": {"containers": [container]}}
    spec = {**one["spec"], "template": template, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    return {**one, "spec": spec, "status": _ROLLED_OUT}


def _application(name: str) -> Object:
    metadata, spec = {"name": name, "namespace": "bookinfo"}, {"selector": {"matchLabels": {"app": name}}}
    return _running({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}, name="app")
