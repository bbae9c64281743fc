"""Whose an object is: what bears our labels is ours, and what the parts of the mesh made; anything else is foreign."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from meshpki.cluster.manifest import MANAGED_BY, Object, ours, ref_of
from meshpki.components.approval import NAME as APPROVER_POLICY
from meshpki.components.istioctl import MANAGED
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.components.spire import CSI_DRIVER
from meshpki.components.trust import ALIAS
from meshpki.remove.seen import ISTIO_BUNDLES, OWNERS
from meshpki.roles.role import PART_OF
from meshpki.verify.pods import PROXY

# Field managers of what meshpki installs, and of the control plane: what they alone wrote is nobody's work.
_PARTS = ("meshpki", "istioctl", "istio-operator", "pilot-", "cert-manager", "spire-", "kube-", "kubelet")
# cert-manager and the controllers write what others ask for, too: of these kinds only what a part of ours asked for is
# nobody's work. The webhooks write their own by their binary's name alone, which many have.
_ASKED_FOR = {
    "Secret": re.compile(rf"cert-manager-webhook-ca|{APPROVER_POLICY}-tls|cacerts|{ALIAS}-g[0-9]+"),
    "PersistentVolumeClaim": re.compile(r".+-spire-server-[0-9]+"),
}
_OF_WEBHOOKS = {("Secret", "cert-manager-webhook-ca"), ("Secret", f"{APPROVER_POLICY}-tls")}
_NAME_LABEL, _OUR_LABEL = "f:kubernetes.io/metadata.name", f"f:{next(iter(MANAGED_BY))}"
_OF_EACH_NAMESPACE = {
    ("ServiceAccount", "default"),
    *(("ConfigMap", name) for name in ("kube-root-ca.crt", *ISTIO_BUNDLES)),
}


class Whose(StrEnum):
    """Whose a pod is; `leaving` is one that is on its way out already, whoever made it."""

    OURS = "ours"
    LEAVING = "leaving"
    FOREIGN = "foreign"


def istios(header: Object) -> bool:
    """Whether istioctl installed it for us."""
    return ISTIO.items() <= _labels(header).items()


def granted(header: Object) -> bool:
    """Whether it is of a role that `meshpki rbac` printed: it lasts as long as its namespace."""
    return header["kind"] in ("Role", "RoleBinding") and PART_OF.items() <= _labels(header).items()


def everywhere(header: Object) -> bool:
    """Whether every namespace has one: it comes and goes with the namespace."""
    return (header["kind"], header["metadata"]["name"]) in _OF_EACH_NAMESPACE


def dependent(header: Object) -> bool:
    """Whether it goes with another object."""
    return bool(header["metadata"].get("ownerReferences"))


def foreign(header: Object) -> bool:
    """Whether somebody else made it: not ours, nobody's dependent, and written by another than the mesh's parts."""
    if ours(header) or istios(header) or dependent(header) or _nobodys(header):
        return False
    return MANAGED in _labels(header) or _of_others_by_name(header) or not _written_by_parts(header)


def _nobodys(header: Object) -> bool:
    """Whether it goes with its namespace, or with the part that holds it, whoever wrote it."""
    kind, name = header["kind"], header["metadata"]["name"]
    return everywhere(header) or granted(header) or kind == "Lease" or (kind, name) in _OF_WEBHOOKS


def _of_others_by_name(header: Object) -> bool:
    """Whether a part wrote it because somebody asked for it, and not one of ours."""
    known = _ASKED_FOR.get(header["kind"])
    return known is not None and known.fullmatch(header["metadata"]["name"]) is None


def _written_by_parts(header: Object) -> bool:
    entries = header["metadata"].get("managedFields") or []
    managers = [str(entry.get("manager", "")) for entry in entries if not entry.get("subresource")]
    return all(manager.startswith(_PARTS) for manager in managers)


def made_elsewhere(namespace: Object) -> bool:
    """Whether a namespace was there before meshpki: its creator owns the label that holds its name, and none of ours.

    Whoever applies what `render` wrote owns both.
    """
    return any(
        _NAME_LABEL in labels and _OUR_LABEL not in labels and not manager.startswith(_PARTS)
        for manager, labels in _owned_labels(namespace)
    )


def _owned_labels(header: Object) -> Iterator[tuple[str, dict[str, object]]]:
    """Each field manager with the labels that it owns, as `f:NAME`."""
    for entry in header["metadata"].get("managedFields") or []:
        yield str(entry.get("manager", "")), (entry.get("fieldsV1") or {}).get("f:metadata", {}).get("f:labels", {})


def uses_mesh(pod: Object) -> bool:
    """Whether a pod that runs has a sidecar of Istio's or a volume of SPIFFE's CSI driver."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return False
    spec = pod["spec"]
    names = {one["name"] for one in (*spec.get("initContainers", []), *spec.get("containers", []))}
    return PROXY in names or mounts(pod)


def mounts(pod: Object) -> bool:
    """Whether a pod has a volume of SPIFFE's CSI driver."""
    return any((one.get("csi") or {}).get("driver") == CSI_DRIVER for one in pod["spec"].get("volumes") or [])


def whose_pod(pod: Object, owners: Mapping[str, Object]) -> Whose:
    """A pod is its controller's; one whose controller (of a kind that was listed) is gone is about to be removed."""
    if "deletionTimestamp" in pod["metadata"]:
        return Whose.OURS if _owner(pod, owners) is Whose.OURS else Whose.LEAVING
    return _owner(pod, owners)


def _owner(one: Object, owners: Mapping[str, Object]) -> Whose:
    if ours(one) or istios(one):
        return Whose.OURS
    above = [ref for ref in one["metadata"].get("ownerReferences") or [] if ref.get("controller")]
    if not above:
        return Whose.FOREIGN
    owner = owners.get(above[0]["uid"])
    if owner is not None:
        return _owner(owner, owners)
    return Whose.LEAVING if (above[0].get("apiVersion"), above[0].get("kind")) in OWNERS else Whose.FOREIGN


def _labels(header: Object) -> dict[str, str]:
    return header["metadata"].get("labels") or {}


def told(header: Object) -> str:
    """An object's name, as people write it."""
    return str(ref_of(header))
