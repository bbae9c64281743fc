"""The user's wish: what it holds, how it is read from files and written back.

Nothing here imports YAML until a file is read: `meshpki version` asks only for the defaults.
"""

from collections.abc import Sequence
from pathlib import Path

from meshpki.settings.durations import go_duration
from meshpki.settings.model import (
    Approval,
    Artifacts,
    Existing,
    Images,
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
from meshpki.settings.problem import Problem, SettingsError

__all__ = [
    "Approval",
    "Artifacts",
    "Existing",
    "Images",
    "Istio",
    "IstiodCA",
    "Namespaces",
    "Problem",
    "Proxy",
    "Resources",
    "Root",
    "Settings",
    "SettingsError",
    "Spire",
    "Storage",
    "Versions",
    "Workloads",
    "defaults",
    "go_duration",
    "read",
    "read_text",
    "to_yaml",
]


def defaults() -> Settings:
    """The settings of somebody who wishes for nothing in particular."""
    return Settings()


def read(paths: Sequence[Path], kept: str = "", origin: str = "") -> Settings:
    """The settings in these files, later ones laid over earlier ones; `-` is standard input, no path the defaults.

    `kept` is a YAML text from elsewhere that the files are laid over, `origin` where it was kept.

    Raises SettingsError with every problem of every file (MPK-001 to MPK-028, MPK-116, MPK-270, MPK-285).
    """
    from meshpki.settings import reader  # noqa: PLC0415 - YAML only where a file is read

    return reader.read(paths, kept, origin)


def read_text(text: str, origin: str) -> Settings:
    """The settings in a YAML text; problems are placed at `origin:line`. Raises SettingsError as `read` does."""
    from meshpki.settings import reader  # noqa: PLC0415 - YAML only where a file is read

    return reader.settle(reader.document(text, origin))


def to_yaml(settings: Settings) -> str:
    """The complete effective settings; `read_text` gives the same value back."""
    from meshpki.settings import writer  # noqa: PLC0415 - YAML only where it is written

    return writer.to_yaml(settings)
