"""One look at the cluster, as far as the checks of the preflight need it; nothing is judged here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from meshpki.cluster.client import NoAccessError, Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.existing_root import secret_is_there
from meshpki.components.istioctl import was_installed
from meshpki.components.root_ca import issued_roots
from meshpki.components.spire_authorities import server_config
from meshpki.components.trust import Pin, istiod_certificate, pinned, root_certificate
from meshpki.preflight.approval import would_be_denied
from meshpki.preflight.surroundings import skews
from meshpki.rights import plural
from meshpki.settings import Settings
from meshpki.workflow.step import Program

CSI = Ref("storage.k8s.io/v1", "CSIDriver", "", "csi.spiffe.io")


@dataclass(frozen=True)
class Seen:
    """One look at the cluster, as far as the checks need it."""

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


def look(
    reader: Reader, settings: Settings, at: datetime, programs: Iterable[Program] = (), lacking: Iterable[str] = ()
) -> Seen:
    """Gather what the checks judge, at a moment (UTC); Secrets are seen as metadata only, never their data.

    `programs` are what is to run, and `lacking` the rights that the user turned out not to have.
    """
    names, pin, unlisted = settings.namespaces, pinned(reader), list[str]()

    def listed(api_version: str, kind: str, namespace: str = "") -> tuple[Object, ...]:
        try:
            return tuple(reader.list(Query(api_version, kind, namespace)))
        except NoAccessError as error:
            if not error.status:
                raise
            unlisted.append(f"list {plural(kind)}")
            return ()

    nodes, leases = listed("v1", "Node"), listed("coordination.k8s.io/v1", "Lease", "kube-node-lease")
    there, here = reader.date(), datetime.now(UTC)  # right after each other: all else takes time
    return Seen(
        version=reader.version(),
        nodes=nodes,
        deployments=listed("apps/v1", "Deployment"),
        stateful_sets=listed("apps/v1", "StatefulSet"),
        daemon_sets=listed("apps/v1", "DaemonSet"),
        storage_classes=listed("storage.k8s.io/v1", "StorageClass"),
        claims=listed("v1", "PersistentVolumeClaim", names.spire_server),
        csi_driver=reader.get(CSI),
        cacerts=reader.metadata(Ref("v1", "Secret", names.istio, "cacerts")),
        # without a pin yet, it tells a mesh that was rendered and applied by others from somebody else's CA
        cacerts_certificate=None if pin else reader.get(istiod_certificate(settings)),
        mesh_config=reader.get(Ref("v1", "ConfigMap", names.istio, "istio")),
        spire_config=reader.get(server_config(settings)),
        pin=pin,
        root=reader.get(root_certificate(settings, pin.generation)) if pin else None,
        # what is there of a mesh that has lost its pin
        roots=issued_roots(reader, settings) if pin is None else {},
        installed=pin is None and was_installed(reader),
        at=at,
        existing=bool(settings.root.existing.secret_name) and secret_is_there(reader, settings),
        skews=skews(there, here, leases, nodes),
        namespaces=listed("v1", "Namespace"),
        denied=would_be_denied(reader, settings),
        unfit=tuple(f"{one.name}: {why}" for one in programs if (why := one.unfit(reader))),
        missing_rights=(*unlisted, *lacking),
    )
