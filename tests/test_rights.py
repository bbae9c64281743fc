"""What a plan applies -> the rights that it takes."""

import pytest

from meshpki.cluster.manifest import Object
from meshpki.rights import BESIDES, Right, missing, needed, plural
from tests.support.cluster import InMemoryCluster, config_map


class Denying(InMemoryCluster):
    """Somebody who may create and not patch."""

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
        return super().allowed(verb, group, resource, namespace) and verb != "patch"


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
    ],
)
def test_a_kind_is_guessed_as_the_api_machinery_guesses_it(kind: str, resource: str) -> None:
    assert plural(kind) == resource


def test_each_kind_is_created_and_patched_once_however_many_objects_there_are() -> None:
    rights = needed([config_map("a"), config_map("b", "elsewhere")])
    applied = {Right("create", "", "configmaps"), Right("patch", "", "configmaps")}
    assert set(rights) == {*applied, *(Right(*one) for one in BESIDES)}
    assert len(rights) == len(set(rights))


def test_a_kind_that_the_plan_defines_itself_has_the_name_that_its_definition_gives() -> None:
    rights = {str(one) for one in needed([crd("ClusterSPIFFEID", "clusterspiffeids"), spiffe_id()])}
    assert {"create clusterspiffeids.spire.spiffe.io", "patch clusterspiffeids.spire.spiffe.io"} <= rights


def test_what_is_missing_is_named_as_it_is_granted() -> None:
    there = Denying()
    assert [str(one) for one in missing(there, needed([config_map("a")]))] == ["patch configmaps"]
    assert len(there.requests) == len(BESIDES) + 2
