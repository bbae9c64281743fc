"""The single reads of the survey: what each looks at, the right it takes, and the part of the observation it gives."""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref, ref_of
from meshpki.components import spire_authorities
from meshpki.components.istio import istio_hooks
from meshpki.components.rogue_request import rogue_ref, was_denied
from meshpki.components.rollout import pods_of
from meshpki.components.serving import pod_ref
from meshpki.components.spire_authorities import Authority, Slots
from meshpki.components.trust import CERT_MANAGER, PIN, istiod_certificate, pinned
from meshpki.errors import MeshpkiError, PreconditionError, StepError
from meshpki.pki.certificate import UnparsableError
from meshpki.pki.handshake import served_chain
from meshpki.roles.role import RBAC
from meshpki.settings import Settings
from meshpki.verify.bundles import ISTIO_BUNDLE, ISTIO_BUNDLES
from meshpki.verify.injection import injecting
from meshpki.verify.issuance import signed
from meshpki.verify.listeners import server_name
from meshpki.verify.observation import Kept, LocalAuthorities, Observation, Served
from meshpki.verify.places import Place, PlaceKind, Unseen
from meshpki.verify.requesters import KINDS, requesters
from meshpki.verify.requesters import PLACE as REQUESTERS


@dataclass(frozen=True)
class Look:
    """One read; `right` ends the sentence "it needs the right to".

    `place` is what is there in any case, so that it is unknown where it cannot be read; None where there need not be.
    """

    what: str
    right: str
    take: Callable[[], Observation]
    place: Place | None = None


def clock(reader: Reader, at: datetime) -> Look:
    """The API server's clock, minus this machine's."""

    def take() -> Observation:
        there = reader.date()
        return Observation(skew=None if there is None else there - at.replace(microsecond=0))

    return Look("the API server's clock", "`get` /version", take)


def pin(reader: Reader) -> Look:
    """The roots that are pinned, and what is written beside them."""
    right = f"`get` configmaps/{PIN.name} in {PIN.namespace}"
    return Look(f"the pin {PIN}", right, lambda: Observation(pin=pinned(reader)))


def replicas(reader: Reader, workload: Ref, kind: PlaceKind, ports: Sequence[int]) -> Look:
    """Every port of every pod of a workload that serves; nothing is asked of them yet."""

    def take() -> Observation:
        pods = pods_of(reader, workload)
        places = [Place(kind, pod_ref(pod), f"port {port}") for pod in pods for port in ports]
        missing = PreconditionError("MPK-351", f"{workload} has no pod", remedy="install the mesh: meshpki up")
        return Observation(served=tuple(map(Served, places)) or (Served(Place(kind, workload), error=missing),))

    right = f"`get` {workload.kind.lower()}s/{workload.name} and `list` pods in {workload.namespace}"
    return Look(f"what {workload} serves", right, take, Place(kind, workload))


def asked(reader: Reader, served: Served) -> Served:
    """The listener with the chain that it serves, or why none came."""
    if served.error:
        return served
    port = int(served.place.detail.removeprefix("port "))
    try:
        with reader.forward(served.place.ref, port) as connection:
            return replace(served, chain=served_chain(connection, server_name(served)))
    except MeshpkiError as error:
        return replace(served, error=error)


def webhooks(reader: Reader, query: Query, istio: str) -> Look:
    """The caBundles of the webhooks that are Istio's own, or that ask an istiod in its namespace."""

    def take() -> Observation:
        return Observation(kept=tuple(_hook(one, hook) for one in reader.list(query) for hook in _hooks(one, istio)))

    resource, place = f"{query.kind.lower()}s", webhook_place(query)
    return Look(f"Istio's {resource}", f"`list` {resource}.admissionregistration.k8s.io", take, place)


def istio_bundles(reader: Reader, istio: str) -> Look:
    """Istio's bundle, of every namespace that has one; `istio` is istiod's own."""

    def take() -> Observation:
        found = reader.list(Query("v1", "ConfigMap", fields=f"metadata.name={ISTIO_BUNDLE}"))
        return Observation(kept=tuple(_kept(PlaceKind.ISTIO_BUNDLE, one, "root-cert.pem") for one in found))

    place = Place(PlaceKind.ISTIO_BUNDLE, Ref("v1", "ConfigMap", istio, ISTIO_BUNDLE))
    return Look(ISTIO_BUNDLES, f"`list` configmaps/{ISTIO_BUNDLE} in every namespace", take, place)


