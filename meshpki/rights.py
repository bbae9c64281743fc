"""The rights that a plan takes: one for each kind it applies, asked of the API server by access reviews."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object

_IN_FLIGHT = 16
# Server-side apply of what is there is a patch, of what is not a create besides (Kubernetes, "Server-Side Apply").
_VERBS = ("create", "patch")
# Besides what is applied: gates look at pods through these, and istioctl writes webhooks.
BESIDES = (
    ("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("create", "", "pods/portforward"),
    ("create", "", "pods/exec"),
)


@dataclass(frozen=True, order=True)
class Right:
    """A verb on a resource of an API group, in the whole cluster."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        """As people grant it: `create clusterroles.rbac.authorization.k8s.io`."""
        return f"{self.verb} {'.'.join(filter(None, (self.resource, self.group)))}"


def needed(manifests: Iterable[Object]) -> tuple[Right, ...]:
    """The rights to apply these manifests, each once; those of kinds that their own CRDs make are among them."""
    every = list(manifests)
    plurals = dict(_defined(every))
    kinds = {(_group(one), one["kind"]) for one in every}
    applied = (Right(verb, group, plurals.get((group, kind), plural(kind))) for group, kind in kinds for verb in _VERBS)
    return tuple(sorted({*applied, *(Right(*one) for one in BESIDES)}))


def missing(reader: Reader, rights: Iterable[Right]) -> tuple[Right, ...]:
    """Those that the user of this connection lacks; raises ClusterError."""
    asked = tuple(rights)
    with ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="rights") as pool:
        answers = pool.map(lambda one: reader.allowed(one.verb, one.group, one.resource), asked)
        return tuple(one for one, allowed in zip(asked, answers, strict=True) if not allowed)


def plural(kind: str) -> str:
    """A kind's resource as the API machinery guesses it (apimachinery pkg/api/meta, UnsafeGuessKindToResource)."""
    name = kind.lower()
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def _defined(manifests: Iterable[Object]) -> Iterable[tuple[tuple[str, str], str]]:
    for one in manifests:
        if one["kind"] == "CustomResourceDefinition":
            names = one["spec"]["names"]
            yield (one["spec"]["group"], names["kind"]), names["plural"]


def _group(manifest: Object) -> str:
    group, separator, _ = str(manifest["apiVersion"]).partition("/")
    return group if separator else ""
