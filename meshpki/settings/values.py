"""The conversion of a single value into the type of its default."""

import math
import re
from collections.abc import Callable
from datetime import timedelta

from meshpki.settings import chain_file, durations
from meshpki.settings.problem import shown
from meshpki.settings.texts import CHECK_NAME, SHA256, Text, text_of
from meshpki.settings.tree import MappingNode, Node, ScalarNode, SequenceNode

MOST_REPLICAS = 100
CHAIN = "root.existing.chain"

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]{1,3})?")
_NUMBER_ELSEWHERE = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+")


class WrongValueError(ValueError):
    """A value that cannot stand where it stands; the reader adds the key to what is said."""

    def __init__(self, code: str, what: str, remedy: str, where: str) -> None:
        """Keep the parts of the problem it becomes; `where` is file:line."""
        super().__init__(what)
        self.code, self.what, self.remedy, self.where = code, what, remedy, where


def convert(path: str, default: object, node: Node) -> object:
    """The value of a key in its default's type; raises WrongValueError (MPK-007 to 017, 026 to 028, 116, 270, 285)."""
    match node:
        case ScalarNode() if path == CHAIN:
            return _chain(node)
        case ScalarNode() if isinstance(default, bool | int | str | timedelta):
            return _scalar(path, default, node)
        case SequenceNode() if isinstance(default, tuple):
            return tuple(_text(CHECK_NAME, item) for item in node.items)
        case MappingNode() if path == "artifacts.pins":
            return {name: _text(SHA256, item) for name, item in node.entries.items()}
        case MappingNode() if isinstance(default, dict):
            return plain(node)
        case _:
            expected = {bool: "true or false", int: "a number", tuple: "a list", dict: "a mapping"}
            wanted = expected.get(type(default), "a single value")
            raise WrongValueError("MPK-007", "has the wrong type", f"write {wanted}", node.where)


def plain(node: Node) -> object:
    """The data of a free-form tree. Raises WrongValueError (MPK-008) for what two YAML readers read differently."""
    match node:
        case MappingNode():
            return {key: plain(value) for key, value in node.entries.items()}
        case SequenceNode():
            return [plain(item) for item in node.items]
        case _:
            return _plain_scalar(node)


def _plain_scalar(node: ScalarNode) -> object:
    match node.tag:
        case "null":
            return None
        case "bool":
            return _boolean(node)
        case "int" if _INTEGER.fullmatch(node.text):
            return int(node.text)
        case "float" if _FLOAT.fullmatch(node.text) and math.isfinite(float(node.text)):
            return float(node.text)
        case "str" | "timestamp" if not (node.plain and _NUMBER_ELSEWHERE.fullmatch(node.text)):
            return node.text
    raise _trap(node, "put it in quotes, or write a plain decimal number")


def _scalar(path: str, default: bool | int | str | timedelta, node: ScalarNode) -> object:
    match default:
        case bool():
            return _boolean(node)
        case int():
            return _count(node)
        case timedelta():
            return _duration(node)
        case str():
            return _text(text_of(path), node)


def _boolean(node: ScalarNode) -> bool:
    if node.tag != "bool":
        raise WrongValueError("MPK-007", f"is {shown(node.text)}", "write true or false", node.where)
    if node.text not in ("true", "false"):
        raise _trap(node, "write true or false, or put the text in quotes")
    return node.text == "true"


def _count(node: ScalarNode) -> int:
    if node.tag != "int":
        raise WrongValueError("MPK-007", f"is {shown(node.text)}", "write a whole number", node.where)
    if not _INTEGER.fullmatch(node.text):
        raise _trap(node, "write a plain decimal number")
    if not 1 <= int(node.text) <= MOST_REPLICAS:
        raise WrongValueError("MPK-028", f"is {node.text}", f"choose 1 to {MOST_REPLICAS}", node.where)
    return int(node.text)


def _duration(node: ScalarNode) -> timedelta:
    try:
        return durations.parse(node.text)
    except ValueError as error:
        code = "MPK-009" if isinstance(error, durations.NoUnitError) else "MPK-010"
        raise WrongValueError(code, f"{shown(node.text)} {error}", _duration_remedy(code, node), node.where) from error


def _duration_remedy(code: str, node: ScalarNode) -> str:
    if code == "MPK-009" and _INTEGER.fullmatch(node.text):
        return f"write {node.text[:20]}h for hours, {node.text[:20]}m for minutes"
    return "write a duration with units, such as 720h, 90d or 1h30m"


def _text(rule: Text, node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise WrongValueError("MPK-007", "has the wrong type", "write a single value", node.where)
    if node.tag == "null":
        raise WrongValueError("MPK-007", "has no value", 'write one, or "" for none', node.where)
    if node.tag != "str" and not (rule.verbatim and node.tag in ("int", "float")):
        raise _trap(node, "put it in quotes")
    if not rule.pattern.fullmatch(node.text):
        given = "what stands there" if rule.private else shown(node.text)
        raise WrongValueError(rule.code, f"cannot be {given}", rule.remedy, node.where)
    return _hex(node.text) if rule.code == SHA256.code else node.text


def _chain(node: ScalarNode) -> str:
    """A path as it stands, for whoever knows the folder; of PEM text the certificates alone."""
    text = _text(text_of(CHAIN), node)
    return checked(lambda: chain_file.certificates(text), node.where) if chain_file.is_pem(text) else text


def checked(read: Callable[[], str], where: str) -> str:
    """What a reader of the chain gives; its ChainError as the WrongValueError of a place."""
    try:
        return read()
    except chain_file.ChainError as error:
        raise WrongValueError(error.code, error.what, error.remedy, where) from error


def _hex(text: str) -> str:
    return text.replace(":", "").lower()


def _trap(node: ScalarNode, remedy: str) -> WrongValueError:
    taken = "a number by some and text by others" if node.tag == "str" else f"{node.tag} by YAML 1.1"
    return WrongValueError("MPK-008", f"{shown(node.text)} is read as {taken}", remedy, node.where)
