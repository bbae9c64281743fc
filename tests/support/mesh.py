"""A small mesh in memory: pods as the API server shows them, and Envoys that answer on their admin port."""

import base64
import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from meshpki.cluster.client import ClusterError
from meshpki.cluster.envoy import ADMIN_PORT
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.verify.pods import IDENTITY_LABEL, PROXY
from tests.support import certificates as made
from tests.support.certificates import TRUST_DOMAIN
from tests.support.cluster import InMemoryCluster

NODE = "node-1"


def dump(chain: bytes, bundles: Mapping[str, bytes]) -> bytes:
    """What Envoy 1.37 answers to /config_dump?mask=dynamic_active_secrets with SPIRE's secrets in it."""
    domains = [{"name": name, "trust_bundle": {"inline_bytes": _encoded(pem)}} for name, pem in bundles.items()]
    spiffe = {"name": "envoy.tls.cert_validator.spiffe", "typed_config": {"trust_domains": domains}}
    key = {"inline_bytes": _encoded(b"[redacted]")}
    active = [
        _active("ROOTCA", {"validation_context": {"custom_validator_config": spiffe}}),
        _active(
            "default", {"tls_certificate": {"certificate_chain": {"inline_bytes": _encoded(chain)}, "private_key": key}}
        ),
    ]
    return json.dumps({"configs": [{}, {"dynamic_active_secrets": active if chain else active[:1]}]}).encode()


def _active(name: str, secret: Object) -> Object:
    return {"name": name, "version_info": "1", "secret": {"name": name, **secret}}


def _encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def pod(
    name: str = "reviews-v1-5d9-x", *, namespace: str = "bookinfo", account: str = "bookinfo-reviews", **status: object
) -> Object:
    """A pod of a Deployment with a native sidecar; `status` replaces parts of a ready pod's status."""
    deployment, suffix, _ = name.rsplit("-", 2)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{deployment}-{suffix}", "controller": True}
    running = [{"name": PROXY, "ready": True, "state": {"running": {}}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": {"app": deployment, "pod-template-hash": suffix, IDENTITY_LABEL: "true"},
            "ownerReferences": [owner],
        },
        "spec": {
            "serviceAccountName": account,
            "nodeName": NODE,
            "initContainers": [{"name": PROXY}],
            "containers": [{"name": "app"}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "initContainerStatuses": running,
            **status,
        },
    }


def unready(*statuses: Object) -> dict[str, object]:
    """The parts of a status that say that a pod is not ready."""
    return {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}],
        "initContainerStatuses": list(statuses),
    }


def agent(*, ready: bool = True, node: str = NODE) -> Object:
    """The SPIRE agent's pod of a node."""
    condition = {"type": "Ready", "status": str(ready)}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"spire-agent-{node}", "namespace": "spire-system", "uid": f"uid-agent-{node}"},
        "spec": {"nodeName": node, "containers": [{"name": "spire-agent"}]},
        "status": {
            "phase": "Running",
            "conditions": [condition],
            "containerStatuses": [
                {"name": "spire-agent", "ready": ready, "restartCount": 1, "state": {} if ready else waiting}
            ],
        },
    }


def pin(*roots: made.Issued) -> Object:
    """The ConfigMap in which the root-ca step pins the root."""
    data = {"root.pem": made.pem(*roots).decode(), "root.sha256": roots[0].certificate.sha256, "generation": "1"}
    metadata = {"name": "meshpki-trust", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def held(account: str = "bookinfo-reviews", *, root: made.Issued | None = None) -> bytes:
    """The dump of an Envoy that SPIRE serves well."""
    anchor = root or made.mesh_root()
    ca = made.mesh_spire_ca() if root is None else root.issue(made.SPIRE_CA)
    leaf = ca.issue(
        made.SVID.but(
            uris=(f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/{account}",), not_after=made.AT + timedelta(minutes=41)
        )
    )
    return dump(made.pem(leaf, ca), {TRUST_DOMAIN: anchor.pem})


@dataclass
class Mesh(InMemoryCluster):
    """The cluster in memory, with kinds that may not be listed, `hidden` ones that may not be got by name, and
    resources that one has no right to.
    """

    denied: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    def get(self, ref: Ref) -> Object | None:
        if ref.kind in self.hidden:
            raise ClusterError("MPK-102", f"get refused: {ref.kind}", status=403)
        return super().get(ref)

    def list(self, query: Query) -> list[Object]:
        if query.kind in self.denied:
            raise ClusterError("MPK-102", f"list refused: {query.kind}", status=403)
        return super().list(query)

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        return super().allowed(verb, group, resource, namespace, name) and resource not in self.denied


def mesh(*objects: Object, **envoys: bytes) -> Mesh:
    """A cluster of objects; `envoys` are the answers of pods' admin ports, by pod name with `_` for `-`."""
    cluster = Mesh()
    cluster.put(*objects)
    for name, answer in envoys.items():
        cluster.listeners[name.replace("_", "-"), ADMIN_PORT] = answering(answer)
    return cluster


def answering(body: bytes) -> partial[None]:
    """A listener that answers whatever it is asked with this body, or hangs up where it is empty."""
    return paged(lambda _asked: (200, body))


def paged(page: Callable[[bytes], tuple[int, bytes]]) -> partial[None]:
    """A listener whose status and body depend on what it is asked."""
    return partial(_serve, page)


def _serve(page: Callable[[bytes], tuple[int, bytes]], connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        status, body = page(connection.recv(65536))
        if body:
            connection.sendall(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
