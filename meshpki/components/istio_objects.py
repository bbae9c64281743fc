"""What `istioctl install` applies beyond what `istioctl manifest generate` prints, and what of it is settled later.

Source: istio 1.29 operator/pkg/install/install.go (labels), istioctl/pkg/tag/generate.go (the default validator).
"""

from collections.abc import Callable, Sequence

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, covers, ref_of

MANAGER = "istio-operator"
COMPONENT = "operator.istio.io/component"
GATEWAYS = "IngressGateways"
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_DEFAULT_VALIDATOR = "istiod-default-validator"
_READER = "istio-reader-service-account"


def installed(generated: Sequence[Object], operator: Object) -> tuple[Object, ...]:
    """The manifests as the installer applies them: its labels, and a validator for objects of no revision."""
    spec = operator["spec"]
    labels = {
        "operator.istio.io/managed": "Reconcile",
        "operator.istio.io/version": spec["tag"],
        "install.operator.istio.io/owning-resource": operator["metadata"]["name"],
        "install.operator.istio.io/owning-resource-namespace": operator["metadata"]["namespace"],
        "istio.io/rev": spec.get("values", {}).get("revision") or "default",
    }
    opened = [_left_open(manifest) for manifest in generated]
    validators = [one for one in opened if one["kind"] == "ValidatingWebhookConfiguration"]
    return tuple(_labelled(one, labels) for one in (*opened, *map(_default_validator, validators[:1])))


def component(manifest: Object) -> str:
    """Which of Istio's components an object is of; the charts themselves say it of some."""
    metadata = manifest["metadata"]
    base = manifest["kind"] == "CustomResourceDefinition" or metadata["name"] in (_READER, _DEFAULT_VALIDATOR)
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
    own = {**metadata.get("labels", {}), **labels, COMPONENT: component(manifest)}
    return {**manifest, "metadata": {**metadata, "labels": own}}
