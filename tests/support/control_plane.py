"""A control plane in memory: istiod and spire-server that really shake hands, and the objects that speak of them."""

import base64
import contextlib
import socket
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from meshpki.cluster.manifest import Object
from tests.support import certificates as made
from tests.support.cluster import config_map
from tests.support.mesh import Mesh, held, mesh, pin, pod

CONTROLLER = "system:serviceaccount:cert-manager:cert-manager"
SPIRE = "system:serviceaccount:spire-server:spire-server"
ALIAS = {"name": "meshpki-root", "kind": "ClusterIssuer", "group": "cert-manager.io"}
SELF_SIGNED = {"name": "meshpki-selfsigned", "kind": "Issuer"}
SERVER = made.SVID.but(uris=(f"spiffe://{made.TRUST_DOMAIN}/spire/server",))


def request(
    name: str,
    *chain: made.Issued,
    namespace: str = "istio-system",
    certificate: str = "cacerts",
    revision: int = 1,
    username: str = CONTROLLER,
    issuer: Object = ALIAS,
) -> Object:
    """A CertificateRequest for a CA; without a chain it is not answered yet."""
    notes = {"cert-manager.io/certificate-name": certificate, "cert-manager.io/certificate-revision": str(revision)}
    status = {"certificate": encoded(made.pem(*chain))} if chain else {}
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {"name": name, "namespace": namespace, "annotations": notes if certificate else {}},
        "spec": {"isCA": True, "issuerRef": issuer, "username": username},
        "status": status,
    }


def root_request(root: made.Issued, generation: int = 1) -> Object:
    """The request by which a root was issued."""
    name = f"meshpki-root-g{generation}"
    return request(f"{name}-1", root, namespace="cert-manager", certificate=name, issuer=SELF_SIGNED)


def webhook(ca_bundle: bytes, *, name: str = "istio-sidecar-injector", labels: Object | None = None) -> Object:
    """One of Istio's webhook configurations, with two hooks."""
    service = {"name": "istiod", "namespace": "istio-system", "path": "/inject", "port": 443}
    hooks = [
        {"name": f"{one}.istio.io", "clientConfig": {"caBundle": encoded(ca_bundle), "service": service}}
        for one in ("namespace", "object")
    ]
    kind = "MutatingWebhookConfiguration" if "injector" in name else "ValidatingWebhookConfiguration"
    metadata = {"name": name, "labels": {"app": "istiod", "istio.io/rev": "default"} if labels is None else labels}
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "webhooks": hooks}


def replica(workload: str, number: int, *, leaving: bool = False) -> Object:
    """A pod of istiod or spire-server."""
    namespace = "istio-system" if workload == "istiod" else "spire-server"
    metadata: Object = {"name": f"{workload}-{number}", "namespace": namespace, "labels": {"app": workload}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": "Running"}}


def workload(kind: str, name: str) -> Object:
    """The Deployment of istiod, or the StatefulSet of spire-server."""
    namespace = "istio-system" if name == "istiod" else "spire-server"
    spec = {"selector": {"matchLabels": {"app": name}}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@dataclass
class ControlPlane:
    """What a healthy control plane consists of; a test changes a part and asks for the cluster of it."""

    root: made.Issued = field(default_factory=made.mesh_root)
    pinned: tuple[made.Issued, ...] = ()
    cacerts: made.Issued | None = None
    istiods: Sequence[made.Issued | None] = (None,)
    serving: made.Shape = made.ISTIOD_SERVING
    spire_ca: made.Issued | None = None
    bundle: bytes | None = None
    requests: Sequence[Object] | None = None
    others: Sequence[Object] = ()

    def cluster(self) -> Mesh:
        """The cluster in memory, with one pod of the mesh."""
        return self.around(pod(), reviews_v1_5d9_x=held())

    def around(self, *objects: Object, **envoys: bytes) -> Mesh:
        """The control plane with these objects, and the answers of their Envoys, as in `mesh.mesh`."""
        cacerts = self.cacerts or self.root.issue(made.CACERTS)
        pinned, spire_ca = self.pinned or (self.root,), self.spire_ca or made.mesh_spire_ca()
        bundle = made.pem(*pinned) if self.bundle is None else self.bundle
        listed = [root_request(pinned[0]), request("cacerts-1", cacerts)] if self.requests is None else self.requests
        cluster = mesh(
            pin(*pinned), *objects, *listed, *self.others,
            workload("Deployment", "istiod"), workload("StatefulSet", "spire-server"), replica("spire-server", 0),
            *(replica("istiod", number) for number in range(len(self.istiods))),
            webhook(bundle), webhook(bundle, name="istio-validator-istio-system"),
            config_map("spire-bundle", "spire-system", **{"bundle.crt": bundle.decode(errors="replace")}),
            *(
                config_map("istio-ca-root-cert", namespace, **{"root-cert.pem": bundle.decode(errors="replace")})
                for namespace in ("istio-system", "bookinfo")
            ),
            **envoys,
        )  # fmt: skip
        for number, signer in enumerate(self.istiods):
            ca = signer or cacerts
            for port in (15012, 15017):
                cluster.listeners[f"istiod-{number}", port] = listener(ca.issue(self.serving), ca)
        cluster.listeners["spire-server-0", 8081] = listener(spire_ca.issue(SERVER), spire_ca)
        cluster.server_date = made.AT
        return cluster


def listener(*chain: made.Issued, more: bytes = b"") -> partial[None]:
    """A TLS server that presents a chain, leaf first, and whatever PEM it sends besides."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(made.pem(*chain) + more + chain[0].key_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return partial(_serve, context)


def encoded(pem: bytes) -> str:
    """Base64, as the API writes bytes."""
    return base64.b64encode(pem).decode()


def _serve(context: ssl.SSLContext, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)
