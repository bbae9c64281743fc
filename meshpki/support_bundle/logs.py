"""What the mesh's own containers wrote: never those of the workloads beside them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.support_bundle.archive import Archive
from meshpki.support_bundle.redaction import redacted
from meshpki.verify.pods import PROXY

CONTAINERS = frozenset(
    {
        "cert-manager-cainjector",
        "cert-manager-controller",
        "cert-manager-webhook",
        "spire-server",
        "spire-controller-manager",
        "spire-agent",
        "spiffe-csi-driver",
        "node-driver-registrar",
        "discovery",
    }
)
LINES = 2000
BYTES = 2 * 1024 * 1024
PODS = 100


@dataclass(frozen=True)
class Source:
    """One container, and whether one ran in its place before."""

    pod: Ref
    container: str
    restarted: bool


def sources(pods: Iterable[Object], own: frozenset[str]) -> Iterator[Source]:
    """The components in our `own` namespaces, and the proxies anywhere."""
    for pod in pods:
        ref = Ref("v1", "Pod", pod["metadata"].get("namespace", ""), pod["metadata"]["name"])
        restarts = {one["name"]: one.get("restartCount", 0) for one in _statuses(pod)}
        spec = pod.get("spec", {})
        for container in (*spec.get("initContainers", []), *spec.get("containers", [])):
            name = str(container["name"])
            if name == PROXY or (ref.namespace in own and name in CONTAINERS):
                yield Source(ref, name, bool(restarts.get(name)))


def add_logs(archive: Archive, reader: Reader, found: Iterable[Source], since: datetime, lines: int = LINES) -> None:
    """The last lines of each container since a time (UTC), and of the one before it where it was restarted."""
    for source in sorted(found, key=lambda one: (one.pod, one.container)):
        for previous in (False, True)[: 1 + source.restarted]:
            name = f"{source.container}{'.previous' if previous else ''}"
            with archive.attempt(f"the log of {source.pod} {name}"):
                text = _read(reader, source, since, lines, previous=previous)
                if text:
                    archive.add(f"logs/{source.pod.namespace}/{source.pod.name}/{name}.log", redacted(text))


def _read(reader: Reader, source: Source, since: datetime, lines: int, *, previous: bool) -> str:
    """Empty for a container that wrote nothing, or has not begun, or whose log from before is gone."""
    try:
        return reader.logs(source.pod, source.container, lines, since=since, previous=previous, limit=BYTES)
    except ClusterError as error:
        if error.status == HTTPStatus.BAD_REQUEST:
            return ""
        raise


def _statuses(pod: Object) -> Iterator[Object]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses", [])
    yield from status.get("containerStatuses", [])
