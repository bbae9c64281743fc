"""Whether parts of a mesh are there already that meshpki did not install, or that another mesh is made of."""

from meshpki.cluster.manifest import ours
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.components.trust import istiod_certificate
from meshpki.preflight.seen import CSI, Seen
from meshpki.preflight.surroundings import foreign
from meshpki.settings import Settings

Problem = tuple[str, str, str]


def cert_manager(seen: Seen, settings: Settings) -> Problem | None:
    """Another cert-manager would take over, or fight for, what ours makes."""
    return foreign(seen.deployments, "cert-manager", "cert-manager", settings.namespaces.cert_manager)


def spire(seen: Seen, settings: Settings) -> Problem | None:
    """Another SPIRE, or another's CSI driver, which there can be one of."""
    found = foreign(seen.stateful_sets, "spire-server", "SPIRE", settings.namespaces.spire_server)
    if found is None and seen.csi_driver is not None and not ours(seen.csi_driver):
        return "a CSI driver of SPIFFE is there that meshpki did not install", str(CSI), "remove the other SPIRE first"
    return found


def istio(seen: Seen, settings: Settings) -> Problem | None:
    """An Istio that istioctl did not install for us, in our namespace."""
    for deployment in seen.deployments:
        labels, metadata = deployment["metadata"].get("labels", {}), deployment["metadata"]
        if labels.get("app") != "istiod":
            continue
        where = f"Deployment {metadata['namespace']}/{metadata['name']}"
        if not ISTIO.items() <= labels.items() or metadata["namespace"] != settings.namespaces.istio:
            return "an Istio is there that meshpki did not install", where, "remove it, or use another cluster"
    return None


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
