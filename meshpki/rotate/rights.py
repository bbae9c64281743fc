"""The least roles of `rotate`, besides what verify reads: it replaces CAs, hurries and restarts pods, and probes."""

from collections import defaultdict
from collections.abc import Iterator

from meshpki.components.approval import ISTIOD_CA, POLICY
from meshpki.components.probe import probe
from meshpki.components.probe_control import UNTRUSTED
from meshpki.components.trust import ALIAS, CERT_MANAGER, PIN, STATE_NAMESPACE
from meshpki.rights import Asked, asked_of, holding_the_lease, resources
from meshpki.roles.role import Right
from meshpki.rotate.leaf import NAMESPACE, POD
from meshpki.settings import Settings
from meshpki.verify.bundles import ISTIO_BUNDLE

NAME = "meshpki-operate"
DRAIN, RETIRE = f"{NAME}-drain", f"{NAME}-retire"
PURPOSES = {
    NAME: "what meshpki rotate needs besides what verify reads",
    DRAIN: "for meshpki rotate root --compromised alone: restarts every workload with a proxy",
    RETIRE: "for meshpki rotate root --retire alone: destroys a key by its metadata, for which RBAC has no right apart",
}
_CERTIFICATES = CERT_MANAGER.partition("/")[0]
_APPLIED = ("get", "create", "patch")
_BESIDES = {"namespaces": ("delete",), "deployments": ("watch",)}


def rights(settings: Settings, nodes: int) -> tuple[Right, ...]:
    """Every right of `rotate istiod-ca`, `rotate spire-ca` and `rotate root` with a probe on so many nodes."""
    return (
        *_state(),
        *_cas(settings),
        *_pods(settings),
        *_looks(settings),
        *_probe(settings, nodes),
        *_rarely(settings),
    )


def needed(settings: Settings) -> tuple[Asked, ...]:
    """What a rotation changes by itself, to be asked for beforehand; what its probe takes, applying that will tell."""
    return asked_of((*_state(), *_cas(settings), *_pods(settings)))


def _state() -> Iterator[Right]:
    """The kept settings, the pin, and the Lease."""
    yield Right(NAME, STATE_NAMESPACE, "", "configmaps", ("create", "patch"), ("meshpki", PIN.name))
    yield from holding_the_lease(NAME)


def _cas(settings: Settings) -> Iterator[Right]:
    """The Certificates of the roots, whose numbers have no end, and of `cacerts`; the issuers that sign them."""
    names = settings.namespaces
    yield Right(NAME, names.cert_manager, _CERTIFICATES, "certificates", (*_APPLIED, "list", "watch"))
    yield Right(NAME, names.cert_manager, _CERTIFICATES, "issuers", _APPLIED, ("meshpki-selfsigned",))
    yield Right(NAME, "", _CERTIFICATES, "clusterissuers", (*_APPLIED, "watch"), (ALIAS,))
    yield Right(NAME, "", "", "namespaces", _APPLIED, (names.istio,))
    yield Right(NAME, names.istio, _CERTIFICATES, "certificates", (*_APPLIED, "watch"), ("cacerts",))
    yield Right(NAME, names.istio, _CERTIFICATES, "certificates/status", ("patch",), ("cacerts",))
    yield Right(NAME, names.istio, "", "secrets", ("get", "patch"), ("cacerts",))
    yield Right(NAME, "", _CERTIFICATES, "certificaterequests", ("watch",))
    if settings.approval.policy:
        group = POLICY[0].partition("/")[0]
        yield Right(NAME, "", group, "certificaterequestpolicies", (*_APPLIED, "watch"), (ISTIOD_CA,))


def _pods(settings: Settings) -> Iterator[Right]:
    """Kubelets are hurried by a pod's annotation, SPIRE's pods are replaced, and a new pod proves istiod's CA."""
    names = settings.namespaces
    yield Right(NAME, "", "", "pods", ("patch", "watch"))
    yield Right(NAME, "", "", "pods", ("get", "create", "patch", "delete"), (POD.name,))
    for namespace in sorted({names.spire_server, names.spire_system}):
        yield Right(NAME, namespace, "", "pods", ("delete",))
    yield Right(NAME, names.spire_system, "apps", "daemonsets", ("get", "patch", "watch"), ("spire-agent",))


def _looks(settings: Settings) -> Iterator[Right]:
    """What gates and the probe's policies look at; logs are istiod's and the probe's clients'."""
    names = settings.namespaces
    yield Right(NAME, "", "", "nodes", ("list",))
    yield Right(NAME, "", "", "pods/log", ("get",))
    yield Right(NAME, "", "", "resourcequotas", ("list",))
    yield Right(NAME, "", "networking.k8s.io", "networkpolicies", ("list",))
    yield Right(NAME, "", "security.istio.io", "authorizationpolicies", ("list",))
    yield Right(NAME, "", "networking.istio.io", "destinationrules", ("list",))
    yield Right(NAME, names.istio, "apps", "deployments", ("watch",), ("istiod",))
    yield Right(NAME, names.spire_server, "apps", "statefulsets", ("watch",), ("spire-server",))
    yield Right(NAME, names.istio, "", "configmaps", ("get",), ("istio", ISTIO_BUNDLE))
    yield Right(NAME, names.spire_server, "", "configmaps", ("get",), ("spire-server",))


def _probe(settings: Settings, nodes: int) -> Iterator[Right]:
    """The probe by the names of its objects, in whatever namespace: its own comes and goes with it."""
    manifests = probe(settings, [str(number) for number in range(nodes)]).manifests
    known, named = resources(manifests), defaultdict(set)
    for one in manifests:
        named[known[one["apiVersion"], one["kind"]]].add(str(one["metadata"]["name"]))
    for (group, resource), found in sorted(named.items()):
        verbs = (*_APPLIED, *_BESIDES.get(resource, ()))
        yield Right(NAME, "", group, resource, verbs, tuple(sorted({*found, *_of_the_leaf(resource)})))
    yield Right(NAME, "", "", "secrets", _APPLIED, (UNTRUSTED,))


def _of_the_leaf(resource: str) -> tuple[str, ...]:
    return (NAMESPACE.name,) if resource == "namespaces" else ()


def _rarely(settings: Settings) -> Iterator[Right]:
    for resource in ("deployments", "statefulsets", "daemonsets"):
        yield Right(DRAIN, "", "apps", resource, ("get", "patch"))
    yield Right(RETIRE, settings.namespaces.cert_manager, _CERTIFICATES, "certificates", ("delete",))
    yield Right(RETIRE, settings.namespaces.cert_manager, "", "secrets", ("get", "list", "delete"))
