"""Whether parts of a mesh are there already that meshpki did not install, or that another mesh is made of."""

from meshpki.cluster.manifest import STEP_LABEL, Object, ours
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.components.trust import istiod_certificate
from meshpki.preflight.seen import CSI, Seen
from meshpki.preflight.surroundings import Problem, foreign
from meshpki.settings import Settings


def cert_manager(seen: Seen, _settings: Settings) -> Problem | None:
    """Another cert-manager would take over, or fight for, what ours makes."""
    return foreign(seen.deployments, "cert-manager", "cert-manager")


def spire(seen: Seen, _settings: Settings) -> Problem | None:
    """Another SPIRE's server, agents or CSI driver, which there can be one of."""
    titles = {"spire-server": "SPIRE", "spire-agent": "SPIRE agent", "spiffe-csi-driver": "CSI driver of SPIFFE"}
    for name, title in titles.items():
        if found := foreign((*seen.stateful_sets, *seen.daemon_sets), name, title):
            return found
    if seen.csi_driver is not None and not ours(seen.csi_driver):
        return "a CSI driver of SPIFFE is there that meshpki did not install", str(CSI), "remove the other SPIRE first"
    return None


def istio(seen: Seen, _settings: Settings) -> Problem | None:
    """An Istio that istioctl did not install for us."""
    for item in seen.deployments:
        labels, metadata = item["metadata"].get("labels", {}), item["metadata"]
        if labels.get("app") == "istiod" and not ISTIO.items() <= labels.items():
            where = f"Deployment {metadata['namespace']}/{metadata['name']}"
            return "an Istio is there that meshpki did not install", where, "remove it, or use another cluster"
    return None


def moved(seen: Seen, settings: Settings) -> Problem | None:
    """Parts of this mesh stay where they are: a second one elsewhere would fight for the node's sockets with them."""
    for item in (*seen.deployments, *seen.stateful_sets, *seen.daemon_sets):
        metadata, wanted = item["metadata"], _home(item, settings)
        if wanted and metadata["namespace"] != wanted:
            where = f"{item['kind']} {metadata['namespace']}/{metadata['name']}"
            remedy = "keep `namespaces` as they were, or take the mesh away first: meshpki down"
            return f"it is a part of this mesh, for which the settings name namespace {wanted} now", where, remedy
    return None


def _home(item: Object, settings: Settings) -> str:
    """The namespace that the settings name for a workload of ours; empty for one of others."""
    names, labels = settings.namespaces, item["metadata"].get("labels", {})
    if labels.get("app") == "istiod" and ISTIO.items() <= labels.items():
        return names.istio
    homes = {
        "cert-manager": names.cert_manager,
        "approval": names.cert_manager,
        "spire": names.spire_server if item["kind"] == "StatefulSet" else names.spire_system,
        "workloads": names.bookinfo,
    }
    return homes.get(labels.get(STEP_LABEL, ""), "") if ours(item) else ""


def shape(seen: Seen, _settings: Settings) -> Problem | None:
    """Ambient meshes and several revisions are not what this is for."""
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


def cacerts(seen: Seen, settings: Settings) -> Problem | None:
    """Whoever made that Secret has istiod sign with it: it is ours only by our own Certificate."""
    if seen.cacerts is None:
        return None
    notes = seen.cacerts["metadata"].get("annotations", {})
    made_here = seen.pin is not None or (seen.cacerts_certificate is not None and ours(seen.cacerts_certificate))
    if made_here and notes.get("cert-manager.io/certificate-name") == istiod_certificate(settings).name:
        return None
    where = f"Secret {settings.namespaces.istio}/cacerts"
    return "it is not ours: istiod has another CA already", where, "keep that mesh, or delete the Secret yourself"


def trust_domain(seen: Seen, settings: Settings) -> Problem | None:
    """Identities of another trust domain would all end."""
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
