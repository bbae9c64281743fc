import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpki.cluster.manifest import APPLIED_ANNOTATION, Ref, covers, early, owned, ref_of, waves
from tests.support.cluster import config_map, namespace

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("live", "wanted", "covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": True}, {"a": 1}, False),
        ({}, {"a": None}, False),
        ({"a": [{"n": 1, "x": 2}]}, {"a": [{"n": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 1}}}, True),
        ("text", "text", True),
    ],
)
def test_an_object_covers_a_wish_when_every_value_wished_for_is_in_it(
    live: object, wanted: object, *, covered: bool
) -> None:
    assert covers(live, wanted) is covered


@given(PLAIN)
def test_everything_covers_itself(content: object) -> None:
    assert covers(content, content)


def test_a_manifest_of_ours_carries_our_labels_and_the_digest_of_its_content() -> None:
    marked = owned(config_map("a", key="1"), "spire")
    assert marked["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "meshpki"
    assert marked["metadata"]["labels"]["meshpki.dev/step"] == "spire"
    other = owned(config_map("a", key="2"), "spire")
    assert marked["metadata"]["annotations"][APPLIED_ANNOTATION] != other["metadata"]["annotations"][APPLIED_ANNOTATION]


def test_namespaces_go_before_what_lives_in_them() -> None:
    ordered = waves([config_map("a"), namespace("default")])
    assert [[ref_of(one).kind for one in wave] for wave in ordered] == [["Namespace"], ["ConfigMap"]]


@pytest.mark.parametrize(
    ("api_version", "kind", "is_early"),
    [
        ("v1", "Namespace", True),
        ("v1", "ServiceAccount", True),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", True),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", True),
        ("apps/v1", "Deployment", False),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", False),
    ],
)
def test_only_what_needs_nothing_is_applied_early(api_version: str, kind: str, *, is_early: bool) -> None:
    assert early({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}) is is_early


def test_a_reference_reads_as_people_write_it() -> None:
    assert str(Ref("apps/v1", "Deployment", "istio-system", "istiod")) == "Deployment istio-system/istiod"
    assert str(Ref("v1", "Namespace", "", "x")) == "Namespace x"
