"""Objects as YAML: the same text each time, which readers of YAML 1.1 and of 1.2 understand alike."""

import re
from collections.abc import Iterable

import yaml

from meshpki.cluster.manifest import Object

# Some readers take `1e3` for a number and `n` for a truth, where PyYAML sees a string that needs no quotes.
_NOT_TEXT = re.compile(r"[-+.]?\d[\w.+:-]*|[yYnN]")


class _Dumper(yaml.CSafeDumper):
    """The safe dumper with text of several lines as a block, and with quotes round what may look like anything else."""

    def ignore_aliases(self, _data: object) -> bool:
        """Write a value that occurs twice out twice."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else '"' if _NOT_TEXT.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _text)


def document(content: Object) -> str:
    """One object as a YAML document, its keys in their order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120)


def stream(contents: Iterable[Object]) -> str:
    """Several objects as one YAML stream."""
    return "---\n".join(document(content) for content in contents)
