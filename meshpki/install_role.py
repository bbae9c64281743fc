"""The least roles of `up`: each object that it applies by its name, and what its checks and gates look at.

Server-side apply of what is not there yet is authorized as a create of that very name (apiserver
pkg/endpoints/handlers/patch.go at 1.35), so that there is no right here to create whatever one likes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from meshpki.cluster.manifest import Object
from meshpki.components.approval import NAME as APPROVER_POLICY
from meshpki.components.approval import POLICY, objects, policies
from meshpki.components.rogue_request import APPROVER
from meshpki.components.rogue_request import NAME as ROGUE
from meshpki.components.root_probe import ISSUER
from meshpki.components.trust import CERT_MANAGER, PIN, STATE_NAMESPACE
from meshpki.rights import Resource, holding_the_lease, resources
from meshpki.roles.role import RBAC_GROUP, Right
from meshpki.settings import Settings

NAME = "meshpki-install"
ISTIOCTL, WITHDRAWAL = f"{NAME}-istioctl", f"{NAME}-withdrawal"
PURPOSES = {
    NAME: "what meshpki up, plan and preflight need besides what verify reads",
    ISTIOCTL: "for istioctl install alone: it lists Secrets, too, to remove those that it made once; not for plan",
    WITHDRAWAL: "for an up alone whose settings ask for approval policies no more: it takes approver-policy away",
}

_APPLIED = ("get", "create", "patch")
_CERTIFICATES = CERT_MANAGER.partition("/")[0]
_CRDS = "customresourcedefinitions"
_HOOKS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
# What gates are told the changes of, by name.
_WATCHED = {
    *("deployments", "statefulsets", "daemonsets"),
    *("certificates", "clusterissuers", "certificaterequestpolicies"),
}
# What is looked through for another mesh, whatever is to be installed.
_LOOKED_THROUGH = (
    *(("", resource) for resource in ("nodes", "namespaces")),
    *(("apps", resource) for resource in ("deployments", "statefulsets", "daemonsets")),
    ("storage.k8s.io", "storageclasses"),
)
# What a step's gates list, and of Istio what istioctl left of ours; its webhooks verify lists, too.
_LISTED = {
    "spire": (("storage.k8s.io", "csinodes"),),
    "istio": (
        *(("", resource) for resource in ("configmaps", "services", "serviceaccounts")),
        *((RBAC_GROUP, resource) for resource in ("clusterroles", "clusterrolebindings", "roles", "rolebindings")),
        ("apiextensions.k8s.io", _CRDS),
        ("policy", "poddisruptionbudgets"),
    ),
}


def rights(settings: Settings, manifests: Iterable[Object]) -> tuple[Right, ...]:
    """Every right to bring up, under the Lease, a mesh of these manifests: all that `meshpki render` writes."""
    every = list(manifests)
    listed = (right for step in _LISTED for right in lists(step))
    seen = (*looks(settings), *listed, *_watches(every, settings), *_tries(settings))
    optional = (*existing(settings), *approval(settings), *_withdrawing(settings))
    return (*made(every), *seen, *optional, *istioctl(settings))


def made(manifests: Sequence[Object]) -> tuple[Right, ...]:
    """The rights to apply these manifests, to pin the root, which is not rendered, and to hold the Lease."""
    return (*_applied(manifests), *_granting(manifests), *_state())


def namespaces(manifests: Iterable[Object]) -> Iterator[Object]:
    """Those that roles lie in, as `up` makes them: `down` takes them away again, whoever applied them."""
    return (one for one in manifests if one["kind"] == "Namespace")


def _applied(manifests: Sequence[Object]) -> Iterator[Right]:
    named: defaultdict[tuple[str, Resource], set[str]] = defaultdict(set)
    known = resources(manifests)
    for one in manifests:
        named[_namespace(one), known[one["apiVersion"], one["kind"]]].add(one["metadata"]["name"])
    for (namespace, (group, resource)), names in sorted(named.items()):
        verbs = (*_APPLIED, "watch") if resource in _WATCHED else _APPLIED
        yield Right(NAME, namespace, group, resource, verbs, tuple(sorted(names)))


def _granting(manifests: Sequence[Object]) -> Iterator[Right]:
    """What a role grants need not be held to make it, nor to bind it: `escalate` and `bind`, of these names alone."""
    made: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in manifests:
        kind, namespace = one["kind"], _namespace(one)
        if kind in ("Role", "ClusterRole"):
            made[namespace, kind, "escalate"].add(one["metadata"]["name"])
        if kind in ("RoleBinding", "ClusterRoleBinding"):
            made[namespace, one["roleRef"]["kind"], "bind"].add(one["roleRef"]["name"])
    for (namespace, kind, verb), names in sorted(made.items()):
        yield Right(NAME, namespace, RBAC_GROUP, f"{kind.lower()}s", (verb,), tuple(sorted(names)))


def _state() -> Iterator[Right]:
    """The pin, which is not rendered, and the Lease."""
    yield Right(NAME, STATE_NAMESPACE, "", "configmaps", (*_APPLIED, "watch"), (PIN.name,))
    yield from holding_the_lease(NAME)


def looks(settings: Settings) -> Iterator[Right]:
    """What preflight lists and reads besides what verify does, whatever is to be installed."""
    names = settings.namespaces
    for group, resource in _LOOKED_THROUGH:
        yield Right(NAME, "", group, resource, ("list",))
    yield Right(NAME, names.spire_server, "", "persistentvolumeclaims", ("list",))
    yield Right(NAME, "kube-node-lease", "coordination.k8s.io", "leases", ("list",))
    yield Right(NAME, names.istio, "", "secrets", ("get",), ("cacerts",))


def lists(step: str) -> Iterator[Right]:
    """What gates and programs of a step list besides that."""
    for group, resource in _LISTED.get(step, ()):
        yield Right(NAME, "", group, resource, ("list",))


def _watches(manifests: Sequence[Object], settings: Settings) -> Iterator[Right]:
    """What gates wait for that meshpki does not apply itself, or not by that name."""
    names = settings.namespaces
    crds = [one["metadata"]["name"] for one in manifests if one["kind"] == "CustomResourceDefinition"]
    awaited = tuple(sorted(name for name in crds if name.endswith(f".{_CERTIFICATES}")))
    yield Right(NAME, "", "apiextensions.k8s.io", _CRDS, ("watch",), awaited)
    yield Right(NAME, "", "", "nodes", ("watch",))
    yield Right(NAME, "", "storage.k8s.io", "csinodes", ("watch",))
    for resource in _HOOKS:
        yield Right(NAME, "", "admissionregistration.k8s.io", resource, ("watch",))
    yield Right(NAME, names.spire_system, "", "configmaps", ("watch",), ("spire-bundle",))
    yield Right(NAME, names.cert_manager, "discovery.k8s.io", "endpointslices", ("watch",))
    if settings.workloads.enabled:
        yield Right(NAME, names.bookinfo, "", "pods", ("watch",))
    for namespace in sorted({names.cert_manager, names.istio}):
        yield Right(NAME, namespace, _CERTIFICATES, "certificaterequests", ("watch",))


def _tries(settings: Settings) -> Iterator[Right]:
    """A command in a pod outside the mesh, and what is tried by dry runs."""
    if settings.workloads.enabled:
        yield Right(NAME, settings.namespaces.bookinfo, "", "pods/exec", ("get", "create"))
    for step in ("cert-manager", "istio"):
        yield from tried(settings, step)


def tried(settings: Settings, step: str) -> Iterator[Right]:
    """What a step's gates try by dry runs: a Certificate and a pod, for webhooks to judge and change."""
    names = settings.namespaces
    if step == "cert-manager":
        yield Right(NAME, names.cert_manager, _CERTIFICATES, "certificates", ("create", "patch"), ("meshpki-probe",))
    if step == "istio":
        yield Right(NAME, names.spire_system, "", "pods", ("create", "patch"), ("meshpki-probe",))


