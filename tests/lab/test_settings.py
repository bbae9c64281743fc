from pathlib import Path

import yaml

from meshpki.lab.parts import Parts
from meshpki.lab.settings import CPU, WITHOUT_ISTIO_FILTERS, overlay
from meshpki.settings import defaults, read_text

PINS = {"cert-manager-v1.21.2.yaml": "0" * 64, "istioctl-1.29.1-linux-amd64.tar.gz": "f" * 64}
PARTS = Parts({}, (), Path("/cache/artifacts/0123"), PINS)


def test_the_overlay_is_a_settings_file_that_any_user_could_write() -> None:
    settings = read_text(overlay(PARTS), "lab")
    assert str(settings.artifacts.directory) == "/cache/artifacts/0123"
    assert settings.artifacts.pins == PINS
    assert settings.istio.operator == WITHOUT_ISTIO_FILTERS
    assert settings.resources.cpu == CPU


def test_the_overlay_leaves_identities_and_lifetimes_to_the_user() -> None:
    settings, plain = read_text(overlay(PARTS), "lab"), defaults()
    assert (settings.root, settings.istiod_ca, settings.spire) == (plain.root, plain.istiod_ca, plain.spire)
    assert settings.versions == plain.versions


def test_the_overlay_says_nothing_but_what_is_special_to_the_lab() -> None:
    assert set(yaml.safe_load(overlay(PARTS))) == {"apiVersion", "kind", "artifacts", "resources", "istio"}
