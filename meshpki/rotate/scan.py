"""The looks of a root rotation: reads alone, side by side, and no Secret's data; and what a look did not see."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import Reader
from meshpki.cluster.envoy import Secrets
from meshpki.cluster.manifest import Ref
from meshpki.components import spire_authorities
from meshpki.components.trust import ALIAS, CERT_MANAGER, issued, istiod_certificate, root_name
from meshpki.errors import MeshpkiError
from meshpki.pki.bundle import read_bundle
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.chain import proves
from meshpki.rotate.acts import anchors_of_secret
from meshpki.rotate.facts import Envoy, Facts, Keeper, Server, SpireServer, Turn
from meshpki.settings import Settings
from meshpki.verify import gather, looks, survey
from meshpki.verify.bundles import ISTIO_BUNDLE
from meshpki.verify.judge import Seen, Unread, Without, anchors_of
from meshpki.verify.observation import Kept, Served
from meshpki.verify.places import PlaceKind
from meshpki.verify.pods import MeshPod, mesh_pods
from meshpki.verify.scope import Scope

_WIDTH = 64
_IN_FLIGHT = 16
_ALIAS = Ref(CERT_MANAGER, "ClusterIssuer", "", ALIAS)


def facts(reader: Reader, settings: Settings, turn: Turn) -> Facts:
    """One look at everything that a rotation between two roots touches; raises ClusterError, StepError (MPK-420)."""
    at, roots = datetime.now(UTC), (turn.leaving.root, turn.entering.root)
    with abreast(_IN_FLIGHT, "scan") as pool:
        envoys = pool.submit(lambda: tuple(_envoys(reader, settings, roots, at)))
        servers = pool.submit(lambda: spire(reader, settings))
        seen = survey.joined(pool.map(lambda look: look.take(), survey.places_of_trust(reader, settings)))
        served = tuple(pool.map(lambda one: _listener(looks.asked(reader, one), roots, at), seen.served))
        kept = tuple((one.place.kind, _keeper(one)) for one in seen.kept)
        return Facts(
            at=at,
            alias=alias(reader, (turn.leaving.number, turn.entering.number)),
            cacerts=cacerts(reader, settings, roots, at),
            handed=anchors_of_secret(reader, settings),
            spire=servers.result(),
            envoys=envoys.result(),
            istio=tuple(one for kind, one in kept if kind is not PlaceKind.SPIRE_BUNDLE),
            published=tuple(one for kind, one in kept if kind is PlaceKind.SPIRE_BUNDLE),
            istiod=tuple(one for kind, one in served if kind is PlaceKind.ISTIOD),
            spire_serving=tuple(one for kind, one in served if kind is PlaceKind.SPIRE_SERVER),
            absent=_absent(reader, settings, len(servers.result())),
        )


def unseen(facts: Facts) -> tuple[str, ...]:
    """What of the mesh a look did not see, in words: nothing there, or no answer, is nobody who followed."""
    return (*unseen_spire(facts), *_missing_istiods(facts), *_missing_bundles(facts), *_missing_webhooks(facts))


def unseen_spire(facts: Facts) -> tuple[str, ...]:
    """What of spire-server cannot be seen: a server that is away may have tainted a root already."""
    return (*facts.absent, *(("there is no pod of spire-server",) if not facts.spire else ()))


def _missing_istiods(facts: Facts) -> Iterator[str]:
    if not facts.istiod:
        yield "there is no pod of istiod"
    yield from (f"{one.name}: {one.why or 'no answer'}" for one in facts.istiod if not one.sent)


def _missing_bundles(facts: Facts) -> Iterator[str]:
    """Every namespace with a proxy has a bundle of istiod's, by which whoever is born there verifies it."""
    kept = {one.place.ref for one in facts.istio}
    namespaces = sorted({one.pod.ref.namespace for one in facts.envoys})
    bundles = (Ref("v1", "ConfigMap", namespace, ISTIO_BUNDLE) for namespace in namespaces)
    return (f"{bundle} is not there" for bundle in bundles if bundle not in kept)


def _missing_webhooks(facts: Facts) -> Iterator[str]:
    if not any(one.place.kind is PlaceKind.WEBHOOK for one in facts.istio):
        yield "there is no webhook of Istio"


def alias(reader: Reader, known: Iterable[int]) -> int:
    """The generation that the alias issuer signs with; 0 where that is none of those known."""
    live = reader.get(_ALIAS) or {}
    name = live.get("spec", {}).get("ca", {}).get("secretName", "")
    return next((number for number in known if root_name(number) == name), 0)


def cacerts(reader: Reader, settings: Settings, roots: Sequence[Certificate], at: datetime) -> str:
    """The root above the newest `cacerts`; empty while it is being issued, or where it is none of these."""
    _, chain = issued(reader, istiod_certificate(settings))
    return _root_above(chain, roots, at) if chain else ""


def spire(reader: Reader, settings: Settings) -> tuple[SpireServer, ...]:
    """Every spire-server with its slots and its bundle, by exec into its pod."""
    return tuple(
        SpireServer(pod, spire_authorities.slots(reader, pod), spire_authorities.trusted(reader, pod))
        for pod in spire_authorities.servers(reader, settings)
    )


def _absent(reader: Reader, settings: Settings, there: int) -> tuple[str, ...]:
    """A server that is not there now comes back with the CAs it had, so none may be missed."""
    wanted = int((reader.get(spire_authorities.server_set(settings)) or {}).get("spec", {}).get("replicas", 1))
    return (f"spire-server: {there} of {wanted} pods are there",) if there < wanted else ()


def _envoys(reader: Reader, settings: Settings, roots: Sequence[Certificate], at: datetime) -> Iterator[Envoy]:
    mesh = mesh_pods(gather.pods(reader, Scope()))
    for pod, seen in gather.secrets(reader, mesh, _WIDTH, lambda _done, _of: None):
        yield _envoy(pod, seen, settings.trust_domain, roots, at)


def _envoy(pod: MeshPod, seen: Seen, trust_domain: str, roots: Sequence[Certificate], at: datetime) -> Envoy:
    match seen:
        case Unread(reason) | Without(reason):
            return Envoy(pod, None, why=reason)
        case Secrets():
            anchors = frozenset(one.sha256 for one in anchors_of(seen, trust_domain))
            try:
                chain = read_chain(seen.chain_pem)
            except UnparsableError as error:
                return Envoy(pod, anchors or None, why=error.what)
            return Envoy(pod, anchors or None, _root_above(chain, roots, at), chain[0])


def _root_above(chain: Sequence[Certificate], roots: Sequence[Certificate], at: datetime) -> str:
    return next((root.sha256 for root in roots if proves(chain, (root,), at) is None), "")


def _listener(served: Served, roots: Sequence[Certificate], at: datetime) -> tuple[PlaceKind, Server]:
    name, kind, pod = str(served.place), served.place.kind, served.place.ref.name
    if served.error:
        return kind, Server(name, "", served.error.what, pod=pod)
    root, sent = _root_above(served.chain, roots, at), frozenset(one.sha256 for one in served.chain)
    return kind, Server(name, root, sent=sent, issuer=served.chain[0].aki or "", pod=pod)


def _keeper(kept: Kept) -> Keeper:
    if kept.error:
        return Keeper(kept.place, None, kept.error.what)
    try:
        return Keeper(kept.place, read_bundle(kept.pem).fingerprints)
    except MeshpkiError as error:
        return Keeper(kept.place, None, error.what)
