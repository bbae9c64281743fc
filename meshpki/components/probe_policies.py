"""What in the cluster would block the probe, or falsify what it sees.

Most of it is found before anything of the probe is made; what somebody's controllers put into its namespace, after.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref, ours, ref_of
from meshpki.components.probe_authorization import Asked, Maybe, meets
from meshpki.components.probe_flow import CLIENT, HOST, NAMESPACE, SERVER
from meshpki.settings import Settings

_AUTHORIZATION = ("security.istio.io/v1", "AuthorizationPolicy")
_RULE = ("networking.istio.io/v1", "DestinationRule")
_NETWORK = ("networking.k8s.io/v1", "NetworkPolicy")
_GATEWAY_LABELS = {"istio": "ingressgateway", "app": "istio-ingressgateway"}
_GATEWAY_ACCOUNT = "istio-ingressgateway-service-account"
# What the probe asks of the gateway, from outside the mesh.
_OUTSIDE = Asked("", "", HOST)


@dataclass(frozen=True)
class Surroundings:
    """The objects that can reach the probe: those of the mesh's root namespace, and of the probe's own."""

    namespace: Object | None = None
    authorization: tuple[Object, ...] = ()
    destination_rules: tuple[Object, ...] = ()
    network: tuple[Object, ...] = ()
    quotas: tuple[Object, ...] = ()


@dataclass(frozen=True)
class Block:
    """An object in the probe's way; not `certain` where it depends on what cannot be told beforehand."""

    ref: Ref
    why: str
    certain: bool = True


def look(reader: Reader, settings: Settings) -> Surroundings:
    """Gather what `blocks` judges; raises ClusterError where a right is missing."""
    namespaces = (settings.namespaces.istio, NAMESPACE)

    def of(kind: tuple[str, str]) -> tuple[Object, ...]:
        return tuple(one for namespace in namespaces for one in reader.list(Query(*kind, namespace)))

    return Surroundings(
        namespace=reader.get(Ref("v1", "Namespace", "", NAMESPACE)),
        authorization=of(_AUTHORIZATION),
        destination_rules=tuple(reader.list(Query(*_RULE, settings.namespaces.istio))),
        network=of(_NETWORK),
        quotas=tuple(reader.list(Query("v1", "ResourceQuota", NAMESPACE))),
    )


def blocks(seen: Surroundings, settings: Settings, nodes: int) -> tuple[Block, ...]:
    """Everything in the way of a probe on this many nodes; what meshpki made itself is none of it."""
    return (*_namespace(seen), *_authorization(seen, settings), *_rules(seen), *_network(seen), *_quotas(seen, nodes))


def _namespace(seen: Surroundings) -> Iterator[Block]:
    if seen.namespace is None:
        return
    ref = Ref("v1", "Namespace", "", NAMESPACE)
    if not ours(seen.namespace):
        yield Block(ref, "meshpki did not make it, and touches nothing that is not its own")
    elif "deletionTimestamp" in seen.namespace["metadata"]:
        yield Block(ref, "it is still being deleted: try again in a moment")


def _authorization(seen: Surroundings, settings: Settings) -> Iterator[Block]:
    """DENY and CUSTOM for servers and gateway; ALLOW for the gateway alone, as the probe brings its own for servers."""
    others = [one for one in seen.authorization if not ours(one)]
    for policy in others:
        for asked in _reached(policy, settings):
            yield from _refusing(policy, meets(policy, asked))
    yield from _closed_gateway([one for one in others if _at_gateway(one, settings)])


def _reached(policy: Object, settings: Settings) -> Iterator[Asked]:
    """The probe's requests that a policy has a say in: those at its servers, and the one at the gateway."""
    root, domain = settings.namespaces.istio, settings.trust_domain
    if _selects(policy, {"app": SERVER}):
        yield Asked(f"{domain}/ns/{NAMESPACE}/sa/{CLIENT}", NAMESPACE, f"{SERVER}-0:8080")
        yield Asked(f"{domain}/ns/{root}/sa/{_GATEWAY_ACCOUNT}", root, HOST)
    if _at_gateway(policy, settings):
        yield _OUTSIDE


