"""What a plan applies -> the rights that it takes, and which of them somebody lacks."""

from dataclasses import dataclass

import pytest

from meshpki.cluster.manifest import Object
from meshpki.rights import Asked, missing, plural, resources
from tests.support.cluster import InMemoryCluster


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
    rights = [Asked(verb, "", "configmaps", "a", str(number)) for verb in ("create", "patch") for number in range(9)]
    assert missing(there, rights) == ()
    assert len(there.requests) == 2


ESCALATE = Asked("escalate", "rbac.authorization.k8s.io", "clusterroles", name="reader")
RULES = (Asked("get", "", "pods"), Asked("list", "", "secrets", "a", "one"))


@pytest.mark.parametrize(
    ("everywhere", "named", "told"),
    [
        ({"escalate"}, set(), []),
        (set(), {"escalate /reader"}, []),
        ({"get", "list"}, set(), []),
        ({"get"}, {"list a/one"}, []),
        ({"get"}, set(), ["escalate clusterroles.rbac.authorization.k8s.io"]),
        (set(), set(), ["escalate clusterroles.rbac.authorization.k8s.io"]),
    ],
)
def test_a_right_is_held_also_by_who_holds_all_that_stands_in_its_stead(
    everywhere: set[str], named: set[str], told: list[str]
) -> None:
    there = Allowing(everywhere=frozenset(everywhere), named=frozenset(named))
    assert [str(one) for one in missing(there, [ESCALATE], {ESCALATE: RULES})] == told
