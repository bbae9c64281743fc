"""What istioctl would install, made of what it generates: labels, an open failure policy, the default validator."""

import pytest

from meshpki.cluster.manifest import Object, digest
from meshpki.components.istio import operator
from meshpki.components.istio_objects import MANAGER, component, hooks, installed, pruned, stands
from meshpki.components.istioctl import RECORD, mark, marked
from meshpki.settings import defaults
from meshpki.workflow.apply import same
from tests.support.cluster import InMemoryCluster, namespace

VALIDATOR: Object = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "istio-validator-istio-system", "labels": {"istio.io/rev": "default"}},
    "webhooks": [
        {
            "name": "rev.validation.istio.io",
            "failurePolicy": "Ignore",
            "objectSelector": {"matchExpressions": [{"key": "istio.io/rev"}]},
            "rules": [{"resources": ["*"]}],
        }
    ],
}


def named(kind: str, name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "istio-system", "labels": labels}}


def made(*generated: Object) -> dict[str, Object]:
    return {
        one["metadata"]["name"]: one for one in installed(generated, operator(defaults()), defaults().versions.istio)
    }


def test_every_object_bears_the_labels_by_which_istioctl_knows_its_own() -> None:
    labels = made(named("Service", "istiod", app="istiod"))["istiod"]["metadata"]["labels"]
    assert labels == {
        "app": "istiod",
        "operator.istio.io/managed": "Reconcile",
        "operator.istio.io/version": defaults().versions.istio,
        "operator.istio.io/component": "Pilot",
        "install.operator.istio.io/owning-resource": "meshpki",
        "install.operator.istio.io/owning-resource-namespace": "istio-system",
        "istio.io/rev": "default",
    }


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        (named("CustomResourceDefinition", "gateways.networking.istio.io"), "Base"),
        (named("ServiceAccount", "istio-reader-service-account"), "Base"),
        (named("ServiceAccount", "istiod"), "Pilot"),
        (named("Deployment", "x", **{"operator.istio.io/component": "IngressGateways"}), "IngressGateways"),
    ],
    ids=str,
)
def test_each_object_is_of_one_component(manifest: Object, name: str) -> None:
    assert component(manifest) == name


def test_no_validator_falls_back_to_ignore_and_one_judges_objects_of_no_revision() -> None:
    found = made(VALIDATOR)
    assert hooks(found["istiod-default-validator"]) == ["validation.istio.io"]
    assert "objectSelector" not in found["istiod-default-validator"]["webhooks"][0]
    assert "objectSelector" in found["istio-validator-istio-system"]["webhooks"][0]
    assert [hook.get("failurePolicy") for one in found.values() for hook in one["webhooks"]] == [None, None]


def test_what_istiod_keeps_of_a_webhook_itself_is_no_difference_but_a_lost_hook_is() -> None:
    memory = InMemoryCluster()
    wanted = made(VALIDATOR)["istiod-default-validator"]
    assert not stands(memory, wanted, same)
    memory.put({**wanted, "webhooks": [{**wanted["webhooks"][0], "failurePolicy": "Fail"}]})
    assert stands(memory, wanted, same)
    memory.put({**wanted, "webhooks": []})
    assert not stands(memory, wanted, same)


def test_an_object_stands_if_it_holds_what_is_wanted_whoever_applied_it() -> None:
    memory = InMemoryCluster()
    memory.put(namespace("istio-system"), {**named("Service", "istiod", app="istiod"), "spec": {"type": "ClusterIP"}})
    assert stands(memory, named("Service", "istiod", app="istiod"), same)
    assert not stands(memory, named("Service", "istiod", app="other"), same)
    assert ("dry-run as istio-operator", "Service istio-system/istiod") in memory.requests
    assert MANAGER == "istio-operator"


def test_the_mark_is_of_one_operator_and_says_that_istioctl_did_not_install_it() -> None:
    memory, wish = InMemoryCluster(), operator(defaults())
    assert not marked(memory, wish)
    memory.put(mark(wish))
    assert marked(memory, wish)
    assert not marked(memory, {**wish, "spec": {}})
    memory.put({**mark(wish), "data": {"operator": digest(wish), "objects": "made by istioctl"}})
    assert not marked(memory, wish)
    memory.put({**mark(wish), "data": {"operator": "", "objects": ""}})
    assert not marked(memory, wish)
    assert RECORD.name == "meshpki-istio"


def test_what_the_installer_made_and_needs_no_longer_goes_but_for_what_it_never_prunes() -> None:
    memory, wish = InMemoryCluster(), operator(defaults())
    found = made(VALIDATOR, named("Service", "istiod"), named("Service", "old"))
    foreign = named("Service", "foreign", **{"operator.istio.io/component": "Pilot"})
    memory.put(namespace("istio-system"), foreign, *found.values())
    kept = [one for name, one in found.items() if name not in ("old", "istiod-default-validator")]
    assert [ref.name for ref in pruned(memory, kept, wish)] == ["old"]
    assert pruned(memory, tuple(found.values()), wish) == ()
    assert all("Secret" not in what for _, what in memory.requests)
