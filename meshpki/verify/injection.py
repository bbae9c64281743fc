"""Which pods Istio should have given a sidecar, by their labels and their namespace's: one without is no less there.

As istiod's webhook decides (pkg/kube/inject/inject.go and the selectors of its configuration at 1.29.1).
"""

from collections.abc import Collection, Iterable
from typing import Literal

from meshpki.cluster.manifest import Object

INJECT = "sidecar.istio.io/inject"
_BY_NAMESPACE, _BY_REVISION = "istio-injection", "istio.io/rev"
_YES = ("true", "y", "yes", "on")
# in these nothing is ever injected
_LEFT_OUT = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})

Wish = Literal["in", "out", ""]


def injecting(namespaces: Iterable[Object]) -> frozenset[str]:
    """The namespaces whose pods get a sidecar unless they say otherwise."""
    return frozenset(one["metadata"]["name"] for one in namespaces if _injects(one["metadata"])) - _LEFT_OUT


def wish(pod: Object, namespaces: Collection[str]) -> Wish:
    """Whether a pod belongs `in` the mesh or was kept `out` of one that would take it; empty where neither is so."""
    metadata = pod["metadata"]
    namespace = metadata.get("namespace", "")
    if pod.get("spec", {}).get("hostNetwork") or namespace in _LEFT_OUT:
        return ""
    if namespace not in namespaces:
        # by itself the label alone calls the webhook, which an annotation does not
        return "in" if _labelled(metadata) in _YES else ""
    said = _labelled(metadata) or _noted(metadata)
    return "in" if not said or said in _YES else "out"


def _injects(metadata: Object) -> bool:
    labels = metadata.get("labels") or {}
    by_namespace = labels.get(_BY_NAMESPACE)
    return by_namespace == "enabled" or (by_namespace is None and bool(labels.get(_BY_REVISION)))


def _labelled(metadata: Object) -> str:
    return str((metadata.get("labels") or {}).get(INJECT, "")).lower()


def _noted(metadata: Object) -> str:
    """The annotation is the older form, and the label goes before it."""
    return str((metadata.get("annotations") or {}).get(INJECT, "")).lower()
