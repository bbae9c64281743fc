"""Faults as a mesh really meets them: pods that hold what they should not, and how they came by it.

Keys are made by a test, or by SPIRE for it, and lie in the namespace `staged` alone.
"""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from cryptography.x509.oid import NameOID

from meshpki.lab import versions
from tests.e2e.conftest import Mesh
from tests.support.certificates import SVID, TRUST_DOMAIN, Issued, Shape

NAMESPACE = "staged"
MANIFESTS = Path(__file__).parent / "staged"
OWN_ID = f"spiffe://{TRUST_DOMAIN}/ns/{NAMESPACE}/sa/default"
MANAGED = "spiffe.io/spire-managed-identity"

Object = dict[str, Any]

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
_LITTLE = {"requests": {"cpu": "1m", "memory": "8Mi"}}
_SPIRE_SERVER = (
    "-n",
    "spire-server",
    "exec",
    "spire-server-0",
    "-c",
    "spire-server",
    "--",
    "/opt/spire/bin/spire-server",
)


@dataclass(frozen=True)
class Held:
    """What an Envoy is given, as PEM: the chain it presents with its key, and the bundle it judges its peers by."""

    chain: str
    key: str
    bundle: str


def apply(mesh: Mesh, *objects: Object) -> None:
    mesh.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def spire_server(mesh: Mesh, *argv: str) -> Any:
    """The JSON answer of spire-server's own command line."""
    return json.loads(mesh.kubectl(*_SPIRE_SERVER, *argv, "-output", "json"))


def pinned_root(mesh: Mesh) -> str:
    return str(mesh.json("-n", "kube-system", "get", "configmap", "meshpki-trust")["data"]["root.pem"])


def asked_for_ca(name: str, uri: str, namespace: str = NAMESPACE) -> tuple[Object, ec.EllipticCurvePrivateKey]:
    """A CertificateRequest for a CA below the mesh's root, in the form of SPIRE's, and the key, which is ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPIFFE")])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    wish = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    spec = {
        "request": base64.b64encode(wish.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)).decode(),
        "isCA": True,
        "usages": ["cert sign", "crl sign"],
        "duration": "24h",
        "issuerRef": {"name": "meshpki-root", "kind": "ClusterIssuer", "group": "cert-manager.io"},
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest", "metadata": metadata, "spec": spec}, key


def obtained_ca(mesh: Mesh, name: str, trust_domain: str = TRUST_DOMAIN) -> Issued:
    """A CA below the mesh's root, in the form of SPIRE's, that cert-manager gave to whoever asked; the key is ours."""
    request, key = asked_for_ca(name, f"spiffe://{trust_domain}")
    apply(mesh, request)
    mesh.kubectl("-n", NAMESPACE, "wait", f"certificaterequest/{name}", "--for=condition=Ready", "--timeout=30s")
    answered = mesh.json("-n", NAMESPACE, "get", "certificaterequest", name)["status"]["certificate"]
    return Issued(x509.load_pem_x509_certificate(base64.b64decode(answered)), key)


def issued_by(ca: Issued, spiffe_id: str, bundle: str) -> Held:
    """A workload's identity as SPIRE would write it, signed by another CA."""
    now = datetime.now(UTC).replace(microsecond=0)
    shape: Shape = SVID.but(
        uris=(spiffe_id,), not_before=now - timedelta(seconds=10), not_after=now + timedelta(hours=1)
    )
    leaf = ca.issue(shape)
    return Held((leaf.pem + ca.pem).decode(), leaf.key_pem.decode(), bundle)


def minted(mesh: Mesh, spiffe_id: str, bundle: str) -> Held:
    """An identity that SPIRE itself issued, past its agents."""
    svid = spire_server(mesh, "x509", "mint", "-spiffeID", spiffe_id)
    chain = (x509.load_der_x509_certificate(base64.b64decode(der)) for der in svid["x509_svid"])
    key = load_der_private_key(base64.b64decode(svid["private_key"]), None)
    return Held(
        b"".join(one.public_bytes(Encoding.PEM) for one in chain).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        bundle,
    )


