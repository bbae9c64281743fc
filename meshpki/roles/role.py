"""A right, who is given it, and the roles and bindings that say so in RBAC's own objects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from meshpki.cluster.manifest import Object

RBAC = "rbac.authorization.k8s.io/v1"
RBAC_GROUP = RBAC.partition("/")[0]
# Whoever applies them manages them: no label of ours says otherwise.
PART_OF = {"app.kubernetes.io/part-of": "meshpki"}
_DESCRIPTION = "kubernetes.io/description"


@dataclass(frozen=True)
class Right:
    """Verbs on one resource; an empty `namespace` means all of them, no `names` every object.

    `role` is the role that it goes into: what is optional has one of its own, so that it can be left out.
    """

    role: str
    namespace: str
    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def rule(self) -> Object:
        """As RBAC writes it."""
        rule: Object = {"apiGroups": [self.group], "resources": [self.resource], "verbs": list(self.verbs)}
        return {**rule, "resourceNames": list(self.names)} if self.names else rule


# Rights, and what each of their roles is for.
Granted = tuple[list[Right], dict[str, str]]


@dataclass(frozen=True)
class Subject:
    """Who is given the rights: `kind` is User, Group or ServiceAccount, which alone has a namespace."""

    kind: str
    name: str
    namespace: str = ""

    @property
    def manifest(self) -> Object:
        """As a binding names it."""
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"kind": self.kind, "name": self.name, "apiGroup": RBAC_GROUP}


def manifests(granted: Iterable[Right], subjects: Sequence[Subject], purposes: Mapping[str, str]) -> Iterator[Object]:
    """The roles of some rights, a ClusterRole where they hold everywhere, and a binding of each to the subjects.

    `purposes` says of each role's name what it is for.
    """
    ordered = sorted(granted, key=lambda right: (right.role, right.namespace))
    for (name, namespace), same in groupby(ordered, lambda right: (right.role, right.namespace)):
        kind, notes = "Role" if namespace else "ClusterRole", purposes[name]
        yield {**_head(kind, name, namespace, notes), "rules": [right.rule for right in same]}
        yield {
            **_head(f"{kind}Binding", name, namespace, notes),
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": name},
            "subjects": [subject.manifest for subject in subjects],
        }


def inside(rights: Iterable[Right], role: str, under: str, purposes: Mapping[str, str]) -> Granted:
    """One command's rights as a part of another's role: two roles of one name would take each other's subjects.

    `role` is what their roles' names begin with, `under` what takes its place.
    """
    named = {name: name.replace(role, under, 1) for name in purposes}
    return [replace(one, role=named[one.role]) for one in rights], {named[name]: why for name, why in purposes.items()}


def _head(kind: str, name: str, namespace: str, purpose: str) -> Object:
    place = {"namespace": namespace} if namespace else {}
    notes = {"labels": PART_OF, "annotations": {_DESCRIPTION: purpose}}
    return {"apiVersion": RBAC, "kind": kind, "metadata": {"name": name, **place, **notes}}
