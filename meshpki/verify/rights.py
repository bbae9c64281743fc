"""The rights with which verify sees everything, each with what it is for: never a Secret, and no more than is used."""

from meshpki.components.trust import CERT_MANAGER, PIN, STATE_NAMESPACE
from meshpki.roles.role import RBAC_GROUP, Right
from meshpki.settings import Settings
from meshpki.verify.bundles import ISTIO_BUNDLE

NAME = "meshpki-verify"


PURPOSES = {
    NAME: "what meshpki verify reads; no Secret is among it",
    f"{NAME}-rbac": "optional but with --strict: lets meshpki verify say who may obtain certificates from the root",
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
        Right(NAME, "", "", "namespaces", ("list",)),
        Right(NAME, "", "", "pods/portforward", ("get", "create")),
        Right(NAME, "", "", "events", ("list",)),
        Right(NAME, "", "", "configmaps", ("list",), (ISTIO_BUNDLE,)),
        Right(NAME, "", CERT_MANAGER.partition("/")[0], "certificaterequests", ("list",)),
        Right(NAME, "", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("list",)),
        Right(NAME, "", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ("list",)),
        *(Right(f"{NAME}-rbac", "", RBAC_GROUP, resource, ("list",)) for resource in _RBAC_RESOURCES),
        Right(NAME, STATE_NAMESPACE, "", "configmaps", ("get",), ("meshpki", PIN.name)),
        Right(NAME, names.istio, "apps", "deployments", ("get",), ("istiod",)),
        Right(NAME, names.spire_server, "apps", "statefulsets", ("get",), ("spire-server",)),
        Right(NAME, names.spire_system, "", "configmaps", ("get",), ("spire-bundle",)),
        *((asked,) if authorities else ()),
    )


_RBAC_RESOURCES = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
