"""Which pods the mesh consists of, what each should be, and why one is not well: read from pod objects alone."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.cluster.manifest import Object, Ref
from meshpki.cluster.readiness import condition, holds, living, trouble
from meshpki.components.spire import CSI_DRIVER
from meshpki.verify.injection import wish

PROXY = "istio-proxy"
IDENTITY_LABEL = "spiffe.io/spire-managed-identity"
HASH_LABEL = "pod-template-hash"
AGENT_CONTAINER = "spire-agent"
# From a pod's scheduling until its proxy has its certificate; on a busy node that takes some ten seconds.
_STARTS_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True, order=True)
class Workload:
    """The owner that a user knows a pod by; a ReplicaSet's Deployment stands for it."""

    namespace: str
    kind: str
    name: str


@dataclass(frozen=True)
class MeshPod:
    """One pod of the mesh: whose it is, where it runs, and whether its proxy can be asked.

    `trouble` is why the pod is not ready, empty where it is; `promised` means SPIRE should give it an identity.
    `crashed` says that its proxy ended at least once and is not ready since; `since` is when its node was found (UTC),
    or it was made, where none was found yet.
    """

    ref: Ref
    uid: str
    workload: Workload
    service_account: str
    node: str
    has_proxy: bool
    running: bool
    promised: bool
    trouble: str
    crashed: bool = False
    since: datetime | None = None

    def starting(self, at: datetime) -> bool:
        """Whether it is too young to have come to its certificate, and nothing went wrong yet."""
        young = self.since is not None and abs(at - self.since) < _STARTS_WITHIN
        return young and bool(self.trouble) and not self.crashed


@dataclass(frozen=True)
class Members:
    """The pods that the mesh consists of, and those that were kept out of it by their own label or annotation."""

    mesh: list[MeshPod]
    opted_out: list[MeshPod]


def members(pods: Iterable[Object], injecting: Collection[str]) -> Members:
    """As `mesh_pods`, and besides every living pod that should have got a sidecar, in `injecting` namespaces or not."""
    mesh, opted_out = list[MeshPod](), list[MeshPod]()
    for pod in filter(living, pods):
        wished = wish(pod, injecting)
        if _of_the_mesh(pod) or wished == "in":
            mesh.append(_mesh_pod(pod))
        elif wished == "out":
            opted_out.append(_mesh_pod(pod))
    return Members(sorted(mesh, key=lambda pod: pod.ref), sorted(opted_out, key=lambda pod: pod.ref))


def mesh_pods(pods: Iterable[Object]) -> list[MeshPod]:
    """Every living pod with a proxy, or with the label that promises it an identity; finished pods do not count."""
    return sorted((_mesh_pod(pod) for pod in pods if living(pod) and _of_the_mesh(pod)), key=lambda pod: pod.ref)


def agent_trouble(pods: Iterable[Object], node: str) -> str:
    """Why a node's SPIRE agent serves no identities; empty where one is ready there."""
    agents = [pod for pod in pods if living(pod) and any(c["name"] == AGENT_CONTAINER for c in _containers(pod))]
    here = [pod for pod in agents if pod.get("spec", {}).get("nodeName") == node]
    if not here:
        return f"no SPIRE agent runs on node {node}" if node else ""
    if any(holds(pod, "Ready") for pod in here):
        return ""
    return f"SPIRE agent not ready on node {node}: {trouble(here)[0]}"


def _mesh_pod(pod: Object) -> MeshPod:
    metadata, spec = pod["metadata"], pod.get("spec", {})
    return MeshPod(
        ref=Ref("v1", "Pod", metadata.get("namespace", ""), metadata["name"]),
        uid=str(metadata.get("uid", "")),
        workload=_workload(metadata),
        service_account=spec.get("serviceAccountName", "default"),
        node=spec.get("nodeName", ""),
        has_proxy=_has_proxy(pod),
        running=_proxy_runs(pod),
        promised=_labelled(pod) or _has_socket(pod),
        trouble=trouble([pod])[0],
        crashed=_crashed(pod),
        since=_since(pod),
    )


def _of_the_mesh(pod: Object) -> bool:
    return _has_proxy(pod) or _labelled(pod)


def _labelled(pod: Object) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(IDENTITY_LABEL) == "true")


def _has_socket(pod: Object) -> bool:
    """Whether SPIRE's socket is mounted, as in the ingress gateway, which bears no label of an identity."""
    volumes = pod.get("spec", {}).get("volumes") or []
    return any((volume.get("csi") or {}).get("driver") == CSI_DRIVER for volume in volumes)


def _has_proxy(pod: Object) -> bool:
    return any(container["name"] == PROXY for container in _containers(pod))


def _containers(pod: Object) -> Iterator[Object]:
    spec = pod.get("spec", {})
    yield from spec.get("initContainers", [])
    yield from spec.get("containers", [])


def _proxy_runs(pod: Object) -> bool:
    return any("running" in item.get("state", {}) for item in _proxy_statuses(pod))


def _crashed(pod: Object) -> bool:
    return any(item.get("restartCount", 0) and not item.get("ready") for item in _proxy_statuses(pod))


def _proxy_statuses(pod: Object) -> Iterator[Object]:
    status = pod.get("status", {})
    statuses = (*status.get("initContainerStatuses", []), *status.get("containerStatuses", []))
    return (item for item in statuses if item["name"] == PROXY)


def _since(pod: Object) -> datetime | None:
    scheduled = condition(pod, "PodScheduled") or {}
    found = scheduled.get("lastTransitionTime") if scheduled.get("status") == "True" else None
    text = found or pod["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(text) if text else None


def _workload(metadata: Object) -> Workload:
    namespace = metadata.get("namespace", "")
    owner = next((one for one in metadata.get("ownerReferences", []) if one.get("controller")), None)
    if owner is None:
        return Workload(namespace, "Pod", metadata["name"])
    suffix = "-" + metadata.get("labels", {}).get(HASH_LABEL, "")
    if owner["kind"] == "ReplicaSet" and len(suffix) > 1 and owner["name"].endswith(suffix):
        return Workload(namespace, "Deployment", owner["name"].removesuffix(suffix))
    return Workload(namespace, owner["kind"], owner["name"])
