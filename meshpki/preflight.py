"""What must hold before the first write: gathered once, then judged by named, pure checks, all of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.existing_root import secret_is_there
from meshpki.components.istioctl import RECORD
from meshpki.components.trust import PIN, Pin, istiod_certificate, pinned, root_certificate
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.preflight_approval import APPROVAL_CHECKS, would_be_denied
from meshpki.preflight_root import ROOT_CHECKS
from meshpki.rights import missing, needed
from meshpki.settings import Settings
from meshpki.settings.fields import flatten
from meshpki.settings.releases import components, kubernetes_range, release_of
from meshpki.surroundings import ENFORCE, Component, components_of, forbidding, foreign, is_default, ours, skews

_CSI = Ref("storage.k8s.io/v1", "CSIDriver", "", "csi.spiffe.io")


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
    record: Object | None = None
    pin: Pin | None = None
    root: Object | None = None
    existing: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    missing_rights: tuple[str, ...] = ()
    skews: tuple[str, ...] = ()
    namespaces: tuple[Object, ...] = ()
    denied: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Check:
    """A named precondition; `judge` gives the problem as (what, where, remedy), None where there is none.

    `can_wait` says that going on in spite of it harms nothing, so that `ignore` may name it.
    """

    name: str
    code: str
    judge: Callable[[Seen, Settings], tuple[str, str, str] | None]
    can_wait: bool = False


@dataclass(frozen=True)
class Found:
    """A check that does not hold."""

    check: Check
    error: MeshpkiError


class PreflightError(PreconditionError):
    """The checks that do not hold, all of them; nothing was written."""

    def __init__(self, found: Sequence[Found]) -> None:
        """Take code and place of the first, and tell them all."""
        first = found[0].error
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(first.code, f"{first.what}{more}", where=first.where, remedy=first.remedy)
        self.found = tuple(found)


@dataclass(frozen=True)
class Outcome:
    """What stops the run, what only is worth a warning because the user said so, and which components are there."""

    refused: tuple[Found, ...] = field(default=())
    ignored: tuple[Found, ...] = field(default=())
    there: tuple[Component, ...] = field(default=())


def look(reader: Reader, settings: Settings, manifests: Iterable[Object], at: datetime) -> Seen:
    """Gather what the checks judge, at a moment (UTC); Secrets are seen as metadata only, never their data.

    `manifests` are what is to be applied: the rights to do so are asked for.
    """
    names, pin, nodes = settings.namespaces, pinned(reader), tuple(reader.list(Query("v1", "Node")))
    leases = reader.list(Query("coordination.k8s.io/v1", "Lease", "kube-node-lease"))
    return Seen(
        version=reader.version(),
        nodes=nodes,
        deployments=tuple(reader.list(Query("apps/v1", "Deployment"))),
        stateful_sets=tuple(reader.list(Query("apps/v1", "StatefulSet"))),
        daemon_sets=tuple(reader.list(Query("apps/v1", "DaemonSet"))),
        storage_classes=tuple(reader.list(Query("storage.k8s.io/v1", "StorageClass"))),
        claims=tuple(reader.list(Query("v1", "PersistentVolumeClaim", names.spire_server))),
        csi_driver=reader.get(_CSI),
        cacerts=reader.metadata(Ref("v1", "Secret", names.istio, "cacerts")),
        # without a pin yet, it tells a mesh that was rendered and applied by others from somebody else's CA
        cacerts_certificate=None if pin else reader.get(istiod_certificate(settings)),
        mesh_config=reader.get(Ref("v1", "ConfigMap", names.istio, "istio")),
        spire_config=reader.get(Ref("v1", "ConfigMap", names.spire_server, "spire-server")),
        record=reader.get(RECORD),
        pin=pin,
        root=reader.get(root_certificate(settings, pin.generation)) if pin else None,
        at=at,
        existing=bool(settings.root.existing.secret_name) and secret_is_there(reader, settings),
        missing_rights=tuple(map(str, missing(reader, needed(manifests)))),
        skews=skews(reader.date(), at, leases, nodes),
        namespaces=tuple(reader.list(Query("v1", "Namespace"))),
        denied=would_be_denied(reader, settings),
    )


def examine(seen: Seen, settings: Settings, ignore: Sequence[str] = ()) -> Outcome:
    """Judge every check; a name in `ignore` turns its refusal into a warning where that can be safe."""
    names = [check.name for check in CHECKS]
    for name in ignore:
        if name not in names:
            raise UsageError("MPK-116", f"there is no check `{name}`", remedy=f"the checks are: {', '.join(names)}")
    refused: list[Found] = []
    ignored: list[Found] = []
    for check in CHECKS:
        problem = check.judge(seen, settings)
        if problem is None:
            continue
        what, where, remedy = problem
        hint = f"{remedy}; or go on with --ignore {check.name}" if check.can_wait else remedy
        found = Found(check, PreconditionError(check.code, what, where=where, remedy=hint))
        (ignored if check.can_wait and check.name in ignore else refused).append(found)
    there = components_of((*seen.deployments, *seen.stateful_sets, *seen.daemon_sets))
    return Outcome(tuple(refused), tuple(ignored), there)


def _kubernetes(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    versions = flatten(settings.versions)
    rows = [release_of(name, str(versions[name])) for name in components()]
    oldest, newest = kubernetes_range(row for row in rows if row is not None)
    major, minor = (int(part.rstrip("+")) for part in seen.version.removeprefix("v").split(".")[:2])
    if oldest <= (major, minor) <= newest:
        return None
    wanted = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    return f"Kubernetes is {seen.version}, these versions are for {wanted}", "API server", "choose other versions"


def _platform(seen: Seen, _settings: Settings) -> tuple[str, str, str] | None:
    for node in seen.nodes:
        info, name = node["status"]["nodeInfo"], node["metadata"]["name"]
        if info["operatingSystem"] != "linux":
            return f"its system is {info['operatingSystem']}", f"Node {name}", "SPIRE's CSI driver needs Linux nodes"
    return None


def _cert_manager(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    return foreign(seen.deployments, "cert-manager", "cert-manager", settings.namespaces.cert_manager)


def _spire(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    found = foreign(seen.stateful_sets, "spire-server", "SPIRE", settings.namespaces.spire_server)
    if found is None and seen.csi_driver is not None and not ours(seen.csi_driver):
        return "a CSI driver of SPIFFE is there that meshpki did not install", str(_CSI), "remove the other SPIRE first"
    return found


def _istio(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    for deployment in seen.deployments:
        labels, metadata = deployment["metadata"].get("labels", {}), deployment["metadata"]
        if labels.get("app") != "istiod":
            continue
        where = f"Deployment {metadata['namespace']}/{metadata['name']}"
        if seen.record is None or metadata["namespace"] != settings.namespaces.istio:
            return "an Istio is there that meshpki did not install", where, "remove it, or use another cluster"
    return None


def _shape(seen: Seen, _settings: Settings) -> tuple[str, str, str] | None:
    for item in seen.daemon_sets:
        if item["metadata"]["name"] == "ztunnel":
            where = f"DaemonSet {item['metadata']['namespace']}/ztunnel"
            return "this is an ambient mesh, whose ztunnel cannot use SPIRE", where, "use a cluster with sidecars"
    revisions = {
        item["metadata"]["labels"].get("istio.io/rev", "default")
        for item in seen.deployments
        if item["metadata"].get("labels", {}).get("app") == "istiod"
    }
    if len(revisions) > 1:
        return f"istiod runs in revisions {', '.join(sorted(revisions))}", "Deployment istiod", "keep one revision"
    return None


def _cacerts(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    if seen.cacerts is None:
        return None
    notes = seen.cacerts["metadata"].get("annotations", {})
    made_here = seen.pin is not None or (seen.cacerts_certificate is not None and ours(seen.cacerts_certificate))
    if made_here and notes.get("cert-manager.io/certificate-name") == istiod_certificate(settings).name:
        return None
    where = f"Secret {settings.namespaces.istio}/cacerts"
    return "it is not ours: istiod has another CA already", where, "keep that mesh, or delete the Secret yourself"


def _trust_domain(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    wanted = settings.trust_domain
    remedy = f"keep the trust domain that runs, or remove the mesh before it becomes {wanted}"
    mesh = (seen.mesh_config or {}).get("data", {}).get("mesh", "")
    running = [line.partition(":")[2].strip() for line in mesh.splitlines() if line.startswith("trustDomain:")]
    if running and running != [wanted]:
        return f"Istio runs with trust domain {running[0]}", f"ConfigMap {settings.namespaces.istio}/istio", remedy
    server = (seen.spire_config or {}).get("data", {}).get("server.conf", "")
    if server and f'trust_domain = "{wanted}"' not in server:
        where = f"ConfigMap {settings.namespaces.spire_server}/spire-server"
        return f"SPIRE runs with another trust domain than {wanted}", where, remedy
    return None


def _storage(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    wanted = settings.spire.storage.class_name
    defaults = [item for item in seen.storage_classes if is_default(item)]
    named = [item for item in seen.storage_classes if item["metadata"]["name"] == wanted]
    if seen.claims or (named if wanted else defaults):
        return None
    what = f"there is no StorageClass {wanted}" if wanted else "there is no default StorageClass"
    return what, "spire.storage.className", "spire-server keeps its CA on a volume: name a StorageClass, or make one"


def _rotation(seen: Seen, _settings: Settings) -> tuple[str, str, str] | None:
    """Applying the alias issuer now would put a root into use that not everybody trusts yet."""
    if seen.pin is None or len(seen.pin.roots) == 1:
        return None
    remedy = "finish it first: meshpki rotate root, or go back with meshpki rotate root --abort"
    return "a root rotation is under way: two roots are pinned", str(PIN), remedy


def _rights(seen: Seen, _settings: Settings) -> tuple[str, str, str] | None:
    if not seen.missing_rights:
        return None
    return f"missing rights: {', '.join(seen.missing_rights)}", "this kubeconfig's user", "have them granted"


def _clock(seen: Seen, _settings: Settings) -> tuple[str, str, str] | None:
    if not seen.skews:
        return None
    remedy = "have them agree (NTP): a certificate is refused by whoever is not at its beginning yet"
    return "; ".join(seen.skews), "clocks", remedy


def _pod_security(seen: Seen, settings: Settings) -> tuple[str, str, str] | None:
    names = settings.namespaces
    levels = {names.spire_system: "privileged", names.bookinfo: "privileged", names.istio: "baseline"}
    for name, level, wanted in forbidding(seen.namespaces, levels):
        what = f"it enforces `{level}`, its pods need `{wanted}`"
        return what, f"Namespace {name}", f"take the label {ENFORCE} off it, or choose another namespace"
    return None


CHECKS = (
    Check("rights", "MPK-118", _rights),
    Check("kubernetes-version", "MPK-103", _kubernetes, can_wait=True),
    Check("platform", "MPK-109", _platform),
    Check("cert-manager", "MPK-104", _cert_manager),
    Check("istio", "MPK-105", _istio),
    Check("spire", "MPK-106", _spire),
    Check("istio-shape", "MPK-114", _shape),
    Check("cacerts", "MPK-107", _cacerts),
    Check("trust-domain", "MPK-108", _trust_domain),
    Check("storage", "MPK-110", _storage, can_wait=True),
    *(Check(*row) for row in ROOT_CHECKS),
    *(Check(*row) for row in APPROVAL_CHECKS),
    Check("clock", "MPK-120", _clock, can_wait=True),
    Check("pod-security", "MPK-121", _pod_security),
    Check("rotation", "MPK-430", _rotation),
)
