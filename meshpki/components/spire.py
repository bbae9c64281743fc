"""SPIRE, hardened: server, agents and CSI driver, with cert-manager above it."""

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref, digest, only, ref_of
from meshpki.cluster.render import render, text
from meshpki.components.rollout import judge_rollout, pods_of, rollout
from meshpki.components.serving import Listener, pod_ref, unproven
from meshpki.components.spire_authorities import agent_set, server_set
from meshpki.components.trust import PIN, pinned
from meshpki.errors import MeshpkiError
from meshpki.pki.bundle import read_bundle
from meshpki.settings import Settings, go_duration
from meshpki.workflow.step import Failed, Gate, Later, Readiness, Ready, Step, Waiting

CSI_DRIVER = "csi.spiffe.io"
SERVER_PORT = 8081
SPIFFE_ID = "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}"
_NODES = Query("v1", "Node")


def spire(settings: Settings, crds: tuple[Object, ...]) -> Step:
    """The step of SPIRE; `crds` are the controller-manager's own, from its release."""
    names = settings.namespaces
    server, agents = server_set(settings), agent_set(settings)
    driver = Ref("apps/v1", "DaemonSet", names.spire_system, "spiffe-csi-driver")
    manifests = _manifests(settings)
    return Step(
        name="spire",
        summary=f"SPIRE {settings.versions.spire}, upstream cert-manager",
        needs=("root-ca",),
        manifests=(*crds, *(manifest for manifest in manifests if ref_of(manifest) not in (agents, driver))),
        # An agent that starts before the bundle is published retries for a minute; a proxy that starts before the
        # agent's socket is there crashes, and without the driver it is not started.
        later=(
            Later("bundle", tuple(one for one in manifests if ref_of(one) == agents)),
            Later("agents", tuple(one for one in manifests if ref_of(one) == driver)),
        ),
        gates=(
            rollout("server", [server], "MPK-214", f"look at `kubectl -n {names.spire_server} logs spire-server-0`"),
            _minted(settings, server),
            _published(settings),
            _on_every_node(agents),
            _registered(driver),
        ),
    )


def _manifests(settings: Settings) -> tuple[Object, ...]:
    names = settings.namespaces
    shared = {
        "server": names.spire_server,
        "system": names.spire_system,
        "trust_domain": settings.trust_domain,
        "cluster_name": settings.cluster_name,
        "log_level": settings.spire.log_level,
    }
    files = {
        "server_conf": text(
            "spire/part-server.conf",
            ca_ttl=go_duration(settings.spire.ca_ttl),
            svid_ttl=go_duration(settings.spire.svid_ttl),
            **shared,
        ),
        "agent_conf": text("spire/part-agent.conf", **shared),
        "controller_manager": text("spire/part-controller-manager.yaml", cert_manager=names.cert_manager, **shared),
    }
    return render(
        "spire",
        **shared,
        **files,
        istio=names.istio,
        config_digest=digest(files),
        version=settings.versions.spire,
        controller_manager_version=settings.versions.spire_controller_manager,
        csi_version=settings.versions.spiffe_csi,
        registrar_version=settings.versions.csi_node_driver_registrar,
        cpu=settings.resources.cpu,
        memory=settings.resources.memory,
        storage_size=settings.spire.storage.size,
        storage_class=settings.spire.storage.class_name,
        spiffe_id=SPIFFE_ID,
    )


def _minted(settings: Settings, server: Ref) -> Gate:
    """SPIRE deletes its CertificateRequest after each mint, so its CA is read off what it serves."""

    def check(reader: Reader) -> Readiness:
        pin = pinned(reader)
        if pin is None:
            return Waiting(f"{PIN} is not there yet")
        name = f"spire-server.{server.namespace}"
        pods = pods_of(reader, server)
        if not pods:
            return Waiting("there is no pod of spire-server")
        for pod in pods:
            why = unproven(reader, Listener(pod_ref(pod), SERVER_PORT, name), pin)
            if why:
                return Waiting(why)
        return Ready("its CA was minted through cert-manager, under the pinned root")

    return Gate(
        name="authority",
        proves="spire-server's CA is minted through cert-manager and lies under the pinned root",
        check=check,
        hint=f"look at the CertificateRequests and `kubectl -n {settings.namespaces.spire_server} logs spire-server-0`",
        code="MPK-214",
        watches=(only(server),),
    )


