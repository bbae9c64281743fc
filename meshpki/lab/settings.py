"""The lab's overlay of meshpki.yaml: all that is special to it, in words any user could write."""

import yaml

from meshpki.lab.parts import Parts
from meshpki.settings.model import API_VERSION, KIND

# The Envoy of the lab is the upstream one: it lacks the filters that only Istio's own build has.
WITHOUT_ISTIO_FILTERS = {
    "values": {
        "pilot": {"env": {"PILOT_ENABLE_ALPN_FILTER": "false", "PILOT_ENABLE_METADATA_EXCHANGE": "false"}},
        "telemetry": {"enabled": False},
    }
}
CPU = "5m"


def overlay(parts: Parts) -> str:
    """The settings file (meshpki.dev/v1alpha1, Mesh) for a lab made of `parts`."""
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "artifacts": {"directory": str(parts.artifacts), "pins": dict(parts.pins)},
        "resources": {"cpu": CPU},
        "istio": {"operator": WITHOUT_ISTIO_FILTERS},
    }
    return yaml.safe_dump(document, sort_keys=False)
