"""The rights with which verify sees everything, each with what it is for: never a Secret, and no more than is used."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from meshpki.cluster.manifest import Object
from meshpki.components.trust import CERT_MANAGER, PIN, STATE_NAMESPACE
from meshpki.settings import Settings
from meshpki.verify.bundles import ISTIO_BUNDLE
from meshpki.verify.requesters import RBAC

NAME = "meshpki-verify"
_RBAC_GROUP = RBAC.partition("/")[0]
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
        return {"kind": self.kind, "name": self.name, "apiGroup": _RBAC_GROUP}


PURPOSES = {
    NAME: "what meshpki verify reads; no Secret is among it",
    f"{NAME}-rbac": "optional: lets meshpki verify say who may obtain certificates from the root",
    f"{NAME}-authorities": "for meshpki verify --authorities alone: asks spire-server for its CAs by a command",
}


def rights(settings: Settings, *, authorities: bool = False) -> tuple[Right, ...]:
    """Every right that verify uses; `authorities` adds the one to run a command in spire-server.

    A port-forward and an exec over a websocket are asked for as `get`, and since Kubernetes 1.35 as `create` too. A
    list by `metadata.name` is authorized by that name (apiserver pkg/endpoints/request/requestinfo.go at 1.35).
    """
    names = settings.namespaces
    asked = Right(f"{NAME}-authorities", names.spire_server, "", "pods/exec", ("get", "create"))
    return (
        Right(NAME, "", "", "pods", ("list",)),
        Right(NAME, "", "", "pods/portforward", ("get", "create")),
        Right(NAME, "", "", "events", ("list",)),
        Right(NAME, "", "", "configmaps", ("list",), (ISTIO_BUNDLE,)),
        Right(NAME, "", CERT_MANAGER.partition("/")[0], "certificaterequests", ("list",)),
        Right(NAME, "", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("list",)),
        Right(NAME, "", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ("list",)),
        *(Right(f"{NAME}-rbac", "", _RBAC_GROUP, resource, ("list",)) for resource in _RBAC_RESOURCES),
        Right(NAME, STATE_NAMESPACE, "", "configmaps", ("get",), ("meshpki", PIN.name)),
        Right(NAME, names.istio, "apps", "deployments", ("get",), ("istiod",)),
        Right(NAME, names.spire_server, "apps", "statefulsets", ("get",), ("spire-server",)),
        Right(NAME, names.spire_system, "", "configmaps", ("get",), ("spire-bundle",)),
        *((asked,) if authorities else ()),
    )


_RBAC_RESOURCES = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")


def manifests(granted: Iterable[Right], subjects: Sequence[Subject]) -> Iterator[Object]:
    """The roles of some rights, a ClusterRole where they hold everywhere, and a binding of each to the subjects."""
    ordered = sorted(granted, key=lambda right: (right.role, right.namespace))
    for (name, namespace), same in groupby(ordered, lambda right: (right.role, right.namespace)):
        kind = "Role" if namespace else "ClusterRole"
        yield {**_head(kind, name, namespace), "rules": [right.rule for right in same]}
        yield {
            **_head(f"{kind}Binding", name, namespace),
            "roleRef": {"apiGroup": _RBAC_GROUP, "kind": kind, "name": name},
            "subjects": [subject.manifest for subject in subjects],
        }


def _head(kind: str, name: str, namespace: str) -> Object:
    place = {"namespace": namespace} if namespace else {}
    # whoever applies them manages them: no label of ours that says otherwise
    notes = {"labels": {"app.kubernetes.io/part-of": "meshpki"}, "annotations": {_DESCRIPTION: PURPOSES[name]}}
    return {"apiVersion": RBAC, "kind": kind, "metadata": {"name": name, **place, **notes}}
