"""The writes of a root rotation, each of which does nothing where it was done before. None of them reads a Secret."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref, owned
from meshpki.components import root_ca, spire_authorities
from meshpki.components.rollout import pods_of
from meshpki.components.serving import pod_ref
from meshpki.components.trust import istiod_certificate, pinned, root_certificate
from meshpki.pki.certificate import Certificate
from meshpki.rotate import MANAGER
from meshpki.rotate.facts import Turn
from meshpki.rotate.patience import Patience
from meshpki.settings import Settings
from meshpki.verify.bundles import ISTIO_BUNDLE
from meshpki.verify.pods import mesh_pods
from meshpki.workflow.apply import apply

RETIRED = "meshpki.dev/retired"
# On a pod: the anchors for which its kubelet was hurried. On the Secret `cacerts`: those that we put into it.
MARK = "meshpki.dev/trust-anchors"
_MARK_LENGTH = 16
_READY_WITHIN = timedelta(minutes=2)


def mark(roots: Iterable[Certificate]) -> str:
    """A short name of a set of anchors in their order."""
    listed = ",".join(root.sha256 for root in roots)
    return hashlib.sha256(listed.encode()).hexdigest()[:_MARK_LENGTH]


def anchors_text(roots: Iterable[Certificate]) -> str:
    """The PEM text of istiod's bundle: the same roots in the same order are the same bytes, which istiod compares.

    Source: Istio 1.29, pilot/pkg/bootstrap/istio_ca.go; cert-manager writes each root as Go's encoding/pem does, with
    64 characters a line and one newline at the end, which is the form here.
    """
    return "".join(root.pem.decode() for root in roots)


def hand_over(cluster: Cluster, settings: Settings, roots: Sequence[Certificate]) -> None:
    """Put these anchors into istiod's Secret, a field that cert-manager owns until its next issuance."""
    if anchors_of_secret(cluster, settings) == tuple(root.sha256 for root in roots):
        return
    encoded = base64.b64encode(anchors_text(roots).encode()).decode()
    listed = ",".join(root.sha256 for root in roots)
    patch = {"metadata": {"annotations": {MARK: listed}}, "data": {"ca.crt": encoded}}
    cluster.merge(_cacerts(settings), patch, MANAGER)


def anchors_of_secret(reader: Reader, settings: Settings) -> tuple[str, ...] | None:
    """The anchors that we put into istiod's Secret, None where cert-manager has written it since; metadata alone.

    Whoever wrote `ca.crt` last owns it (Kubernetes, "Server-Side Apply", field management).
    """
    live = reader.metadata(_cacerts(settings))
    if live is None or not _ours(live):
        return None
    listed = live["metadata"].get("annotations", {}).get(MARK, "")
    return tuple(part for part in str(listed).split(",") if part)


def retarget(cluster: Cluster, settings: Settings, generation: int) -> None:
    """Have the alias issuer sign with another generation; nothing is issued anew by that alone."""
    for manifest in root_ca.root_manifests(settings, generation):
        if manifest["kind"] == "ClusterIssuer":
            apply(cluster, owned(manifest, root_ca.STEP))


def issue_root(cluster: Cluster, settings: Settings, generation: int) -> None:
    """Have a generation of the root issued, as `up` would of a mesh under it; the alias stays where it is."""
    for manifest in root_ca.root_manifests(settings, generation):
        if manifest["kind"] != "ClusterIssuer":
            apply(cluster, owned(manifest, root_ca.STEP))


def pin(cluster: Cluster, generation: int, *roots: Certificate) -> None:
    """Pin these roots; the first is the one that the mesh lives under, or moves to."""
    apply(cluster, owned(root_ca.pin_manifest(generation, *roots), root_ca.STEP))


def bundle_mark(reader: Reader, settings: Settings, roots: Iterable[Certificate]) -> str:
    """A short name of a set of anchors as istiod publishes them now: the same set again, after another, is another."""
    published = reader.metadata(Ref("v1", "ConfigMap", settings.namespaces.istio, ISTIO_BUNDLE)) or {"metadata": {}}
    return f"{mark(roots)}-{published['metadata'].get('resourceVersion', '')}"


def proxies(reader: Reader) -> list[Object]:
    """The pods with a proxy, as objects; each mounts Istio's bundle."""
    pods = reader.list(Query("v1", "Pod"))
    known = {pod.ref for pod in mesh_pods(pods) if pod.has_proxy}
    return [pod for pod in pods if pod_ref(pod) in known]


def restart_agent(cluster: Cluster, settings: Settings, node: str, patience: Patience) -> None:
    """Replace the SPIRE agent of one node; its workloads' Envoys keep what they hold until the new one serves them."""
    _replace(cluster, lambda: agents(cluster, settings, node), f"the SPIRE agent of node {node}", patience)


def restart_server(cluster: Cluster, settings: Settings, name: str, patience: Patience) -> None:
    """Replace one spire-server; it comes back with its CAs, and with a certificate of its own from the active one."""

    def pods() -> list[Object]:
        return [pod for pod in spire_authorities.servers(cluster, settings) if pod["metadata"]["name"] == name]

    _replace(cluster, pods, name, patience)


def _replace(cluster: Cluster, pods: Callable[[], list[Object]], what: str, patience: Patience) -> None:
    old = {pod["metadata"]["uid"]: pod for pod in pods()}
    for pod in old.values():
        cluster.delete(pod_ref(pod))

    def ready() -> bool:
        return any(pod["metadata"]["uid"] not in old and _is_ready(pod) for pod in pods())

    patience.until(ready, _READY_WITHIN, what)


def agents(reader: Reader, settings: Settings, node: str = "") -> list[Object]:
    """The pods of SPIRE's agents, of one node or of all."""
    found = pods_of(reader, spire_authorities.agent_set(settings))
    return [pod for pod in found if not node or pod["spec"].get("nodeName") == node]


def conclude(cluster: Cluster, settings: Settings, turn: Turn) -> None:
    """Note that the mesh has left a generation, so that it is never entered again; then pin the other alone."""
    certificate = root_certificate(settings, turn.leaving.number)
    live = cluster.metadata(certificate)
    if live is None or RETIRED not in (live["metadata"].get("labels") or {}):
        cluster.merge(certificate, {"metadata": {"labels": {RETIRED: "true"}}}, MANAGER)
    pin(cluster, turn.entering.number, turn.entering.root)


def concluded(reader: Reader, turn: Turn) -> bool:
    """Whether the root that was entered is pinned alone."""
    found = pinned(reader)
    return found is not None and found.fingerprints == {turn.entering.root.sha256}


def _cacerts(settings: Settings) -> Ref:
    return Ref("v1", "Secret", istiod_certificate(settings).namespace, "cacerts")


def _ours(secret: Object) -> bool:
    entries = secret["metadata"].get("managedFields") or []
    return any(
        entry.get("manager") == MANAGER and "f:ca.crt" in entry.get("fieldsV1", {}).get("f:data", {})
        for entry in entries
    )


def _is_ready(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return bool(statuses) and all(status.get("ready") for status in statuses)
