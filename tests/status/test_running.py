import pytest

from meshpki.cluster.manifest import Object
from meshpki.settings import defaults
from meshpki.status.running import owners, versions, wanted_version


def pod(*images: str, state: str = "running") -> Object:
    return {
        "metadata": {"name": "a"},
        "status": {"containerStatuses": [{"image": one, "state": {state: {}}} for one in images]},
    }


@pytest.mark.parametrize(
    ("image", "step", "version"),
    [
        ("quay.io/jetstack/cert-manager-controller:v1.21.2", "cert-manager", "v1.21.2"),
        ("mirror.example:5000/a/cert-manager-controller:v1.21.2", "cert-manager", "v1.21.2"),
        ("ghcr.io/spiffe/spire-server:1.15.3@sha256:" + "ab" * 32, "spire", "1.15.3"),
        ("ghcr.io/spiffe/spire-agent@sha256:" + "ab" * 32, "spire", "ab" * 6),
        ("docker.io/istio/pilot:1.29.1", "istio", "1.29.1"),
        ("docker.io/istio/examples-bookinfo-reviews-v3:1.20.3", "workloads", "1.20.3"),
    ],
)
def test_a_version_is_the_tag_or_the_digest_of_a_running_image(image: str, step: str, version: str) -> None:
    assert versions([pod("busybox:1", image)], step) == (version,)


def test_versions_that_run_side_by_side_are_all_shown_and_what_does_not_run_is_not() -> None:
    pods = [
        pod("spire-server:1.15.3", "spire-agent:1.15.2"),
        pod("spire-agent:1.14.0", state="waiting"),
        {"metadata": {}},
    ]
    assert versions(pods, "spire") == ("1.15.2", "1.15.3")
    assert versions(pods, "root-ca") == ()


def test_the_wanted_version_is_that_of_the_settings() -> None:
    chosen = defaults().versions
    steps = ("cert-manager", "root-ca", "spire", "istio", "workloads")
    expected = [chosen.cert_manager, "", chosen.spire, chosen.istio, chosen.bookinfo]
    assert [wanted_version(defaults(), step) for step in steps] == expected


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"managedFields": [{"manager": "kube-controller-manager"}, {"manager": "meshpki"}]}, "meshpki"),
        ({"managedFields": [{"manager": "helm"}], "labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
        ({"managedFields": [{"manager": "kubectl-client-side-apply"}]}, "kubectl-client-side-apply"),
        ({"labels": None}, "unknown"),
    ],
)
def test_an_owner_is_the_field_manager_or_what_the_label_says(metadata: Object, owner: str) -> None:
    assert owners([{"metadata": metadata}, {"metadata": metadata}]) == (owner,)
