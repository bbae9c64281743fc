"""A kubelet in a hurry: it brings what a pod mounts up to date when the pod changes, else within a minute or two."""

from collections.abc import Iterable
from http import HTTPStatus

from meshpki.cluster.client import Cluster, ClusterError
from meshpki.cluster.manifest import Object
from meshpki.components.serving import pod_ref
from meshpki.rotate import MANAGER


def hurry(cluster: Cluster, pods: Iterable[Object], key: str, value: str) -> None:
    """Write a note on pods that do not bear it, so that their kubelets look at them; one that went away needs none."""
    for pod in unhurried(pods, key, value):
        try:
            cluster.merge(pod_ref(pod), {"metadata": {"annotations": {key: value}}}, MANAGER)
        except ClusterError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def unhurried(pods: Iterable[Object], key: str, value: str) -> list[Object]:
    """The pods that do not bear the note yet."""
    return [pod for pod in pods if (pod["metadata"].get("annotations") or {}).get(key) != value]
