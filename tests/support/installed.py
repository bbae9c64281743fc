"""A cluster in memory as `up` leaves it: every manifest of the steps, and what the parts of the mesh make besides."""

from dataclasses import replace

from meshpki.cluster.manifest import MANAGED_BY, Object, Ref, owned, ref_of
from meshpki.components.approval import approval
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.components.istioctl import RECORD
from meshpki.components.istiod_ca import istiod_ca
from meshpki.components.rogue_request import rogue_ref
from meshpki.components.root_ca import pin_manifest, root_ca
from meshpki.components.spire import spire
from meshpki.components.workloads import workloads
from meshpki.install import wish_manifest
from meshpki.settings import Approval, defaults
from tests.support.certificates import Issued
from tests.support.cluster import InMemoryCluster, config_map, namespace

ROOT = "meshpki-root-g1"
__all__ = ["ROOT", "installed"]


def header(
    api_version: str, kind: str, name: str, space: str = "", manager: str = "kubectl", **metadata: object
) -> Object:
    """An object that a manager made, with nothing but its name."""
    entry = {"manager": manager, "operation": "Update"}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": space, "managedFields": [entry], **metadata},
    }


def crd(name: str) -> Object:
    return header("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, manager="meshpki")


def controller(one: Object) -> list[Object]:
    """The owner references of what a live object controls."""
    ref = ref_of(one)
    return [
        {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "name": ref.name,
            "uid": one["metadata"]["uid"],
            "controller": True,
        }
    ]


def pod(
    name: str, space: str, owner: Object | None, *, csi: bool = False, sidecar: bool = False, **metadata: object
) -> Object:
    """A pod that runs, of a controller or of its own."""
    volumes = [{"name": "socket", "csi": {"driver": "csi.spiffe.io", "readOnly": True}}] if csi else []
    owners = {"ownerReferences": controller(owner)} if owner else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, **owners, **metadata},
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "app"}, *([{"name": "istio-proxy"}] if sidecar else [])],
            "volumes": volumes,
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def installed(root: Issued | None = None) -> InMemoryCluster:
    """The whole mesh; with the pin where a root is given. A foreign ConfigMap lies in `default`."""
    cluster, settings = InMemoryCluster(), defaults()
    cluster.put(namespace("kube-system"), namespace("default"), header("v1", "ConfigMap", "theirs", "default"))
    crds = {
        "cert-manager": ["certificates.cert-manager.io"],
        "spire": ["clusterspiffeids.spire.spiffe.io"],
    }
    cluster.put(*(owned(crd(name), step) for step, names in crds.items() for name in names))
    cluster.put(owned(namespace("cert-manager"), "cert-manager"))
    cluster.put(owned(header("apps/v1", "Deployment", "cert-manager", "cert-manager", "meshpki"), "cert-manager"))
    for step in (root_ca(settings, 1), istiod_ca(settings), spire(settings, ()), workloads(settings)):
        cluster.put(*(owned(one, step.name) for one in step.objects))
    cluster.put(owned(wish_manifest(settings), "settings"))
    cluster.put(owned(config_map(RECORD.name, RECORD.namespace), "istio"))
    if root:
        cluster.put(owned(pin_manifest(1, root.certificate), "root-ca"))
    cluster.put(*_made_besides(cluster))
    return cluster


def policed(root: Issued | None = None) -> InMemoryCluster:
    """The same with approver-policy, and what that makes by itself."""
    cluster, settings = installed(root), replace(defaults(), approval=Approval(policy=True))
    cluster.put(owned(crd("certificaterequestpolicies.policy.cert-manager.io"), "approval"))
    cluster.put(*(owned(one, "approval") for one in approval(settings, ()).objects))
    rogue = rogue_ref("cert-manager")
    cluster.put(
        owned(header(rogue.api_version, rogue.kind, rogue.name, rogue.namespace, "meshpki"), "approval"),
        header("v1", "Secret", "cert-manager-approver-policy-tls", "cert-manager", "cmd"),
        header("coordination.k8s.io/v1", "Lease", "policy.cert-manager.io", "cert-manager", "cmd"),
    )
    return cluster


def _made_besides(cluster: InMemoryCluster) -> list[Object]:
    """What istioctl, cert-manager, istiod and the controllers made."""
    certificate = cluster.objects[Ref("cert-manager.io/v1", "Certificate", "cert-manager", ROOT)]
    istiod = {
        **header("apps/v1", "Deployment", "istiod", "istio-system", "istio-operator", labels={**ISTIO, "app": "istiod"})
    }
    istio_crd = {**crd("gateways.networking.istio.io")}
    istio_crd["metadata"] = {**istio_crd["metadata"], "labels": ISTIO}
    return [
        istiod,
        istio_crd,
        header("v1", "Secret", ROOT, "cert-manager", "cert-manager-certificates-issuing"),
        header("v1", "Secret", "cert-manager-webhook-ca", "cert-manager", "webhook"),
        header("v1", "Secret", "cacerts", "istio-system", "cert-manager-certificates-issuing"),
        header(
            "cert-manager.io/v1",
            "CertificateRequest",
            f"{ROOT}-1",
            "cert-manager",
            "cert-manager-certificates-request-manager",
            ownerReferences=controller(certificate),
        ),
        header("v1", "PersistentVolumeClaim", "data-spire-server-0", "spire-server", "kube-controller-manager"),
        header("v1", "ConfigMap", "istio-ca-root-cert", "default", "pilot-discovery"),
        header("v1", "ConfigMap", "istio-ca-root-cert", "bookinfo", "pilot-discovery"),
        header("v1", "ConfigMap", "istio-ca-crl", "default", "pilot-discovery"),
        header("v1", "ConfigMap", "kube-root-ca.crt", "cert-manager", "kube-controller-manager"),
        header("coordination.k8s.io/v1", "Lease", "cert-manager-controller", "kube-system", "controller"),
        header("coordination.k8s.io/v1", "Lease", "kube-scheduler", "kube-system", "kube-scheduler"),
    ]


def ours(cluster: InMemoryCluster) -> set[Ref]:
    """What bears our labels."""
    return {
        ref
        for ref, one in cluster.objects.items()
        if MANAGED_BY.items() <= (one["metadata"].get("labels") or {}).items()
    }
