"""Pods that never end because the CSI driver that has to unmount their volume is gone from their node."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from meshpki.cluster.client import Cluster, ClusterError, Deletion, Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.cluster.readiness import holds
from meshpki.components.renewal import read_time
from meshpki.components.serving import pod_ref
from meshpki.remove.whose import Whose, mounts, whose_pod

# The kubelet unmounts within a second or two of the pod's last container; its deletionTimestamp is when that is due.
_OVERDUE = timedelta(seconds=10)
_DRIVER = "app.kubernetes.io/name=spiffe-csi-driver"


def stuck(pods: Iterable[Object], drivers: Iterable[Object], at: datetime) -> list[Object]:
    """The pods that should have ended by `at` (UTC), whose SPIFFE volume no ready driver of their node unmounts."""
    served = {one["spec"].get("nodeName", "") for one in drivers if holds(one, "Ready")}
    return [
        pod
        for pod in pods
        if (due := read_time(pod["metadata"].get("deletionTimestamp"))) is not None
        and at > due + _OVERDUE
        and mounts(pod)
        and pod["spec"].get("nodeName", "") not in served
    ]


def heal(cluster: Cluster, owners: Mapping[str, Object], namespaces: frozenset[str], at: datetime) -> tuple[Ref, ...]:
    """Take stuck pods of ours out of the API, without waiting for their kubelet; one of somebody else's is left alone.

    A pod whose controller is gone already is ours where it lies in one of the `namespaces` that only we put pods into.
    The node gives the volume back once a driver of that name runs on it again, or it restarts.
    """
    return tuple(pod_ref(pod) for pod in _ours(stuck_now(cluster, at), owners, namespaces) if _forced(cluster, pod))


def stuck_now(reader: Reader, at: datetime) -> list[Object]:
    """See `stuck`; drivers are only looked for where a pod is overdue."""
    pods = [pod for pod in reader.scan(Query("v1", "Pod")) if "deletionTimestamp" in pod["metadata"] and mounts(pod)]
    return stuck(pods, reader.list(Query("v1", "Pod", labels=_DRIVER)), at) if pods else []


def _ours(pods: Sequence[Object], owners: Mapping[str, Object], namespaces: frozenset[str]) -> list[Object]:
    return [
        pod
        for pod in pods
        if whose_pod(pod, owners) is Whose.OURS
        or (pod["metadata"]["namespace"] in namespaces and not _known_to_be_foreign(pod, owners))
    ]


def _known_to_be_foreign(pod: Object, owners: Mapping[str, Object]) -> bool:
    """Whether its controller is there and not ours, or it never had one."""
    above = [ref for ref in pod["metadata"].get("ownerReferences") or [] if ref.get("controller")]
    return not above or above[0]["uid"] in owners


def _forced(cluster: Cluster, pod: Object) -> bool:
    try:
        return cluster.delete(pod_ref(pod), Deletion(uid=pod["metadata"]["uid"], at_once=True))
    except ClusterError as error:
        if error.status == 409:  # noqa: PLR2004 - another pod of that name: the one that hung is gone
            return False
        raise
