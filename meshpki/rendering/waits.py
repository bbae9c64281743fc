"""What has to be true of applied objects before others may follow, in words that `kubectl wait` understands."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshpki.cluster.manifest import Object

_TIMEOUT = "--timeout=300s"
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_SAY_READY = ("Certificate", "Issuer", "ClusterIssuer", "CertificateRequestPolicy")
_WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
# A webhook without it is asked by nobody successfully: cert-manager's cainjector and istiod fill it in.
_CA_BUNDLE = "jsonpath={.webhooks[0].clientConfig.caBundle}"
_DATA = "jsonpath={.data}"


@dataclass(frozen=True)
class Wait:
    """A condition of objects in one namespace that has to be true, or their roll-out where `condition` is empty."""

    names: tuple[str, ...]
    condition: str = ""
    namespace: str = ""

    def command(self) -> str:
        """The kubectl command that ends when it is true."""
        where = ["-n", self.namespace] if self.namespace else []
        what = ["wait", f"--for={self.condition}"] if self.condition else ["rollout", "status"]
        return shlex.join(["kubectl", *where, *what, *self.names, _TIMEOUT])


def waits_for(manifests: Iterable[Object]) -> Iterator[Wait]:
    """The waits for a set of manifests, in the order in which they can come true."""
    applied = tuple(manifests)
    crds = tuple(_name(one) for one in applied if one["kind"] == "CustomResourceDefinition")
    if crds:
        yield Wait(crds, "condition=Established")
    yield from (Wait((_name(one),), "", _namespace(one)) for one in applied if one["kind"] in _WORKLOADS)
    yield from (_condition(one, "condition=Ready") for one in applied if one["kind"] in _SAY_READY)
    yield from (_condition(one, _CA_BUNDLE) for one in applied if one["kind"] in _WEBHOOKS)
    # one without data is there to be filled: SPIRE publishes its bundle so
    yield from (_condition(one, _DATA) for one in applied if one["kind"] == "ConfigMap" and not one.get("data"))


def _condition(manifest: Object, condition: str) -> Wait:
    return Wait((_name(manifest),), condition, _namespace(manifest))


def _namespace(manifest: Object) -> str:
    return str(manifest["metadata"].get("namespace", ""))


def _name(manifest: Object) -> str:
    """As `certificate.cert-manager.io/cacerts`; kinds of Kubernetes itself go by their kind alone."""
    group = manifest["apiVersion"].rpartition("/")[0]
    own = "." in group and not group.endswith(".k8s.io")
    kind = manifest["kind"].lower()
    return f"{kind}.{group}/{manifest['metadata']['name']}" if own else f"{kind}/{manifest['metadata']['name']}"