def _at_gateway(policy: Object, settings: Settings) -> bool:
    return policy["metadata"]["namespace"] == settings.namespaces.istio and _selects(policy, _GATEWAY_LABELS)


def _closed_gateway(policies: Iterable[Object]) -> Iterator[Block]:
    """Where one policy allows something, what none of them allows is refused."""
    allowing = [one for one in policies if _action(one) == "ALLOW"]
    answers = [meets(policy, _OUTSIDE) for policy in allowing]
    if allowing and True not in answers:
        why = f"the gateway allows only what it names, and it does not name host {HOST}"
        yield Block(ref_of(allowing[0]), why, certain=None not in answers)


def _refusing(policy: Object, met: Maybe) -> Iterator[Block]:
    match _action(policy):
        case "DENY" if met is not False:
            yield Block(ref_of(policy), "it denies requests of the probe", certain=bool(met))
        case "CUSTOM" if met is not False:
            yield Block(ref_of(policy), "it hands requests of the probe to another authorizer", certain=False)
        case _:
            pass


def _rules(seen: Surroundings) -> Iterator[Block]:
    """The gateway takes a DestinationRule of its own namespace before the probe's."""
    host = f"{SERVER}.{NAMESPACE}.svc.cluster.local"
    for rule in seen.destination_rules:
        pattern = str(rule.get("spec", {}).get("host", ""))
        if pattern in (host, "*") or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            yield Block(ref_of(rule), "the gateway takes it before the probe's own, and may keep connections open")


def _network(seen: Surroundings) -> Iterator[Block]:
    pods = (({"app": SERVER}, "Ingress"), ({"app": CLIENT}, "Egress"), ({"app": SERVER}, "Egress"))
    wanted = [(NAMESPACE, labels, way) for labels, way in (*pods, ({"app": CLIENT}, "Ingress"))]
    told = set()
    for namespace, labels, way in (*wanted, *((_istio, _GATEWAY_LABELS, "Ingress") for _istio in _roots(seen))):
        reaching = [one for one in seen.network if _reaches(one, namespace, labels, way)]
        if reaching and not any({} in (one["spec"].get(way.lower()) or []) for one in reaching):
            told.add((ref_of(reaching[0]), way))
    for ref, way in sorted(told):
        yield Block(
            ref, f"it leaves {way.lower()} to the rules of policies, which may not name the probe", certain=False
        )


def _roots(seen: Surroundings) -> set[str]:
    return {one["metadata"]["namespace"] for one in seen.network} - {NAMESPACE}


def _reaches(policy: Object, namespace: str, labels: dict[str, str], way: str) -> bool:
    spec = policy["spec"]
    ways = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    selector = spec.get("podSelector") or {}
    chosen = (selector.get("matchLabels") or {}).items() <= labels.items() and not selector.get("matchExpressions")
    return policy["metadata"]["namespace"] == namespace and way in ways and chosen


def _quotas(seen: Surroundings, nodes: int) -> Iterator[Block]:
    pods = 2 * nodes + 1
    for quota in seen.quotas:
        hard = quota.get("spec", {}).get("hard", {})
        for name in ("pods", "count/pods"):
            room = str(hard.get(name, pods))
            if room.isascii() and room.isdecimal() and int(room) < pods:
                yield Block(ref_of(quota), f"it lets {room} pods in, the probe has {pods}")
        if any(name.startswith("limits.") for name in hard):
            yield Block(ref_of(quota), "it asks for limits, and the probe's containers have none", certain=False)


def _action(policy: Object) -> str:
    return str(policy.get("spec", {}).get("action") or "ALLOW")


def _selects(policy: Object, labels: dict[str, str]) -> bool:
    """Whether a policy of the root namespace or the pod's own reaches pods with these labels."""
    spec = policy.get("spec", {})
    if spec.get("targetRefs") or spec.get("targetRef"):
        return False
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    return bool(wanted.items() <= labels.items())


def told(found: Iterable[Block]) -> Sequence[str]:
    """Each block as a line for people."""
    return [f"{one.ref}: {one.why}{'' if one.certain else ' (may be)'}" for one in found]
