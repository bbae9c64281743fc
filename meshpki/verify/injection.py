"""Which pods Istio should have given a sidecar, by their labels and their namespace's: one without is no less there.

As istiod's webhook decides (pkg/kube/inject/inject.go and the selectors of its configuration at 1.29.1).
"""

from collections.abc import Collection, Iterable
from typing import Literal

from meshpki.cluster.manifest import Object

INJECT = "sidecar.istio.io/inject"
_BY_NAMESPACE, _BY_REVISION = "istio-injection", "istio.io/rev"
_YES = ("true", "y", "yes", "on")
# in these nothing is injected by the namespace's label
_LEFT_OUT = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})

Wish = Literal["in", "out", ""]


def injecting(namespaces: Iterable[Object]) -> frozenset[str]:
    """The namespaces whose pods get a sidecar unless they say otherwise."""
    return frozenset(one["metadata"]["name"] for one in namespaces if _injects(one["metadata"])) - _LEFT_OUT


def wish(pod: Object, namespaces: Collection[str]) -> Wish:
    """Whether a pod belongs `in` the mesh or was kept `out` of one that would take it; empty where neither is so."""
    if pod.get("spec", {}).get("hostNetwork"):
        return ""
    metadata = pod["metadata"]
    said = _said(metadata)
    if said in _YES:
        return "in"
    if metadata.get("namespace", "") not in namespaces:
        return ""
    return "out" if said else "in"


def _injects(metadata: Object) -> bool:
    labels = metadata.get("labels") or {}
    by_namespace = labels.get(_BY_NAMESPACE)
    return by_namespace == "enabled" or (by_namespace is None and bool(labels.get(_BY_REVISION)))


def _said(metadata: Object) -> str:
    """The label goes before the annotation, which is the older form."""
    label, note = ((metadata.get(kind) or {}).get(INJECT) for kind in ("labels", "annotations"))
    return str(label or note or "").lower()
