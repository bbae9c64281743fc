"""What `istioctl install` does beyond what `istioctl manifest generate` prints, and what of it is settled later.

Source: istio 1.29 operator/pkg/install/install.go (labels, pruning), istioctl/pkg/tag/generate.go (default validator).
"""

from collections.abc import Callable, Sequence

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref, covers, ref_of, selector

MANAGER = "istio-operator"
COMPONENT = "operator.istio.io/component"
GATEWAYS = "IngressGateways"
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_DEFAULT_VALIDATOR = "istiod-default-validator"
_READER = "istio-reader-service-account"
_NOT_PRUNED = "install.operator.istio.io/owning-resource-not-pruned"
# The installer also prunes Secrets, of which its charts have none; they are not listed here, so as to read no Secret.
_PRUNED = (
    *(("apps/v1", "Deployment"), ("apps/v1", "DaemonSet"), ("v1", "Service"), ("v1", "ConfigMap")),
    *(("v1", "ServiceAccount"), ("policy/v1", "PodDisruptionBudget"), ("autoscaling/v2", "HorizontalPodAutoscaler")),
    *(("rbac.authorization.k8s.io/v1", kind) for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")),
    *(("admissionregistration.k8s.io/v1", kind) for kind in WEBHOOKS),
)


def installed(generated: Sequence[Object], operator: Object, version: str) -> tuple[Object, ...]:
    """The manifests as istioctl of a version applies them: its labels, and a validator for objects of no revision."""
    labels = {**_owner(operator), "operator.istio.io/version": version}
    opened = [_left_open(manifest) for manifest in generated]
    validators = [one for one in opened if one["kind"] == "ValidatingWebhookConfiguration"]
    return (
        *(_labelled(one, {**labels, COMPONENT: component(one)}) for one in opened),
        *(_labelled(_default_validator(one), {**labels, _NOT_PRUNED: "true"}) for one in validators[:1]),
    )


def pruned(reader: Reader, manifests: Sequence[Object], operator: Object) -> tuple[Ref, ...]:
    """What the installer made before and would remove, since these manifests no longer hold it."""
    kept = {ref_of(one) for one in manifests}
    wanted = selector(_owner(operator))
    found = (one for kind in _PRUNED for one in reader.list(Query(*kind, labels=wanted)))
    return tuple(
        ref_of(one)
        for one in found
        if ref_of(one) not in kept
        and COMPONENT in one["metadata"]["labels"]
        and one["metadata"]["labels"].get(_NOT_PRUNED) != "true"
    )


def _owner(operator: Object) -> dict[str, str]:
    """The labels by which the installer knows what is its own."""
    return {
        "operator.istio.io/managed": "Reconcile",
        "install.operator.istio.io/owning-resource": operator["metadata"]["name"],
        "install.operator.istio.io/owning-resource-namespace": operator["metadata"]["namespace"],
        "istio.io/rev": operator["spec"].get("values", {}).get("revision") or "default",
    }


def component(manifest: Object) -> str:
    """Which of Istio's components an object is of; the charts themselves say it of some."""
    metadata = manifest["metadata"]
    base = manifest["kind"] == "CustomResourceDefinition" or metadata["name"] == _READER
    return str(metadata.get("labels", {}).get(COMPONENT, "") or ("Base" if base else "Pilot"))


def stands(reader: Reader, manifest: Object, same: Callable[[Object, Object], bool]) -> bool:
    """Whether a live object is as the installer would leave it; `same` compares dry run and live object.

    Of a webhook configuration istiod and istioctl keep the rest themselves: it has the hooks it should have.
    """
    live = reader.get(ref_of(manifest))
    if live is None:
        return False
    if manifest["kind"] in WEBHOOKS:
        return hooks(live) == hooks(manifest)
    return covers(live, manifest) or same(reader.dry_run(manifest, MANAGER), live)


def hooks(configuration: Object) -> list[str]:
    """The names of a configuration's webhooks."""
    return [hook["name"] for hook in configuration.get("webhooks", [])]


def _left_open(manifest: Object) -> Object:
    """A validator without failure policy: istiod turns `Ignore` into `Fail`, the API's default, once it serves."""
    if manifest["kind"] != "ValidatingWebhookConfiguration":
        return manifest
    kept = [{key: value for key, value in hook.items() if key != "failurePolicy"} for hook in manifest["webhooks"]]
    return {**manifest, "webhooks": kept}


def _default_validator(validator: Object) -> Object:
    hook = {key: value for key, value in validator["webhooks"][0].items() if key != "objectSelector"}
    metadata = {**validator["metadata"], "name": _DEFAULT_VALIDATOR}
    return {**validator, "metadata": metadata, "webhooks": [{**hook, "name": "validation.istio.io"}]}


def _labelled(manifest: Object, labels: dict[str, str]) -> Object:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **labels}}}
