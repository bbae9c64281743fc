"""One look at the cluster, as far as the checks of the preflight need it; nothing is judged here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from meshpki.cluster.client import NoAccessError, Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.existing_root import secret_is_there, secret_ref
from meshpki.components.istioctl import RECORD, was_installed
from meshpki.components.root_ca import issued_roots
from meshpki.components.spire_authorities import server_config
from meshpki.components.trust import CERT_MANAGER, PIN, Pin, istiod_certificate, pinned, root_certificate
from meshpki.preflight.approval import would_be_denied
from meshpki.preflight.surroundings import skews
from meshpki.rights import Asked, plural
from meshpki.settings import Settings
from meshpki.workflow.step import Program

T = TypeVar("T")

CSI = Ref("storage.k8s.io/v1", "CSIDriver", "", "csi.spiffe.io")

_REQUESTS = Asked("list", CERT_MANAGER.partition("/")[0], "certificaterequests")
_CERTIFICATES = Asked("list", CERT_MANAGER.partition("/")[0], "certificates")


@dataclass(frozen=True)
class Seen:
    """One look at the cluster, as far as the checks need it; `unread` are fields that a missing right left empty."""

    version: str
    nodes: tuple[Object, ...] = ()
    deployments: tuple[Object, ...] = ()
    stateful_sets: tuple[Object, ...] = ()
    daemon_sets: tuple[Object, ...] = ()
    storage_classes: tuple[Object, ...] = ()
    claims: tuple[Object, ...] = ()
    csi_driver: Object | None = None
    cacerts: Object | None = None
    cacerts_certificate: Object | None = None
    mesh_config: Object | None = None
    spire_config: Object | None = None
    pin: Pin | None = None
    root: Object | None = None
    roots: Mapping[int, str] = field(default_factory=dict)
    installed: bool = False
    existing: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    missing_rights: tuple[str, ...] = ()
    skews: tuple[str, ...] = ()
    namespaces: tuple[Object, ...] = ()
    denied: tuple[Ref, ...] = ()
    unfit: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()


class _Looks:
    """What somebody may see who may lack some rights: what is denied is noted, by the field of `Seen`."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self.denied = reader, dict[str, Asked]()

    def listed(self, field: str, api_version: str, kind: str, namespace: str = "") -> tuple[Object, ...]:
        right, query = _right("list", Ref(api_version, kind, namespace, "")), Query(api_version, kind, namespace)
        return self.seen(field, right, lambda: tuple(self._reader.list(query)), ())

    def got(self, field: str, ref: Ref) -> Object | None:
        return self.seen(field, _right("get", ref), lambda: self._reader.get(ref), None)

    def seen(self, field: str, right: Asked, read: Callable[[], T], otherwise: T) -> T:
        """What a look gives that takes this right, `otherwise` where it is missing."""
        try:
            return read()
        except NoAccessError as error:
            if not error.status:
                raise
            self.denied[field] = right
            return otherwise


def _right(verb: str, ref: Ref) -> Asked:
    return Asked(verb, ref.api_version.rpartition("/")[0], plural(ref.kind), ref.namespace, ref.name)


def look(
    reader: Reader, settings: Settings, at: datetime, programs: Iterable[Program] = (), lacking: Iterable[Asked] = ()
) -> Seen:
    """Gather what the checks judge, at a moment (UTC); Secrets are seen as metadata only, never their data.

    `programs` are what is to run, and `lacking` the rights that the user turned out not to have.
    """
    names, looks = settings.namespaces, _Looks(reader)
    pin = looks.seen("pin", _right("get", PIN), lambda: pinned(reader), None)
    own = not settings.root.existing.secret_name
    nodes = looks.listed("nodes", "v1", "Node")
    leases = looks.listed("leases", "coordination.k8s.io/v1", "Lease", "kube-node-lease")
    there, here = reader.date(), datetime.now(UTC)  # right after each other: all else takes time
    cacerts = Ref("v1", "Secret", names.istio, "cacerts")
    seen = Seen(
        version=reader.version(),
        nodes=nodes,
        deployments=looks.listed("deployments", "apps/v1", "Deployment"),
        stateful_sets=looks.listed("stateful_sets", "apps/v1", "StatefulSet"),
        daemon_sets=looks.listed("daemon_sets", "apps/v1", "DaemonSet"),
        storage_classes=looks.listed("storage_classes", "storage.k8s.io/v1", "StorageClass"),
        claims=looks.listed("claims", "v1", "PersistentVolumeClaim", names.spire_server),
        csi_driver=looks.got("csi_driver", CSI),
        cacerts=looks.seen("cacerts", _right("get", cacerts), lambda: reader.metadata(cacerts), None),
        # without a pin yet, it tells a mesh that was rendered and applied by others from somebody else's CA
        cacerts_certificate=None if pin else looks.got("cacerts_certificate", istiod_certificate(settings)),
        mesh_config=looks.got("mesh_config", Ref("v1", "ConfigMap", names.istio, "istio")),
        spire_config=looks.got("spire_config", server_config(settings)),
        pin=pin,
        root=looks.got("root", root_certificate(settings, pin.generation)) if pin and own else None,
        # what is there of a mesh that has lost its pin
        roots=looks.seen("roots", _REQUESTS, lambda: issued_roots(reader, settings), {}) if pin is None else {},
        installed=pin is None and looks.seen("installed", _right("get", RECORD), lambda: was_installed(reader), False),
        at=at,
        existing=_existing(reader, settings, looks),
        skews=skews(there, here, leases, nodes),
        namespaces=looks.listed("namespaces", "v1", "Namespace"),
        denied=looks.seen("denied", _CERTIFICATES, lambda: would_be_denied(reader, settings), ()),
        unfit=tuple(f"{one.name}: {why}" for one in programs if (why := _unfit(reader, one, looks))),
    )
    return replace(seen, missing_rights=_told(lacking, looks.denied.values()), unread=frozenset(looks.denied))


def _existing(reader: Reader, settings: Settings, looks: _Looks) -> bool:
    if not settings.root.existing.secret_name:
        return False
    return looks.seen(
        "existing", _right("list", secret_ref(settings)), lambda: secret_is_there(reader, settings), False
    )


def _unfit(reader: Reader, program: Program, looks: _Looks) -> str:
    return looks.seen("unfit", _right("get", RECORD), lambda: program.unfit(reader), "")


def _told(lacking: Iterable[Asked], denied: Iterable[Asked]) -> tuple[str, ...]:
    """All of them once: a right on one object goes with that on every one."""
    found = {*lacking, *denied}
    return tuple(str(one) for one in sorted(found) if one == one.everywhere or one.everywhere not in found)