def _published(settings: Settings) -> Gate:
    bundle = Ref("v1", "ConfigMap", settings.namespaces.spire_system, "spire-bundle")

    def check(reader: Reader) -> Readiness:
        pin, live = pinned(reader), reader.get(bundle) or {}
        return judge_bundle(live.get("data", {}).get("bundle.crt", ""), pin.fingerprints if pin else frozenset())

    return Gate(
        name="bundle",
        proves="the trust bundle that SPIRE publishes is exactly the pinned root",
        check=check,
        hint=f"look at `kubectl -n {bundle.namespace} get configmap spire-bundle -o yaml`",
        code="MPK-216",
        watches=(only(bundle),),
    )


def judge_bundle(pem: str, roots: frozenset[str]) -> Readiness:
    """Whether a published bundle holds the pinned roots (SHA-256 in hex) and nothing else."""
    if not pem:
        return Waiting("SPIRE has not published a bundle yet")
    try:
        found = read_bundle(pem.encode()).fingerprints
    except MeshpkiError as error:
        return Waiting(error.what)
    if found == roots:
        return Ready("one root, the pinned one" if len(roots) == 1 else f"the {len(roots)} pinned roots")
    return Waiting(f"it holds {', '.join(sorted(found))}; expected {', '.join(sorted(roots))}")


def _on_every_node(agents: Ref) -> Gate:
    def check(reader: Reader) -> Readiness:
        match judge_rollout(reader, agents):
            case (Waiting() | Failed()) as shut:
                return shut
            case _:
                pass
        ready = {pod["spec"].get("nodeName", "") for pod in pods_of(reader, agents) if _ready(pod)}
        missing = schedulable(reader.list(_NODES)) - ready
        if missing:
            return Waiting(f"no attested agent on {', '.join(sorted(missing))}")
        return Ready(f"attested on {', '.join(sorted(ready))}")

    return Gate(
        name="agents",
        proves="an agent is attested on every schedulable node",
        check=check,
        hint=f"look at `kubectl -n {agents.namespace} logs ds/spire-agent`",
        code="MPK-215",
        watches=(only(agents), _NODES),
    )


def _ready(pod: Object) -> bool:
    """Whether its containers are known, and all of them are ready."""
    found = pod.get("status", {}).get("containerStatuses") or []
    return bool(found) and all(status.get("ready") for status in found)


def schedulable(nodes: list[Object]) -> set[str]:
    """The names of the nodes that take new pods."""
    return {node["metadata"]["name"] for node in nodes if not node.get("spec", {}).get("unschedulable")}


def _registered(driver: Ref) -> Gate:
    def check(reader: Reader) -> Readiness:
        match judge_rollout(reader, driver):
            case (Waiting() | Failed()) as shut:
                return shut
            case _:
                pass
        known = {
            node["metadata"]["name"]
            for node in reader.list(Query("storage.k8s.io/v1", "CSINode"))
            if any(item["name"] == CSI_DRIVER for item in node["spec"].get("drivers") or [])
        }
        missing = schedulable(reader.list(_NODES)) - known
        if missing:
            return Waiting(f"{CSI_DRIVER} is not registered on {', '.join(sorted(missing))}")
        return Ready(f"{CSI_DRIVER} on {len(known)} node" + ("s" if len(known) != 1 else ""))

    return Gate(
        name="csi",
        proves="the CSI driver is registered on every schedulable node",
        check=check,
        hint=f"look at `kubectl -n {driver.namespace} logs ds/spiffe-csi-driver -c node-driver-registrar`",
        code="MPK-215",
        watches=(only(driver), Query("storage.k8s.io/v1", "CSINode")),
    )
