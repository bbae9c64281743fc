"""Who may obtain a certificate from the root: RBAC, expanded to its subjects. Other authorizers are not seen here."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from meshpki.cluster.manifest import Object, Ref, ref_of
from meshpki.components.trust import ALIAS, CERT_MANAGER
from meshpki.pki.verdict import Finding
from meshpki.roles.role import PART_OF
from meshpki.settings import Settings
from meshpki.verify.observation import Requester
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict
from meshpki.words import first_of

KINDS = ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")
_GROUP = CERT_MANAGER.partition("/")[0]
# A request's spec cannot be changed; a Certificate's can, and cert-manager then makes the request.
_VERBS = {"certificaterequests": ("create",), "certificates": ("create", "update", "patch")}
PLACE = Place(PlaceKind.REQUESTERS, Ref(CERT_MANAGER, "ClusterIssuer", "", ALIAS))
# Whoever is in these may do everything in the cluster anyway (Kubernetes' own, and kubeadm's since 1.29).
_ADMINISTRATORS = ("Group system:masters", "Group kubeadm:cluster-admins")
# Kubernetes' own controllers, as the garbage collector, which may patch everything.
_CONTROLLERS = "system:controller:"
_SHOWN = 20
_FEW = 5
# By `meshpki rbac install` and `operate`: both have Certificates issued, for that they are there.
PRINTED = ("meshpki-install", "meshpki-operate")
# A subject's name may be any text; a ServiceAccount's is at most this long.
_LONGEST = 330


def requesters(objects: Iterable[Object], settings: Settings) -> tuple[Requester, ...]:
    """Everybody whom the roles and bindings let create a request, or a Certificate; not the mesh's own parts.

    Left out besides: administrators (`system:masters`, `kubeadm:cluster-admins`), Kubernetes' own controllers, and whom
    the roles that `meshpki rbac` prints for `up` and `rotate` are bound to: nobody can bind these without their rights.
    """
    read = [one for one in objects if one["kind"] in KINDS]
    roles = {_role(one): _resources(one) for one in read if not one["kind"].endswith("Binding")}
    found = {
        Requester(subject, resource, binding["metadata"].get("namespace", ""), ref_of(binding))
        for binding in read
        if binding["kind"].endswith("Binding")
        for resource in roles.get(_bound(binding), ())
        for subject in _subjects(binding)
        if not _exempt(subject, binding, settings)
    }
    return tuple(sorted(found, key=lambda one: (one.subject, one.namespace, one.resource, one.through)))


def judge_requesters(found: Sequence[Requester] | None, *, policed: bool = False) -> Iterator[PlaceVerdict]:
    """44: nobody but the mesh's own may obtain a certificate from the root; one warning with everybody who may.

    Whoever may ask obtains nothing where policies were seen to judge. No verdict here where RBAC was not read.
    """
    if found is None:
        return
    if not found:
        yield PlaceVerdict(PLACE, "proven", reason="by RBAC, only the mesh's own and its operators may ask it")
        return
    everybody = [_in_words(subject, list(rights)) for subject, rights in groupby(found, lambda one: one.subject)]
    if policed:
        reason = f"{len(everybody)} others may ask it, by RBAC; approver-policy denied a rogue's request"
        yield PlaceVerdict(PLACE, "proven", reason=reason)
        return
    remedy = "narrow these bindings, or have policies approve the mesh's own CAs alone (approval.policy)"
    expected = "by RBAC, only the mesh's own parts may ask the root for a certificate"
    warning = Finding("MPK-370", "warn", 44, expected, first_of(everybody, _SHOWN, "; "), remedy)
    yield PlaceVerdict(PLACE, "proven", findings=(warning,), reason=f"{len(everybody)} others may ask it, by RBAC")


def _in_words(subject: str, rights: Sequence[Requester]) -> str:
    where = sorted({f"namespace {one.namespace}" if one.namespace else "every namespace" for one in rights})
    through = sorted({str(one.through) for one in rights})
    return f"{subject[:_LONGEST]} ({first_of(where, _FEW)}; through {first_of(through, _FEW)})"


def _resources(role: Object) -> tuple[str, ...]:
    rules = role.get("rules") or ()
    return tuple(name for name, verbs in _VERBS.items() if any(_grants(rule, name, verbs) for rule in rules))


def _grants(rule: Object, resource: str, verbs: Sequence[str]) -> bool:
    return (
        _any(rule, "apiGroups", (_GROUP, "*"))
        and _any(rule, "resources", (resource, "*"))
        and _any(rule, "verbs", (*verbs, "*"))
    )


def _any(rule: Object, field: str, wanted: Sequence[str]) -> bool:
    return any(one in wanted for one in rule.get(field) or ())


def _role(role: Object) -> tuple[str, str, str]:
    metadata = role["metadata"]
    return role["kind"], metadata.get("namespace", ""), metadata["name"]


def _bound(binding: Object) -> tuple[str, str, str]:
    """The role that a binding names: a RoleBinding's Role lies in its own namespace."""
    reference = binding["roleRef"]
    namespace = binding["metadata"].get("namespace", "") if reference["kind"] == "Role" else ""
    return reference["kind"], namespace, reference["name"]


def _subjects(binding: Object) -> Iterator[str]:
    for subject in binding.get("subjects") or ():
        namespace = subject.get("namespace") or binding["metadata"].get("namespace", "")
        yield str(Ref("", subject["kind"], namespace if subject["kind"] == "ServiceAccount" else "", subject["name"]))


def _exempt(subject: str, binding: Object, settings: Settings) -> bool:
    names, namespace = settings.namespaces, binding["metadata"].get("namespace", "")
    if subject in _ADMINISTRATORS or subject == f"ServiceAccount {names.cert_manager}/cert-manager":
        return True
    if (subject, namespace) == (f"ServiceAccount {names.spire_server}/spire-server", names.spire_server):
        return True
    if PART_OF.items() <= (binding["metadata"].get("labels") or {}).items() and binding["roleRef"]["name"] in PRINTED:
        return True
    own = binding["kind"] == "ClusterRoleBinding" and binding["metadata"]["name"].startswith(_CONTROLLERS)
    return own and subject.startswith("ServiceAccount kube-system/")
