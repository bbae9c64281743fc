"""A whole mesh in memory that can be rotated: cert-manager, SPIRE, istiod, kubelets, and Envoys, in hours of no time.

Its parts tell which observation of the real ones each of their rules comes from: `issuing`, `spire`, `istiods`. What
must never be is asked after every change of anything, whoever made it (`violations`).
"""

import base64
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from meshpki.cluster.client import BACKGROUND, Deletion
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.components.istiod_ca import istiod_ca
from meshpki.components.root_ca import pin_manifest, root_manifests
from meshpki.components.trust import ALIAS
from meshpki.settings import defaults
from tests.support import certificates as made
from tests.support.cluster import namespace
from tests.support.control_plane import workload
from tests.support.hours import Hours
from tests.support.issuing import CertManager
from tests.support.istiods import BUNDLE, CACERTS, NAMESPACES, Istiods, anchors
from tests.support.mesh import Mesh
from tests.support.spire import AGENT_BACK, Spire

SETTINGS = defaults()
NODES = ("node-1", "node-2")
ACCOUNTS = {"client": "node-1", "reviews": "node-1", "ratings": "node-2"}


@dataclass
class Rotating(Mesh):
    """The mesh. `broken` is everything that was ever found by `violations`, with the moment's number of writes."""

    hours: Hours = field(default_factory=Hours)
    broken: list[str] = field(default_factory=list)
    agents: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @cached_property
    def cert_manager(self) -> CertManager:
        return CertManager(self, self.hours)

    @cached_property
    def spire(self) -> Spire:
        return Spire(self, self.hours, lambda: self.cert_manager.sign(made.SPIRE_CA))

    @cached_property
    def istiods(self) -> Istiods:
        return Istiods(self, self.hours, lambda: self.cert_manager.keys[CACERTS])

    def born(self, name: str, node: str = NODES[0], account: str = "client") -> None:
        """A new pod of the mesh."""
        self.istiods.born(name)
        self.spire.born(name, node, account)

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        with self.lock:
            gone = self.objects.get(ref)
            found = super().delete(ref, how)
            if found and gone and ref.name.startswith("spire-agent-"):
                node = gone["spec"]["nodeName"]
                self.hours.later(AGENT_BACK, partial(self.spire.restart_agent, node, next(self.agents)))
            if found and gone and ref.name in self.spire.servers:
                self.put(_again(gone))
                self.spire.restart(ref.name)
            return found

    def look_round(self) -> None:
        """Note what must not be."""
        self.broken += self.violations()

    def violations(self) -> list[str]:
        """What must never be, as it is at this moment; each line names who would refuse whom."""
        pods, replicas, servers = self.spire.workloads.values(), self.istiods.replicas.values(), self.spire.servers
        return [
            *(
                f"{verifier.name} refuses {prover.name}"
                for verifier in pods
                for prover in pods
                if prover.root not in verifier.anchors
            ),
            *(
                f"{keeper} refuses {one.name}"
                for keeper, held in self.keepers().items()
                for one in replicas
                if one.ca.chain[-1].certificate.sha256 not in held
            ),
            *(
                f"{keeper} refuses {one.name}"
                for keeper, held in self.bootstrap().items()
                for one in servers.values()
                if one.serving.chain[-1].certificate.sha256 not in held
            ),
            *(f"a CA was minted from the tainted {root}" for root in self.spire.from_tainted),
        ]

    def keepers(self) -> Mapping[str, frozenset[str]]:
        """Everything by which an istiod is verified: what is published, what is mounted, what the API server has."""
        published = {f"{BUNDLE} of {one}": self._config(one, BUNDLE, "root-cert.pem") for one in NAMESPACES}
        mounted = {f"the mount of {pod}": anchors(text) for pod, text in self.istiods.mounted.items()}
        hooks = {
            one["metadata"]["name"]: anchors(_decoded(one["webhooks"][0]["clientConfig"]["caBundle"]))
            for ref, one in self.objects.items()
            if ref.kind.endswith("WebhookConfiguration")
        }
        return {**published, **mounted, **hooks}

    def bootstrap(self) -> Mapping[str, frozenset[str]]:
        """Everything by which a spire-server is verified."""
        known = {node: frozenset(one.certificate.sha256 for one in roots) for node, roots in self.spire.known.items()}
        return {"spire-bundle": self._config("spire-system", "spire-bundle", "bundle.crt"), **known}

    def _config(self, where: str, name: str, key: str) -> frozenset[str]:
        return anchors(self.objects[Ref("v1", "ConfigMap", where, name)]["data"][key].encode())


def rotating(*, istiods: Sequence[float] = (0.0,), servers: int = 1, mesh: Rotating | None = None) -> Rotating:
    """A mesh as `meshpki up` leaves it; `istiods` are the lags of its replicas, in seconds."""
    mesh = mesh or Rotating()
    mesh.put(*map(namespace, ("kube-system", "cert-manager", "spire-server", "spire-system", *NAMESPACES)))
    mesh.reactions.append(mesh.cert_manager.react)
    for manifest in (*root_manifests(SETTINGS, 1), *istiod_ca(SETTINGS).manifests):
        mesh.apply(owned(manifest, "tests"))
    mesh.hours.pass_by(2)
    root = mesh.cert_manager.keys[Ref("v1", "Secret", "cert-manager", f"{ALIAS}-g1")]
    mesh.put(
        pin_manifest(1, root.certificate), workload("Deployment", "istiod"), workload("StatefulSet", "spire-server")
    )
    mesh.put(_agents())
    mesh.shell = mesh.spire.command
    mesh.spire.begin(servers, NODES)
    mesh.istiods.begin(istiods)
    for account, node in ACCOUNTS.items():
        mesh.born(f"{account}-5d9-x", node, account)
    mesh.reactions.append(mesh.istiods.react)
    mesh.spire.changed = mesh.istiods.changed = mesh.look_round
    mesh.requests.clear()
    return mesh


def _agents() -> Object:
    metadata = {"name": "spire-agent", "namespace": "spire-system"}
    spec = {"selector": {"matchLabels": {"app": "spire-agent"}}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}


def _again(pod: Object) -> Object:
    """What a StatefulSet makes of a pod that was deleted."""
    metadata = {key: value for key, value in pod["metadata"].items() if key not in {"uid", "resourceVersion"}}
    return {**pod, "metadata": metadata, "status": {"phase": "Running", "containerStatuses": [{"ready": True}]}}


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)
