"""The kubelets' serving certificates: which requests the lab approves, and nothing else.

Kubernetes leaves kubernetes.io/kubelet-serving to the cluster's owner, who knows which address a node has.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from meshpki.cluster.manifest import Object
from meshpki.lab.kubectl import Kubectl
from meshpki.lab.topology import Node
from meshpki.pki import request

SIGNER = "kubernetes.io/kubelet-serving"
REQUIRED = frozenset({"server auth"})
ALLOWED = REQUIRED | {"digital signature", "key encipherment"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a request may be approved; every `objection` to it, none where it may."""

    request: str
    objections: tuple[str, ...]


def pending(requests: Iterable[Object]) -> tuple[Object, ...]:
    """The requests for a kubelet's serving certificate that nobody has decided yet."""
    return tuple(
        each
        for each in requests
        if each["spec"]["signerName"] == SIGNER and not each.get("status", {}).get("conditions")
    )


def judge(wish: Object, nodes: Mapping[str, Node]) -> Judgement:
    """Judge one CertificateSigningRequest: the kubelet of one of `nodes` asks for its own name and address.

    The rules are those of the signer (Kubernetes, certificate signing requests, kubelet-serving) and the SANs'.
    """
    name, spec = str(wish["metadata"]["name"]), wish["spec"]
    user = str(spec.get("username", ""))
    node = nodes.get(user.removeprefix("system:node:")) if user.startswith("system:node:") else None
    if node is None:
        return Judgement(name, (f"{user} is no node of this lab",))
    try:
        asked = request.parse(base64.b64decode(spec["request"]))
    except ValueError as unreadable:
        return Judgement(name, (str(unreadable),))
    usages = frozenset(spec.get("usages", ()))
    objections = (
        ("requestor is not in group system:nodes", "system:nodes" in spec.get("groups", ())),
        (f"usages {sorted(usages)}", REQUIRED <= usages <= ALLOWED),
        (f"subject {asked.subject}", asked.subject == f"O=system:nodes,CN={user}"),
        (f"DNS names {asked.dns_names}", set(asked.dns_names) <= {node.name}),
        (f"addresses {asked.addresses}", set(asked.addresses) == {ip_address(node.address)}),
        ("names of another kind", not asked.other_names),
    )
    return Judgement(name, tuple(text for text, good in objections if not good))


def approve(kubectl: Kubectl, nodes: Mapping[str, Node]) -> tuple[Judgement, ...]:
    """Approve what is pending and may be; returns what was refused, which stays pending for its owner to see."""
    listed = json.loads(kubectl.run("get", "certificatesigningrequests", "--output", "json"))["items"]
    judged = [judge(each, nodes) for each in pending(listed)]
    good = [each.request for each in judged if not each.objections]
    if good:
        kubectl.run("certificate", "approve", *good)
    return tuple(each for each in judged if each.objections)
