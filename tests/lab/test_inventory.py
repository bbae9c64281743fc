from meshpki.cluster.manifest import Object
from meshpki.lab.inventory import images


def pod(*containers: tuple[str, str]) -> Object:
    return {"status": {"containerStatuses": [{"image": image, "state": {state: {}}} for image, state in containers]}}


def test_running_images_are_told_by_name_with_tag_and_count() -> None:
    proxy = ("docker.io/istio/proxyv2:1.29.1", "running")
    found = images([pod(proxy, ("ghcr.io/spiffe/spire-agent:1.15.3", "running")), pod(proxy)])
    assert found == {"proxyv2": "tag 1.29.1 (2 running)", "spire-agent": "tag 1.15.3 (1 running)"}


def test_a_container_that_waits_or_has_ended_does_not_count() -> None:
    assert images([pod(("a/x:1", "waiting"), ("a/y:1", "terminated"))]) == {}


def test_a_pod_without_a_status_counts_nothing() -> None:
    assert images([{}, {"status": {}}]) == {}


def test_a_registry_with_a_port_and_a_digest_beside_the_tag_are_no_part_of_the_name() -> None:
    found = images([pod(("localhost:5000/etcd:3.6.6-0", "running"), ("pause:3.10.1", "running"))])
    assert found == {"etcd": "tag 3.6.6-0 (1 running)", "pause": "tag 3.10.1 (1 running)"}


def test_an_image_known_by_its_digest_alone_has_no_version_to_tell() -> None:
    assert images([pod((f"sha256:{'0' * 64}", "running"))]) == {}


def test_two_versions_of_one_image_are_both_told() -> None:
    found = images([pod(("a/pilot:1.28.3", "running"), ("a/pilot:1.29.1", "running"))])
    assert found == {"pilot": "tag 1.28.3 (1 running), tag 1.29.1 (1 running)"}
