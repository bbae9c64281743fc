"""A mesh in memory whose CA can be rotated: cert-manager, kubelet, istiods and a new pod's Envoy react as real ones."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from meshpki.cluster.envoy import ADMIN_PORT
from meshpki.cluster.manifest import Object, ref_of
from meshpki.install import wish_manifest
from meshpki.rotate.adoption import HURRY, METRIC, METRICS_PORT
from meshpki.rotate.leaf import NAMESPACE
from meshpki.settings import Settings, defaults
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster, namespace
from tests.support.control_plane import ControlPlane, listener, workload
from tests.support.istiod_ca import REF, CertManager, alias, certificate, root_certificate
from tests.support.mesh import Mesh, answering, dump

# gates judge at the moment of now
NOW = datetime.now(UTC).replace(microsecond=0)
SOON = {"not_before": NOW - made.HOUR, "not_after": NOW + made.A_RUN}
SERVING = made.ISTIOD_SERVING.but(**SOON)
LEAF = made.ISTIOD_LEAF.but(**SOON, uris=("spiffe://example.org/ns/meshpki-rotate/sa/default",))
ROOT = made.root(made.ROOT.but(not_before=NOW - made.HOUR, not_after=NOW + timedelta(days=900)))
CACERTS = made.CACERTS.but(not_before=NOW, not_after=NOW + timedelta(days=30))


@dataclass
class Rotating:
    """The mesh, and what has happened in it: the CAs that were issued, oldest first."""

    issued: list[made.Issued] = field(default_factory=lambda: [ROOT.issue(CACERTS)])
    replicas: int = 2
    denied: str = ""
    leaf_of: int = -1
    settings: Settings = field(default_factory=defaults)

    def cluster(self) -> Mesh:
        """The cluster in memory, before anything is rotated."""
        plane = ControlPlane(ROOT, cacerts=self.issued[0], serving=SERVING, istiods=(None,) * self.replicas)
        plane.others = (certificate(), alias(), root_certificate())
        there = plane.cluster()
        names = ("kube-system", "istio-system", "cert-manager", "bookinfo")
        there.put(*map(namespace, names), rolled_out(self.replicas), wish_manifest(self.settings))
        self.follow(there)
        there.reactions += [CertManager(self.issue, self.denied), self.sync, self.start]
        return there

    def issue(self) -> made.Issued:
        """cert-manager signs another one."""
        self.issued.append(ROOT.issue(CACERTS))
        return self.issued[-1]

    def follow(self, there: InMemoryCluster) -> None:
        """Every istiod serves, logs and counts with the newest CA."""
        ca = self.issued[-1]
        at = f"{NOW:%Y-%m-%dT%H:%M:%S}.5Z"
        line = f'{at} {at} info x509 cert - Issuer: "x", SN: {ca.certificate.serial:x}, NotBefore\n'
        there.answers["logs discovery"] = there.answers.get("logs discovery", "") + line
        for number in range(self.replicas):
            metric = f"{METRIC} {ca.certificate.not_after.timestamp():.9e}\n"
            there.listeners[f"istiod-{number}", METRICS_PORT] = answering(metric.encode())
            for port in (15012, 15017):
                there.listeners[f"istiod-{number}", port] = listener(ca.issue(SERVING), ca)

    def sync(self, there: InMemoryCluster, stored: Object) -> None:
        """The kubelet brings the Secret to a pod that was changed."""
        if HURRY in (stored["metadata"].get("annotations") or {}):
            self.follow(there)

    def start(self, there: InMemoryCluster, stored: Object) -> None:
        """A pod in the namespace of the rotation starts, and istiod signs its leaf."""
        ref = ref_of(stored)
        if (ref.kind, ref.namespace) == ("Pod", NAMESPACE.name):
            ca = self.issued[self.leaf_of]
            there.listeners[ref.name, ADMIN_PORT] = answering(dump(made.pem(ca.issue(LEAF), ca), {"": ROOT.pem}))

    def revision(self, there: InMemoryCluster) -> int:
        """How often the CA was issued."""
        return int(there.objects[REF]["status"]["revision"])


def rolled_out(count: int) -> Object:
    """The Deployment of istiod with all of its pods."""
    deployment, counts = workload("Deployment", "istiod"), ("updatedReplicas", "readyReplicas", "availableReplicas")
    status = {"observedGeneration": 1, "replicas": count, **dict.fromkeys(counts, count)}
    return {**deployment, "spec": {**deployment["spec"], "replicas": count}, "status": status}
