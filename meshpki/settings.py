"""The user's wish: what it holds, how it is read from files and written back."""

from meshpki.settings_durations import go_duration
from meshpki.settings_model import (
    Artifacts,
    Istio,
    IstiodCA,
    Namespaces,
    Proxy,
    Resources,
    Root,
    Settings,
    Spire,
    Storage,
    Versions,
    Workloads,
)

__all__ = [
    "Artifacts",
    "Istio",
    "IstiodCA",
    "Namespaces",
    "Proxy",
    "Resources",
    "Root",
    "Settings",
    "Spire",
    "Storage",
    "Versions",
    "Workloads",
    "defaults",
    "go_duration",
]


def defaults() -> Settings:
    """The settings of somebody who wishes for nothing in particular."""
    return Settings()
