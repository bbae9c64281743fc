"""What of the cluster itself would hinder a mesh: clocks that differ, pod security, and what is there already."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.cluster.manifest import Object, Ref, ours, ref_of
from meshpki.cluster.readiness import holds
from meshpki.components.renewal import read_time

# cert-manager dates a certificate from its own clock on and SPIRE ten seconds back: who is later refuses it at first.
_SKEW = timedelta(seconds=10)
# A kubelet renews its Lease every ten seconds (kubelet pkg/kubelet, NodeLeaseDurationSeconds 40).
_SILENT = timedelta(seconds=60)
ENFORCE = "pod-security.kubernetes.io/enforce"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_NAMES = ("cert-manager", "spire-server", "spire-agent", "istiod", "ztunnel")
_LEVELS = ("privileged", "baseline", "restricted")
# what, where, remedy
Problem = tuple[str, str, str]


def skews(there: datetime | None, here: datetime, leases: Iterable[Object], nodes: Iterable[Object]) -> tuple[str, ...]:
    """Whose clock differs from the API server's, by how much (UTC): this machine's, and each ready node's.

    A node's is told by when it renewed its Lease last; one that is not ready renews none.
    """
    if there is None:
        return ()
    ready = {node["metadata"]["name"] for node in nodes if holds(node, "Ready")}
    return (*_of_this_machine(there, here), *_of_nodes(there, leases, ready))


def _of_this_machine(there: datetime, here: datetime) -> Iterator[str]:
    apart = here - there
    if abs(apart) > _SKEW:
        yield f"this machine's clock is {_words(apart)} of the API server's"


def _of_nodes(there: datetime, leases: Iterable[Object], ready: set[str]) -> Iterator[str]:
    for lease in leases:
        name, renewed = lease["metadata"]["name"], read_time(lease.get("spec", {}).get("renewTime"))
        if renewed is None or name not in ready:
            continue
        apart = renewed - there
        if apart > _SKEW or apart < -_SILENT:
            yield f"Node {name}'s clock is {_words(apart)} of the API server's"


def _words(apart: timedelta) -> str:
    seconds = abs(apart.total_seconds())
    return f"{seconds:.0f} s {'ahead' if apart > timedelta(0) else 'behind'}"


def forbidding(namespaces: Iterable[Object], needed: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """The namespaces whose pod security is stricter than their pods need: name, what it enforces, what is needed."""
    found = ((one["metadata"]["name"], one["metadata"].get("labels", {}).get(ENFORCE, "")) for one in namespaces)
    return tuple(
        (name, level, needed[name])
        for name, level in found
        if name in needed and level in _LEVELS and _LEVELS.index(level) > _LEVELS.index(needed[name])
    )


def is_default(storage_class: Object) -> bool:
    """Whether claims that name no StorageClass get this one (Kubernetes, "Storage Classes")."""
    return bool(storage_class["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true")


@dataclass(frozen=True)
class Component:
    """Something of this stack that runs already: its workload, its image's tag, and who manages it."""

    ref: Ref
    version: str
    owner: str


def components_of(workloads: Iterable[Object]) -> tuple[Component, ...]:
    """The workloads of cert-manager, SPIRE and Istio, whoever installed them, wherever they run."""
    known = (one for one in workloads if any(name in one["metadata"]["name"] for name in _NAMES))
    return tuple(Component(ref_of(one), _tag(one), _owner(one)) for one in known)


def _tag(workload: Object) -> str:
    containers = workload.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return str(containers[0]["image"]).rpartition(":")[2] if containers else "-"


def _owner(workload: Object) -> str:
    """Who says so in a label, else the first field manager that wrote its spec."""
    labels, fields = workload["metadata"].get("labels", {}), workload["metadata"].get("managedFields", [])
    managers = [one.get("manager", "") for one in fields if "f:spec" in one.get("fieldsV1", {})]
    return str(labels.get("app.kubernetes.io/managed-by") or next(iter(managers), "-"))


def foreign(found: Iterable[Object], name: str, title: str) -> Problem | None:
    """What is wrong, where, and the way out, where a workload of that name is not ours."""
    for item in found:
        metadata = item["metadata"]
        if name in (metadata["name"], _component(metadata.get("labels", {}))) and not ours(item):
            where = f"{item['kind']} {metadata['namespace']}/{metadata['name']}"
            return f"a {title} is there that meshpki did not install", where, "remove it, or use another cluster"
    return None


def _component(labels: dict[str, str]) -> str:
    """What a chart calls the thing whatever its release is named: cert-manager's controller, SPIRE's server."""
    title = labels.get("app.kubernetes.io/name", "")
    return title if labels.get("app.kubernetes.io/component", "controller") == "controller" else ""
