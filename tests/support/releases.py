"""Release files small enough to read, and an istioctl that is a script: all that a plan and render need."""

import hashlib
import io
import tarfile
from pathlib import Path

import yaml

from meshpki.artifacts import Releases, wanted
from meshpki.cluster.manifest import Object
from meshpki.settings import defaults
from tests.support.cluster import namespace


def crd(group: str, kind: str) -> Object:
    """A CRD that takes anything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [{"name": name, "schema": {"openAPIV3Schema": schema}} for name in ("v1", "v1alpha1")]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.lower()}s.{group}"},
        "spec": {"group": group, "names": {"kind": kind, "plural": f"{kind.lower()}s"}, "versions": versions},
    }


CERT_MANAGER: list[Object] = [
    namespace("cert-manager"),
    *(crd("cert-manager.io", kind) for kind in ("Certificate", "Issuer", "ClusterIssuer")),
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "cert-manager:controller"},
        "roleRef": {"kind": "ClusterRole", "name": "cert-manager:controller"},
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "cert-manager:controller"},
    },
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "cert-manager-webhook"},
        "webhooks": [{"name": "webhook.cert-manager.io"}],
    },
]


def deployment(name: str, component: str = "") -> Object:
    """A Deployment in Istio's namespace, of a component where the chart says so."""
    labels = {"operator.istio.io/component": component} if component else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "istio-system", "labels": labels},
        "spec": {"template": {"spec": {"containers": [{"name": name, "image": "x:1e3"}]}}},
    }


ISTIO: list[Object] = [
    *(crd("networking.istio.io", kind) for kind in ("Gateway", "VirtualService")),
    crd("security.istio.io", "PeerAuthentication"),
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "istio-validator-istio-system"},
        "webhooks": [{"name": "rev.validation.istio.io", "failurePolicy": "Ignore"}],
    },
    deployment("istio-ingressgateway", "IngressGateways"),
    deployment("istiod"),
]


def releases(folder: Path) -> Releases:
    """The files in a folder, under the names that upstream gives them no matter which version."""
    release, spire = folder / "cert-manager.yaml", folder / "spire.yaml"
    release.write_text(yaml.safe_dump_all(CERT_MANAGER), encoding="utf-8")
    spire.write_text(yaml.safe_dump(crd("spire.spiffe.io", "ClusterSPIFFEID")), encoding="utf-8")
    return Releases(release, istioctl(folder / "istioctl.tar.gz"), (spire,))


def settings_file(folder: Path) -> Path:
    """Settings whose release files lie in the folder beside them, pinned by their digests."""
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    made = releases(artifacts)
    contents = [made.cert_manager.read_bytes(), made.istioctl.read_bytes(), made.spire_crds[0].read_bytes(), b"", b""]
    named = {one.name: content for one, content in zip(wanted(defaults()), contents, strict=True)}
    for name, content in named.items():
        (artifacts / name).write_bytes(content)
    pins = {name: hashlib.sha256(content).hexdigest() for name, content in named.items()}
    wish = {"artifacts": {"directory": str(artifacts), "pins": pins}}
    path = folder / "mesh.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "meshpki.dev/v1alpha1", "kind": "Mesh", **wish}))
    return path


def istioctl(archive: Path, script: str = "") -> Path:
    """An archive whose `istioctl manifest generate` prints ISTIO, and which can do nothing else."""
    said = script or f"cat <<'END'\n{yaml.safe_dump_all(ISTIO)}\nEND\n"
    content = f'#!/bin/sh\n[ "$1 $2" = "manifest generate" ] || exit 9\n{said}'.encode()
    member = tarfile.TarInfo("istioctl")
    member.size = len(content)
    with tarfile.open(archive, "w:gz") as packed:
        packed.addfile(member, io.BytesIO(content))
    return archive