def istioctl(settings: Settings) -> Iterator[Right]:
    """What istioctl itself reads and writes besides its manifests (istio 1.29, operator/pkg/install and validation)."""
    istio = settings.namespaces.istio
    for group, resource in (
        ("", "secrets"),
        ("autoscaling", "horizontalpodautoscalers"),
        ("networking.istio.io", "envoyfilters"),
    ):
        yield Right(ISTIOCTL, "", group, resource, ("list",))
    yield Right(ISTIOCTL, istio, "apps", "replicasets", ("list",))
    yield Right(ISTIOCTL, istio, "", "services", ("create", "patch"), ("istiod-revision-tag-default",))
    hooks = "admissionregistration.k8s.io"
    yield Right(ISTIOCTL, "", hooks, _HOOKS[0], ("create", "patch"), ("istio-revision-tag-default",))
    yield Right(ISTIOCTL, "", hooks, _HOOKS[0], ("update",), ("istio-sidecar-injector",))
    # networks that do not go with its own
    yield Right(ISTIOCTL, "kube-system", "", "configmaps", ("get",), ("cilium-config",))
    yield Right(ISTIOCTL, "", "projectcalico.org", "felixconfigurations", ("get",), ("default",))


def existing(settings: Settings) -> Iterator[Right]:
    """Below a root of the user's: whether its Secret is there, and the request that shows what it signs."""
    if not settings.root.existing.secret_name:
        return
    names, probe = (settings.root.existing.secret_name,), (ISSUER.name,)
    space, verbs = settings.namespaces.cert_manager, (*_APPLIED, "delete")
    yield Right(NAME, space, "", "secrets", ("list",), names)
    yield Right(NAME, space, _CERTIFICATES, "certificaterequests", verbs, probe)
    yield Right(NAME, "", _CERTIFICATES, "clusterissuers", verbs, probe)


