"""Every image of every step from a mirror, and the list of them."""

from pathlib import Path

import pytest
import yaml

from meshpki.artifacts import Releases
from meshpki.components.images import at_mirror, hub, images, mirrored
from meshpki.components.istio import operator
from meshpki.components.probe import probe
from meshpki.components.spire import spire
from meshpki.install import Target, steps
from meshpki.settings import Settings, defaults, read_text
from meshpki.workflow.step import Step

MIRROR = "registry.example.com:5000/mesh"
HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"
CONTROLLER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "cert-manager", "namespace": "cert-manager"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "controller",
                        "image": "quay.io/jetstack/cert-manager-controller:v1.21.2",
                        "args": [
                            "--v=2",
                            "--acme-http01-solver-image=quay.io/jetstack/cert-manager-acmesolver:v1.21.2",
                        ],
                    }
                ]
            }
        }
    },
}


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    released, crd = tmp_path / "cert-manager.yaml", tmp_path / "crd.yaml"
    released.write_text(yaml.safe_dump(CONTROLLER))
    crd.write_text("{}")
    return Releases(released, tmp_path / "istioctl.tar.gz", ())


def given(text: str = "") -> Settings:
    return read_text(HEADER + text, "test")


def named(planned: tuple[Step, ...]) -> tuple[str, ...]:
    return images(manifest for step in planned for manifest in step.objects)


@pytest.mark.parametrize(
    ("image", "kept"),
    [
        ("docker.io/istio/proxyv2:1.29.1", f"{MIRROR}/istio/proxyv2:1.29.1"),
        ("registry.k8s.io/sig-storage/registrar:v2", f"{MIRROR}/sig-storage/registrar:v2"),
        ("localhost/tool:v1", f"{MIRROR}/tool:v1"),
        ("host:5000/tool@sha256:00", f"{MIRROR}/tool@sha256:00"),
        ("library/busybox", f"{MIRROR}/library/busybox"),
        ("busybox:1.36", f"{MIRROR}/busybox:1.36"),
    ],
)
def test_a_mirror_replaces_the_registry_and_keeps_the_rest_of_the_name(image: str, kept: str) -> None:
    assert at_mirror(image, MIRROR) == kept
    assert at_mirror(image, "") == image


def test_every_image_of_every_step_is_taken_from_the_mirror_an_argument_s_too(releases: Releases) -> None:
    policed = "approval: {policy: true}\n"
    usual = named(steps(given(policed), releases, Target()))
    there = named(steps(given(f"{policed}images: {{mirror: '{MIRROR}'}}\n"), releases, Target()))
    assert there == tuple(sorted(at_mirror(one, MIRROR) for one in usual))
    assert f"{MIRROR}/jetstack/cert-manager-acmesolver:v1.21.2" in there
    assert f"{MIRROR}/jetstack/cert-manager-approver-policy:v0.28.0" in there
    assert len(there) > 10
    assert not [one for one in there if not one.startswith(f"{MIRROR}/")]


def test_istios_images_and_the_probes_come_from_the_mirror_unless_the_hub_is_the_users_own() -> None:
    settings = given(f"images: {{mirror: '{MIRROR}'}}\n")
    assert operator(settings)["spec"]["hub"] == f"{MIRROR}/istio"
    probing = named((probe(settings, ["node-1"]),))
    assert probing
    assert not [one for one in probing if not one.startswith(f"{MIRROR}/")]
    own = given(f"images: {{mirror: '{MIRROR}'}}\nistio: {{hub: gcr.io/mine}}\n")
    assert hub(own) == "gcr.io/mine"


def test_every_image_of_spires_step_has_a_version_of_the_settings() -> None:
    own = "{spire: 1.15.9, spireControllerManager: 0.6.9, spiffeCSI: 0.2.9, csiNodeDriverRegistrar: v2.16.9}"
    assert named((spire(given(f"versions: {own}\n"), ()),)) == (
        "ghcr.io/spiffe/spiffe-csi-driver:0.2.9",
        "ghcr.io/spiffe/spire-agent:1.15.9",
        "ghcr.io/spiffe/spire-controller-manager:0.6.9",
        "ghcr.io/spiffe/spire-server:1.15.9",
        "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.16.9",
    )


def test_without_a_mirror_a_step_is_what_it_was(releases: Releases) -> None:
    for step in steps(defaults(), releases, Target()):
        assert mirrored(step, "") is step
