"""A small mesh in memory: pods as the API server shows them, and Envoys that answer on their admin port."""

import base64
import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Query, Ref, ref_of
from meshpki.verify.pods import IDENTITY_LABEL, PROXY
from tests.support import certificates as made
from tests.support.certificates import TRUST_DOMAIN

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
class Mesh:
    """The reading half that verify uses: `envoys` by pod name, an answer or the error that a port-forward meets."""

    objects: list[Object] = field(default_factory=list)
    envoys: dict[str, bytes | ClusterError] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    def get(self, ref: Ref) -> Object | None:
        self.asked.append(f"get {ref.kind}")
        return next((one for one in self.objects if ref_of(one) == ref), None)

    def list(self, query: Query) -> list[Object]:
        self.asked.append(f"list {query.kind}")
        if query.kind in self.denied:
            raise ClusterError("MPK-102", f"list refused: {query.kind}", status=403)
        return [one for one in self.objects if _matches(one, query)]

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
        self.asked.append(f"allowed {verb} {group} {resource} {namespace}")
        return resource not in self.denied

    @contextlib.contextmanager
    def forward(self, pod: Ref, port: int) -> Iterator[socket.socket]:
        self.asked.append(f"forward {port}")
        answer = self.envoys[pod.name]
        if isinstance(answer, ClusterError):
            raise answer
        client, server = socket.socketpair()
        thread = threading.Thread(target=_serve, args=(server, answer))
        thread.start()
        with client:
            client.settimeout(10)
            yield client
        thread.join(5)


def _matches(one: Object, query: Query) -> bool:
    metadata = one["metadata"]
    labels = dict(part.split("=") for part in query.labels.split(",") if part)
    return (
        one["kind"] == query.kind
        and query.namespace in ("", metadata["namespace"])
        and labels.items() <= metadata.get("labels", {}).items()
        and query.fields in ("", f"involvedObject.uid={one.get('involvedObject', {}).get('uid')}")
    )


def _serve(connection: socket.socket, body: bytes) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        if body:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