def approval(settings: Settings) -> Iterator[Right]:
    """With policies: a dry run of one, and the rogue request that has to be denied."""
    if not settings.approval.policy:
        return
    group, verbs = POLICY[0].partition("/")[0], (*_APPLIED, "watch", "delete")
    space = settings.namespaces.cert_manager
    yield Right(NAME, "", group, "certificaterequestpolicies", ("list",))
    yield Right(NAME, "", _CERTIFICATES, "certificates", ("list",))
    yield Right(NAME, "", group, "certificaterequestpolicies", ("create", "patch"), ("meshpki-probe",))
    yield Right(NAME, space, _CERTIFICATES, "certificaterequests", verbs, (ROGUE,))


def _withdrawing(settings: Settings) -> Iterator[Right]:
    """Without policies: whether approver-policy is there, and then to take it away."""
    if settings.approval.policy:
        return
    yield Right(NAME, settings.namespaces.cert_manager, "apps", "deployments", ("get",), (APPROVER_POLICY,))
    yield from withdrawal(settings)


def withdrawal(settings: Settings) -> Iterator[Right]:
    """To delete each thing of approver-policy by its name."""
    space, group = settings.namespaces.cert_manager, POLICY[0].partition("/")[0]
    yield Right(WITHDRAWAL, "", group, "certificaterequestpolicies", ("list",))
    leaving = (*objects(settings), *policies(settings))
    known = resources(leaving)
    for one in leaving:
        where = _namespace(one), *known[one["apiVersion"], one["kind"]]
        yield Right(WITHDRAWAL, *where, ("delete",), (one["metadata"]["name"],))
    for group, resource, name in (
        (_CERTIFICATES, "certificaterequests", ROGUE),
        ("", "secrets", f"{APPROVER_POLICY}-tls"),
        ("coordination.k8s.io", "leases", APPROVER),
    ):
        yield Right(WITHDRAWAL, space, group, resource, ("delete",), (name,))


def _namespace(manifest: Object) -> str:
    return str(manifest["metadata"].get("namespace", ""))
