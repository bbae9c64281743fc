"""Settings as YAML: complete, in one order, and read back as the same value."""

import re
from datetime import timedelta

import yaml

from meshpki.settings.durations import go_duration
from meshpki.settings.fields import flatten, nest
from meshpki.settings.model import API_VERSION, KIND, Settings

# What every YAML reader takes for text; anything else goes into quotes, `no`, `1e3` and `y` among it.
_UNMISTAKABLE = re.compile(r"(?!(?:true|false|yes|no|on|off|null)$)[A-Za-z][A-Za-z0-9./_-]+", re.IGNORECASE | re.ASCII)
_PEM = "-----BEGIN CERTIFICATE-----\n"


class _Dumper(yaml.CSafeDumper):
    """Strings in quotes unless nobody can mistake them; aliases, which the reader refuses, never."""

    def ignore_aliases(self, _data: object) -> bool:
        """Write every value out."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    if text.startswith(_PEM):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    style = None if _UNMISTAKABLE.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def effective(settings: Settings) -> dict[str, object]:
    """The settings as plain data under their YAML names, durations as Go writes them."""
    values = {path: _plain(value) for path, value in flatten(settings).items()}
    return {"apiVersion": API_VERSION, "kind": KIND, **nest(values)}


def to_yaml(settings: Settings) -> str:
    """The effective settings, every key spelt out; `read_text` gives them back."""
    return yaml.dump(effective(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=120)


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return go_duration(value)
        case tuple():
            return list(value)
        case _:
            return value
