"""istiod in memory: replicas that read `cacerts` as their kubelets bring it, and write their bundle where it is kept.

As Istio 1.29 does (rotation-live 2 and 4, pilot/pkg/bootstrap/istio_ca.go): other roots are taken in or out only where
the text of one bundle contains the other's; what is refused leaves everything as it was; the chain that is served ends
with the roots of `ca.crt`; a CA that does not verify at this moment, its root's end included, is not loaded
(security/pkg/pki/util/keycertbundle.go, Verify); the first replica writes `istio-ca-root-cert` of every namespace, and
every replica writes the webhooks' caBundle, so that replicas which differ overwrite each other.
"""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, partial

from meshpki.cluster.manifest import Object, Ref
from meshpki.pki.certificate import read_chain
from meshpki.rotate.acts import MARK
from tests.support import certificates as made
from tests.support.certificates import Issued
from tests.support.cluster import InMemoryCluster, config_map
from tests.support.control_plane import listener, replica, webhook
from tests.support.hours import Hours

CACERTS = Ref("v1", "Secret", "istio-system", "cacerts")
NAMESPACES = ("istio-system", "bookinfo")
BUNDLE = "istio-ca-root-cert"
_WEBHOOKS = ("istio-sidecar-injector", "istio-validator-istio-system")
_KUBELET, _HURRIED, _FLAPS = 60.0, 1.0, 2.0


@dataclass
class Replica:
    """One istiod: its CA and the text of its bundle, and how many seconds later than the others it gets to see both."""

    name: str
    ca: Issued
    text: bytes
    lag: float = 0.0
    mark: str = ""


@dataclass
class Istiods:
    """The replicas, and the copies of the bundle that the kubelets have mounted into the proxies' pods."""

    cluster: InMemoryCluster
    hours: Hours
    cas: Callable[[], Issued]
    replicas: dict[str, Replica] = field(default_factory=dict)
    mounted: dict[str, bytes] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    namespaces: set[str] = field(default_factory=set)
    changed: Callable[[], None] = lambda: None

    def begin(self, lags: Iterable[float]) -> None:
        """As after the installation."""
        for number, lag in enumerate(lags):
            name = f"istiod-{number}"
            self.replicas[name] = Replica(name, self.cas(), self._text(), lag)
            self.cluster.put(replica("istiod", number))
            for port in (15012, 15017):
                self.cluster.listeners[name, port] = partial(self._serve, name)
        self._write_all()

    def react(self, _cluster: InMemoryCluster, stored: Object) -> None:
        """Kubelets: the Secret and the ConfigMap within a minute, or at once where the pod was touched."""
        metadata = stored["metadata"]
        name, mark = metadata["name"], metadata.get("annotations", {}).get(MARK, "")
        if (stored["kind"], name) == ("Secret", "cacerts"):
            for one in self.replicas.values():
                self.hours.later(_KUBELET + one.lag, partial(self.load, one.name))
        if stored["kind"] == "Pod" and name in self.replicas and mark != self.replicas[name].mark:
            self.replicas[name].mark = mark
            self.hours.later(_HURRIED + self.replicas[name].lag, partial(self.load, name))
        if stored["kind"] == "ConfigMap" and name == BUNDLE and metadata["namespace"] == "bookinfo":
            for pod in self.mounted:
                self.hours.later(_KUBELET, partial(self._mount, pod))
        if stored["kind"] == "Pod" and name in self.mounted and mark != self.marks.get(name, ""):
            self.marks[name] = mark
            self.hours.later(_HURRIED, partial(self._mount, name))

    def born(self, pod: str) -> None:
        """A new proxy's pod mounts the bundle of now."""
        self.mounted[pod] = self._published()

    def load(self, name: str, *, anew: bool = False) -> None:
        """A replica reads its files; at its start it takes whatever is there."""
        one, text, ca = self.replicas[name], self._text(), self.cas()
        known = anew or text in one.text or one.text in text
        if not known or ca.chain[-1].pem not in text:
            self.refused.append(f"{name}: Updating new ROOT-CA not supported")
            return
        if any(above.certificate.not_after <= self.hours.now() for above in (ca, *ca.chain)):
            self.refused.append(f"{name}: Failed to update new Plug-in CA certs")
            return
        if (one.ca, one.text) == (ca, text):
            return
        one.ca, one.text = ca, text
        if name == min(self.replicas):
            self._write_bundle(one)
        self._write_webhooks(one)
        self.changed()
        self._flap()

    def restart(self, name: str) -> None:
        """A new process reads the Secret of now; its pod is another one, and bears no mark."""
        self.replicas[name].mark = ""
        number = int(name.rpartition("-")[2])
        self.cluster.put(replica("istiod", number))
        self.load(name, anew=True)

    def roots(self, one: Replica) -> frozenset[str]:
        """The anchors of a replica's bundle."""
        return anchors(one.text)

    def _flap(self) -> None:
        """Replicas that differ overwrite each other's caBundle (rotation-live 5.5)."""
        if len({one.text for one in self.replicas.values()}) > 1:
            for delay, one in enumerate(self.replicas.values(), start=1):
                self.hours.later(delay * _FLAPS, partial(self._write_webhooks, one))
            self.hours.later(len(self.replicas) * _FLAPS, self._flap)

    def _mount(self, pod: str) -> None:
        self.mounted[pod] = self._published()
        self.changed()

    def _published(self) -> bytes:
        live = self.cluster.objects[Ref("v1", "ConfigMap", "bookinfo", BUNDLE)]
        return str(live["data"]["root-cert.pem"]).encode()

    def _write_all(self) -> None:
        for one in self.replicas.values():
            self._write_bundle(one)
            self._write_webhooks(one)

    def publish(self, namespace: str) -> None:
        """Another namespace gets the bundle as soon as it is there, and as long as it is."""
        self.namespaces.add(namespace)
        self._write_into(namespace, self.replicas[min(self.replicas)])

    def _write_bundle(self, one: Replica) -> None:
        for namespace in (*NAMESPACES, *sorted(self.namespaces)):
            if Ref("v1", "Namespace", "", namespace) in self.cluster.objects:
                self._write_into(namespace, one)

    def _write_into(self, namespace: str, one: Replica) -> None:
        self.cluster.put(config_map(BUNDLE, namespace, **{"root-cert.pem": one.text.decode()}))

    def _write_webhooks(self, one: Replica) -> None:
        self.cluster.put(*(webhook(one.text, name=name) for name in _WEBHOOKS))
        self.changed()

    def _text(self) -> bytes:
        return base64.b64decode(self.cluster.objects[CACERTS]["data"]["ca.crt"])

    def _serve(self, name: str, connection: object) -> None:
        one = self.replicas[name]
        _served(one.ca, one.text)(connection)


@cache
def anchors(text: bytes) -> frozenset[str]:
    """The certificates of a bundle, by their SHA-256."""
    return frozenset(one.sha256 for one in read_chain(text))


@cache
def _serving(ca: Issued) -> Issued:
    now = ca.x509.not_valid_before_utc
    return ca.issue(made.ISTIOD_SERVING.but(not_before=now, not_after=ca.x509.not_valid_after_utc))


@cache
def _served(ca: Issued, text: bytes) -> Callable[[object], None]:
    return listener(_serving(ca), ca, more=text)