def idle_pod(
    name: str,
    templates: str = "",
    *,
    container: str = "app",
    labels: dict[str, str] | None = None,
    command: tuple[str, ...] = ("sleep", "infinity"),
) -> Object:
    """A pod that does nothing; with the names of injection templates it gets a proxy."""
    injected = {"sidecar.istio.io/inject": "true"} if templates else {}
    image = f"docker.io/curlimages/curl:{versions.CURL}"
    return _pod(
        name,
        {"name": container, "image": image, "command": command},
        labels={"app": name, **injected, **(labels or {})},
        annotations={"inject.istio.io/templates": templates} if templates else {},
    )


def envoy_pod(name: str, held: Held) -> tuple[Object, ...]:
    """A pod whose proxy is a real Envoy with the secrets that we choose, and the Secret that it has them from."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": {
            "default.json": _discovered("default", _chain(held)),
            "ROOTCA.json": _discovered("ROOTCA", _bundle(held)),
        },
    }
    proxy = {
        "name": "istio-proxy",
        "image": f"docker.io/istio/proxyv2:{versions.ISTIO}",
        "command": ["/usr/local/bin/envoy", "-c", "/config/envoy.yaml", "--concurrency", "1", "--log-level", "warn"],
        "volumeMounts": [{"name": "config", "mountPath": "/config"}, {"name": "secrets", "mountPath": "/secrets"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    volumes = [{"name": "config", "configMap": {"name": "envoy"}}, {"name": "secrets", "secret": {"secretName": name}}]
    return secret, _pod(name, proxy, volumes=volumes)


def envoy_config() -> Object:
    """How the Envoys of `envoy_pod` are started."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "envoy", "namespace": NAMESPACE},
        "data": {"envoy.yaml": (MANIFESTS / "envoy.yaml").read_text()},
    }


def stop_agents(mesh: Mesh) -> None:
    _schedule_agents(mesh, {"meshpki.dev/nowhere": "true"})
    mesh.kubectl("-n", "spire-system", "wait", "pod", "-l", "app.kubernetes.io/name=spire-agent", "--for=delete")


def start_agents(mesh: Mesh) -> None:
    _schedule_agents(mesh, None)
    mesh.kubectl("-n", "spire-system", "rollout", "status", "daemonset/spire-agent", "--timeout=90s")


def _schedule_agents(mesh: Mesh, selector: dict[str, str] | None) -> None:
    patch = {"spec": {"template": {"spec": {"nodeSelector": selector}}}}
    mesh.kubectl("-n", "spire-system", "patch", "daemonset", "spire-agent", "-p", json.dumps(patch))


def _pod(
    name: str,
    container: Object,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    volumes: list[Object] | None = None,
) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels or {}, "annotations": annotations or {}}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"imagePullPolicy": "IfNotPresent", "resources": _LITTLE, **container}],
        "volumes": volumes or [],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _discovered(name: str, secret: Object) -> str:
    """A secret as Envoy's discovery reads it from a file."""
    return json.dumps({"version_info": "0", "resources": [{"@type": f"{_TLS}Secret", "name": name, **secret}]})


def _chain(held: Held) -> Object:
    return {
        "tls_certificate": {
            "certificate_chain": {"inline_string": held.chain},
            "private_key": {"inline_string": held.key},
        }
    }


def _bundle(held: Held) -> Object:
    """The validator that SPIRE's agent sends."""
    domain = {"name": TRUST_DOMAIN, "trust_bundle": {"inline_string": held.bundle}}
    config = {"@type": f"{_TLS}SPIFFECertValidatorConfig", "trust_domains": [domain]}
    return {
        "validation_context": {
            "custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": config}
        }
    }