def spire_bundle(reader: Reader, system: str) -> Look:
    """The bundle that SPIRE publishes in its system's namespace."""
    bundle = Ref("v1", "ConfigMap", system, "spire-bundle")
    place = Place(PlaceKind.SPIRE_BUNDLE, bundle)

    def take() -> Observation:
        live = reader.get(bundle)
        return Observation(kept=(_kept(place.kind, live, "bundle.crt") if live else Kept(place),))

    return Look(f"{bundle}", f"`get` configmaps/{bundle.name} in {system}", take, place)


def requests(reader: Reader, settings: Settings) -> Look:
    """What our issuers issued, and who asked them for a CA."""

    def take() -> Observation:
        found = reader.list(Query(CERT_MANAGER, "CertificateRequest"))
        rogue = rogue_ref(settings.namespaces.cert_manager)
        denied = any(ref_of(one) == rogue and was_denied(one) for one in found)
        return Observation(signed=signed(found, settings), policed=settings.approval.policy and denied)

    right = "`list` certificaterequests.cert-manager.io in every namespace"
    place = Place(PlaceKind.ISTIOD_CA, istiod_certificate(settings))
    return Look("CertificateRequests: what the root issued, and for whom", right, take, place)


def namespaces(reader: Reader) -> Look:
    """Which namespaces have their pods injected: a pod without a sidecar is of the mesh there, too."""

    def take() -> Observation:
        return Observation(injecting=injecting(reader.list(Query("v1", "Namespace"))))

    return Look("pods that should have a sidecar and have none", "`list` namespaces", take)


def who_may_ask(reader: Reader, settings: Settings) -> Look:
    """Who may obtain a certificate from the root."""

    def take() -> Observation:
        found = requesters([one for kind in KINDS for one in reader.list(Query(RBAC, kind))], settings)
        others = Unseen(
            "authorizers other than RBAC, and approval policies of others", "whoever runs the cluster to ask"
        )
        return Observation(requesters=found, unseen=(others,))

    right = "`list` roles, clusterroles, rolebindings and clusterrolebindings in every namespace"
    return Look("who may obtain a certificate from the root", right, take, REQUESTERS)


def local(reader: Reader, settings: Settings) -> Look:
    """SPIRE's own list of its CAs, of all servers or none: a silent one's CA would pass for a stranger's."""
    server = Ref("apps/v1", "StatefulSet", settings.namespaces.spire_server, "spire-server")

    def take() -> Observation:
        listed = [_slots(reader, pod) for pod in spire_authorities.servers(reader, settings)]
        return Observation(local=_local(listed) if listed else None)

    right = f"`get` and `create` pods/exec, and `get` statefulsets/{server.name}, in {server.namespace}"
    return Look(
        "SPIRE's prepared and old CAs", right, take, Place(PlaceKind.SPIRE_SERVER, server, "its own list of CAs")
    )


def _slots(reader: Reader, server: Object) -> Slots:
    """A list with nothing in it would make every CA a stranger's; raises StepError as `spire_authorities.slots`."""
    found = spire_authorities.slots(reader, server)
    if found == Slots():
        what, remedy = "the answer lists no authority", "look at the version of SPIRE, and run it by hand"
        raise StepError("MPK-420", what, where=str(pod_ref(server)), remedy=remedy)
    return found


def _local(listed: Sequence[Slots]) -> LocalAuthorities:
    """The authorities of several servers, each of which has its own."""

    def ids(found: Iterable[Authority | None]) -> frozenset[str]:
        return frozenset(one.authority_id for one in found if one)

    return LocalAuthorities(
        ids(one.active for one in listed), ids(one.prepared for one in listed), ids(one.old for one in listed)
    )


def _kept(kind: PlaceKind, config_map: Object, key: str) -> Kept:
    return Kept(Place(kind, ref_of(config_map)), config_map.get("data", {}).get(key, "").encode())


def webhook_place(query: Query) -> Place:
    """Where the webhooks of one kind stand as long as none of them is known."""
    return Place(PlaceKind.WEBHOOK, Ref(query.api_version, query.kind, "", "of Istio"))


def _hooks(configuration: Object, istio: str) -> list[Object]:
    """Labels can be taken off: whom the API server asks tells as well whose a webhook is."""
    return istio_hooks(configuration) or [one for one in configuration.get("webhooks", ()) if _asks_istiod(one, istio)]


def _asks_istiod(hook: Object, istio: str) -> bool:
    service = hook.get("clientConfig", {}).get("service") or {}
    return service.get("namespace") == istio and str(service.get("name", "")).startswith("istiod")


def _hook(configuration: Object, hook: Object) -> Kept:
    place = Place(PlaceKind.WEBHOOK, ref_of(configuration), hook["name"])
    try:
        return Kept(place, base64.b64decode(hook.get("clientConfig", {}).get("caBundle", ""), validate=True))
    except ValueError:
        return Kept(place, error=UnparsableError("the caBundle is no base64"))
