"""One look at everything that could be ours, for `down`: metadata alone, but for pods; nothing is decided here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import MANAGED_BY, Kind, Object, Query, Ref, ref_of, selector
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.components.trust import STATE_NAMESPACE, Pin, pinned
from meshpki.lease.record import LEASE

OURS = selector(MANAGED_BY)
NAMESPACE, CRD = "Namespace", "CustomResourceDefinition"
SECRET = ("v1", "Secret")
# istiod puts one of each into every namespace (Istio 1.29)
ISTIO_BUNDLES = ("istio-ca-root-cert", "istio-ca-crl")
OWNERS = (
    *(("apps/v1", kind) for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")),
    *(("batch/v1", kind) for kind in ("Job", "CronJob")),
)
# Made anew by others all the time, or views of what is counted as itself.
_UNCOUNTED = ("Event", "Endpoints", "EndpointSlice", "PodMetrics", "NodeMetrics", "ComponentStatus")
# A kind that cannot be listed after all, or is not served any more.
_UNSERVED = (404, 405, 406)
_API_SERVICES = Query("apiregistration.k8s.io/v1", "APIService")
_IN_FLIGHT = 32


@dataclass(frozen=True)
class Seen:
    """Headers (apiVersion, kind, metadata) of what bears our labels, of Istio's where it is ours, and beside them.

    `inside` is all that lies in namespaces of ours, `instances` every object of a kind that our CRDs define; `leases`
    and `bundles` are what cert-manager and istiod leave elsewhere, `pods` are whole, `owners` their controllers by uid,
    `volumes` the PersistentVolumes that outlive the claims of ours.
    """

    ours: tuple[Object, ...] = ()
    istio: tuple[Object, ...] = ()
    inside: tuple[Object, ...] = ()
    instances: tuple[Object, ...] = ()
    leases: tuple[Object, ...] = ()
    bundles: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    owners: Mapping[str, Object] = field(default_factory=dict)
    pin: Pin | None = None
    volumes: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def look(reader: Reader) -> Seen:
    """Gather all of it; raises ClusterError where a right to list is missing, since then nobody knows what is left."""
    kinds = counted(reader)
    with abreast(_IN_FLIGHT, "look") as pool:
        lists = _Lists(reader, pool)
        ours = lists.ours(kinds)
        istio = lists.of(Query(kind.api_version, kind.kind, labels=selector(ISTIO)) for kind in _but_secrets(kinds))
        namespaces = [ref_of(one).name for one in ours if one["kind"] == NAMESPACE]
        inner = [Query(kind.api_version, kind.kind, name) for name in namespaces for kind in kinds if kind.namespaced]
        owners = lists.of(Query(*kind) for kind in OWNERS)
        return Seen(
            ours,
            istio,
            lists.of(inner),
            lists.of(_instances(kinds, (*ours, *istio))),
            lists.of([Query("coordination.k8s.io/v1", "Lease", STATE_NAMESPACE)]),
            lists.of(_bundles()) if ours and not _another_istio(owners) else (),
            tuple(reader.scan(Query("v1", "Pod"))),
            {one["metadata"]["uid"]: one for one in owners},
            pinned(reader),
            _retained(reader, namespaces),
            tuple(lists.unseen),
        )


def counted(reader: Reader) -> list[Kind]:
    """The kinds that are looked at."""
    return [kind for kind in reader.kinds() if "list" in kind.verbs and kind.kind not in _UNCOUNTED]


def left(reader: Reader) -> tuple[Ref, ...]:
    """What bears our labels now."""
    with abreast(_IN_FLIGHT, "look") as pool:
        return tuple(ref_of(one) for one in _Lists(reader, pool).ours(counted(reader)))


def _but_secrets(kinds: Iterable[Kind]) -> Iterator[Kind]:
    return (kind for kind in kinds if (kind.api_version, kind.kind) != SECRET)


def _another_istio(owners: Iterable[Object]) -> bool:
    """Whether an istiod runs that is not ours: the bundles are its own then."""
    istiods = (one for one in owners if (one["kind"], _labels(one).get("app")) == ("Deployment", "istiod"))
    return any(not ISTIO.items() <= _labels(one).items() for one in istiods)


def _labels(header: Object) -> dict[str, str]:
    return header["metadata"].get("labels") or {}


def _bundles() -> list[Query]:
    return [Query("v1", "ConfigMap", fields=f"metadata.name={name}") for name in ISTIO_BUNDLES]


def _instances(kinds: Sequence[Kind], ours: Sequence[Object]) -> list[Query]:
    """Queries for every object whose kind one of our CRDs defines; a CRD is named by plural and group."""
    groups = {ref_of(one).name.partition(".")[2] for one in ours if one["kind"] == CRD}
    return [Query(kind.api_version, kind.kind) for kind in kinds if kind.api_version.partition("/")[0] in groups]


def _retained(reader: Reader, namespaces: Sequence[str]) -> tuple[str, ...]:
    """The volumes bound to a claim in one of these namespaces that are to be kept when the claim goes."""
    volumes = reader.list(Query("v1", "PersistentVolume"))
    return tuple(
        one["metadata"]["name"]
        for one in volumes
        if one["spec"].get("persistentVolumeReclaimPolicy") == "Retain"
        and (one["spec"].get("claimRef") or {}).get("namespace") in namespaces
    )


def _of_services(reader: Reader) -> Iterator[Object]:
    """The APIs that somebody's own server answers for, which may be down; the API server's own have to answer."""
    return (one for one in reader.list(_API_SERVICES) if (one.get("spec") or {}).get("service"))


class _Lists:
    """Many lists side by side, and the kinds that nobody serves just now.

    Raises ClusterError for any other list that fails: what is not seen would be taken for what is not there.
    """

    def __init__(self, reader: Reader, pool: Executor) -> None:
        self._reader, self._pool = reader, pool
        self._aggregated = {str(one["spec"].get("group", "")) for one in _of_services(reader)}
        self.unseen: list[str] = []

    def ours(self, kinds: Iterable[Kind]) -> tuple[Object, ...]:
        """What bears our labels, but for the Lease: it goes when the run that holds it has ended.

        Secrets are looked for where ours can be: to list those of others takes a right that nobody should need.
        """
        found = self.of(Query(kind.api_version, kind.kind, labels=OURS) for kind in _but_secrets(kinds))
        spaces = [ref_of(one).name for one in found if one["kind"] == NAMESPACE]
        secrets = self.of(Query(*SECRET, space, labels=OURS) for space in spaces)
        return tuple(one for one in (*found, *secrets) if ref_of(one) != LEASE)

    def of(self, queries: Iterable[Query]) -> tuple[Object, ...]:
        return tuple(one for found in self._pool.map(self._listed, queries) for one in found)

    def _listed(self, query: Query) -> list[Object]:
        try:
            return self._reader.headers(query)
        except ClusterError as error:
            if error.status not in _UNSERVED and query.api_version.partition("/")[0] not in self._aggregated:
                raise
            self.unseen.append(f"{query.api_version} {query.kind}: {error.what}")
            return []
