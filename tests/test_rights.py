"""What a plan applies -> the rights that it takes, and which of them somebody lacks."""

from dataclasses import dataclass

import pytest

from meshpki.cluster.manifest import Object
from meshpki.rights import Asked, missing, needed, plural, resources
from meshpki.settings import defaults
from tests.support.cluster import InMemoryCluster, config_map

BESIDES = set(needed([], defaults()))


@dataclass
class Allowing(InMemoryCluster):
    """Somebody who may do some things everywhere, and some on one object."""

    everywhere: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        super().allowed(verb, group, resource, namespace, name)
        return verb in self.everywhere or f"{verb} {namespace}/{name}" in self.named


def crd(kind: str, plural_name: str) -> Object:
    spec = {"group": "spire.spiffe.io", "names": {"kind": kind, "plural": plural_name}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a"},
        "spec": spec,
    }


def spiffe_id() -> Object:
    return {"apiVersion": "spire.spiffe.io/v1alpha1", "kind": "ClusterSPIFFEID", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Pod", "pods"),
        ("StorageClass", "storageclasses"),
        ("NetworkPolicy", "networkpolicies"),
        ("ClusterIssuer", "clusterissuers"),
        ("Ingress", "ingresses"),
        ("Gateway", "gateways"),
    ],
)
def test_the_resource_of_a_kind_is_told_by_its_name(kind: str, resource: str) -> None:
    assert plural(kind) == resource


def test_each_object_is_created_and_patched_by_its_name() -> None:
    rights = set(needed([config_map("a"), config_map("b", "elsewhere")], defaults())) - BESIDES
    assert {str(one) for one in rights} == {
        "create configmaps default/a",
        "patch configmaps default/a",
        "create configmaps elsewhere/b",
        "patch configmaps elsewhere/b",
    }


def test_pods_are_looked_into_and_the_lease_is_held_by_name_but_for_its_creation() -> None:
    assert {str(one) for one in BESIDES} == {
        "create leases.coordination.k8s.io kube-system",
        "delete leases.coordination.k8s.io kube-system/meshpki",
        "update leases.coordination.k8s.io kube-system/meshpki",
        "create pods/exec bookinfo",
        "get pods/exec bookinfo",
        "create pods/portforward",
        "get pods/portforward",
    }


def test_a_kind_that_the_plan_defines_itself_has_the_name_that_its_definition_gives() -> None:
    known = resources([crd("ClusterSPIFFEID", "clusterspiffeids"), spiffe_id()])
    assert known["spire.spiffe.io/v1alpha1", "ClusterSPIFFEID"] == ("spire.spiffe.io", "clusterspiffeids")


@pytest.mark.parametrize(
    ("everywhere", "named", "told"),
    [
        ({"create", "patch"}, set(), []),
        ({"create"}, set(), ["patch configmaps"]),
        ({"create"}, {"patch a/x"}, ["patch configmaps a/y"]),
        ({"create"}, {"patch a/x", "patch a/y"}, []),
        (set(), {"patch a/x", "patch a/y"}, ["create configmaps"]),
    ],
)
def test_what_is_missing_is_told_by_name_or_once_for_a_whole_kind(
    everywhere: set[str], named: set[str], told: list[str]
) -> None:
    rights = [Asked(verb, "", "configmaps", "a", name) for verb in ("create", "patch") for name in ("x", "y")]
    there = Allowing(everywhere=frozenset(everywhere), named=frozenset(named))
    assert [str(one) for one in missing(there, rights)] == told


def test_who_may_do_everything_is_asked_once_a_verb_and_kind() -> None:
    there = InMemoryCluster()
    assert missing(there, needed([config_map(str(number)) for number in range(9)], defaults())) == ()
    assert len(there.requests) == 2 + len({one.everywhere for one in BESIDES})
