"""YAML as plain data in which every value knows its file and line; what YAML can do beyond that is refused."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from meshpki.settings.problem import Problem, shown

LARGEST = 1 << 20  # bytes
DEEPEST = 32
_TOO_DEEP, _PLAIN_DATA = f"nests deeper than {DEEPEST} levels", "settings are one document of plain data"

_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")


@dataclass(frozen=True)
class ScalarNode:
    """A scalar as written; `tag` is what YAML 1.1 takes it for, `plain` whether it stands without quotes."""

    text: str
    tag: str
    plain: bool
    where: str


@dataclass(frozen=True)
class SequenceNode:
    """A list of nodes."""

    items: tuple["Node", ...]
    where: str


@dataclass(frozen=True)
class MappingNode:
    """Nodes by key, in the order of the file; `keys` says where each key stands."""

    entries: dict[str, "Node"]
    keys: dict[str, str]
    where: str


Node = ScalarNode | SequenceNode | MappingNode


def compose(text: str, origin: str) -> tuple[Node | None, list[Problem]]:
    """The one document of a YAML text with places named `origin:line`, and what is wrong with it; None where that
    leaves nothing to look into.

    Problems: too large (MPK-001), not YAML (MPK-002), more than plain data (MPK-003), a key given twice (MPK-004),
    a key that YAML 1.1 does not read as text (MPK-008).
    """
    if len(text.encode(errors="replace")) > LARGEST:
        return None, [Problem("MPK-001", origin, "is larger than 1 MiB", "settings are a page or two")]
    try:
        if beyond := list(_beyond_plain_data(text, origin)):
            return None, beyond
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError) as error:
        return None, [_syntax_problem(error, origin)]
    problems: list[Problem] = []
    return _tree(root, origin, problems) if root else MappingNode({}, {}, f"{origin}:1"), problems


def merge(below: Node, above: Node) -> Node:
    """Two trees as one: mappings are merged key by key, anything else is replaced by the one above."""
    if not (isinstance(below, MappingNode) and isinstance(above, MappingNode)):
        return above
    entries = dict(below.entries)
    for key, node in above.entries.items():
        entries[key] = merge(entries[key], node) if key in entries else node
    return MappingNode(entries, below.keys | above.keys, above.where)


def _beyond_plain_data(text: str, origin: str) -> Iterator[Problem]:
    """Look at the events before anything is built from them: PyYAML's composer recurses in C, and at some
    hundred thousand brackets it takes the process with it.
    """
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        where = _place(origin, event.start_mark)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or documents > 1:
            found = _TOO_DEEP if depth > DEEPEST else "holds a second document"
            yield Problem("MPK-003", where, found, _PLAIN_DATA)
            return
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            found = f"has an anchor or alias, {shown(event.anchor)}"
            yield Problem("MPK-003", where, found, "write the value out where it is needed")


def _tree(node: yaml.Node, origin: str, problems: list[Problem]) -> Node:
    where = _place(origin, node.start_mark)
    tag = node.tag.removeprefix(_PREFIX)
    if tag not in _PLAIN_TAGS:
        problems.append(Problem("MPK-003", where, f"has the tag {shown(node.tag)}", "write plain data, or quote it"))
    match node:
        case yaml.MappingNode():
            return _mapping(node, origin, problems)
        case yaml.SequenceNode():
            return SequenceNode(tuple(_tree(item, origin, problems) for item in node.value), where)
        case _:
            return ScalarNode(node.value, tag, not getattr(node, "style", None), where)


def _mapping(node: yaml.MappingNode, origin: str, problems: list[Problem]) -> MappingNode:
    entries: dict[str, Node] = {}
    keys: dict[str, str] = {}
    for key_node, value_node in node.value:
        where = _place(origin, key_node.start_mark)
        key = key_node.value
        if problem := _key_problem(key_node, where, keys):
            problems.append(problem)
        else:
            entries[key], keys[key] = _tree(value_node, origin, problems), where
    return MappingNode(entries, keys, _place(origin, node.start_mark))


def _key_problem(node: yaml.Node, where: str, keys: dict[str, str]) -> Problem | None:
    if node.tag == f"{_PREFIX}merge" or not isinstance(node, yaml.ScalarNode):
        return Problem("MPK-003", where, "has a key that is no plain text", "settings have names as keys")
    if node.tag != f"{_PREFIX}str":
        what = f"the key {shown(node.value)} is not text to YAML 1.1 but {node.tag.removeprefix(_PREFIX)}"
        return Problem("MPK-008", where, what, "put the key in quotes")
    if node.value in keys:
        what = f"the key {shown(node.value)} stands here again, first in {keys[node.value]}"
        return Problem("MPK-004", where, what, "keep one of the two")
    return None


def _syntax_problem(error: Exception, origin: str) -> Problem:
    where = _place(origin, getattr(error, "problem_mark", None))
    reason = getattr(error, "problem", None) or "it holds characters that YAML does not allow"
    if "nesting depth" in reason:  # libyaml has a limit of its own from 0.2.6 on
        return Problem("MPK-003", where, _TOO_DEEP, _PLAIN_DATA)
    return Problem("MPK-002", where, f"is no YAML: {reason}", "fix the syntax; indent with spaces")


def _place(origin: str, mark: object) -> str:
    line = getattr(mark, "line", None)  # libyaml's marks and PyYAML's own are two types
    return origin if line is None else f"{origin}:{line + 1}"
