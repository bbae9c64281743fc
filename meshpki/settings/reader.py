"""From YAML to Settings: every key known, every value of its type, every rule kept, and every problem at once."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from meshpki.settings import chain_file
from meshpki.settings.fields import flatten, unflatten
from meshpki.settings.istio_operator import refusals
from meshpki.settings.model import API_VERSION, KIND, Settings, preset
from meshpki.settings.problem import MOST, Problem, SettingsError, shown
from meshpki.settings.rules import breaches
from meshpki.settings.tree import LARGEST, MappingNode, Node, ScalarNode, compose, merge
from meshpki.settings.values import CHAIN, WrongValueError, checked, convert

STANDARD_INPUT = Path("-")

_DEFAULTS = flatten(Settings())
_SECTIONS = {path.rpartition(".")[0] for path in _DEFAULTS} - {""}
_OPERATOR = "istio.operator"
_HEADER = {"apiVersion": API_VERSION, "kind": KIND}


@dataclass(frozen=True)
class Found:
    """A value as it stands in a file, or the default where it cannot be used; its node knows where."""

    value: object
    node: Node


@dataclass(frozen=True)
class Document:
    """What one file says, or several laid over each other; `failed` are the keys whose value is not known."""

    found: dict[str, Found]
    failed: frozenset[str]
    problems: tuple[Problem, ...]


def read(paths: Sequence[Path], kept: str = "", origin: str = "") -> Settings:
    """The settings in these files; see `meshpki.settings.read`."""
    whole = document(kept, origin) if kept else Document({}, frozenset(), ())
    for path in paths:
        whole = overlay(whole, _load(path))
    return settle(whole)


def document(text: str, origin: str) -> Document:
    """What one YAML text says; never raises."""
    tree, unclean = compose(text, origin)
    if tree is None:
        return unreadable(*unclean)
    if not isinstance(tree, MappingNode):
        return unreadable(*unclean, Problem("MPK-007", tree.where, "is no mapping", f"begin with `kind: {KIND}`"))
    found: dict[str, Found] = {}
    failed: set[str] = set()
    problems = [*unclean, *_header_problems(tree, origin)]
    for path, item, problem in islice(_items(tree), len(_DEFAULTS) + MOST):
        if item:
            found[path] = item
        if problem:
            failed.add(path)
            problems.append(problem)
    return Document(found, frozenset(failed), tuple(problems))


def unreadable(*problems: Problem) -> Document:
    """The document of a file that told nothing, so that no key's value is known."""
    return Document({}, frozenset(_DEFAULTS), problems)


def overlay(below: Document, above: Document) -> Document:
    """Two documents as one: the values above win, mappings of free form are merged."""
    found = dict(below.found)
    for path, item in above.found.items():
        found[path] = _merged(path, found[path], item) if path in found else item
    failed = (below.failed - above.found.keys()) | above.failed
    return Document(found, failed, below.problems + above.problems)


def settle(whole: Document) -> Settings:
    """The settings that the document and the defaults of its preset make. Raises SettingsError with every problem."""
    values = {path: item.value for path, item in whole.found.items()}
    settings = unflatten(preset(str(values.get("preset", "default"))), values)
    problems = [*whole.problems, *_rule_problems(settings, whole), *_operator_problems(settings, whole)]
    if problems:
        raise SettingsError(problems)
    return settings


def _load(path: Path) -> Document:
    origin = "standard input" if path == STANDARD_INPUT else str(path)
    try:
        content = sys.stdin.buffer.read(LARGEST + 1) if path == STANDARD_INPUT else _content(path)
        # a cut in the middle of a character is not what is wrong with too large a file
        text = content.decode(errors="replace" if len(content) > LARGEST else "strict")
        return _with_chain(document(text, origin), Path() if path == STANDARD_INPUT else path.parent)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return unreadable(Problem("MPK-001", origin, f"cannot be read: {reason}", "check the path and its rights"))
    except UnicodeDecodeError as error:
        return unreadable(Problem("MPK-001", origin, f"is no UTF-8 at byte {error.start}", "save it as UTF-8"))


def _with_chain(read: Document, folder: Path) -> Document:
    """The document with the file of the chain in the place of its path. Only a user's own file may name one."""
    item = read.found.get(CHAIN)
    if item is None or not item.value or chain_file.is_pem(str(item.value)):
        return read
    path = folder / str(item.value)
    try:
        text = checked(lambda: chain_file.from_file(path), item.node.where)
    except WrongValueError as error:
        problem = Problem(error.code, error.where, f"{CHAIN}: {shown(str(item.value))} {error.what}", error.remedy)
        return replace(read, failed=read.failed | {CHAIN}, problems=(*read.problems, problem))
    return replace(read, found={**read.found, CHAIN: replace(item, value=text)})


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _items(tree: MappingNode, prefix: str = "") -> Iterator[tuple[str, Found | None, Problem | None]]:
    for key, node in tree.entries.items():
        path = prefix + key
        if path in _DEFAULTS:
            yield (path, *_value(path, node))
        elif path not in _SECTIONS:
            near, problem = _unknown(path, prefix, tree.keys[key])
            yield near, None, problem
        elif isinstance(node, MappingNode):
            yield from _items(node, f"{path}.")
        elif not _empty(node):
            problem = Problem("MPK-007", node.where, f"{path} has the wrong type", "write a mapping")
            yield path, None, problem


def _value(path: str, node: Node) -> tuple[Found, Problem | None]:
    default = _DEFAULTS[path]
    if _empty(node) and isinstance(default, dict | tuple):
        return Found(default, MappingNode({}, {}, node.where)), None
    try:
        return Found(convert(path, default, node), node), None
    except WrongValueError as error:
        return Found(default, node), Problem(error.code, error.where, f"{path} {error.what}", error.remedy)


def _unknown(path: str, prefix: str, where: str) -> tuple[str, Problem]:
    known = [name for name in (*_DEFAULTS, *_SECTIONS) if name.rpartition(".")[0] == prefix.removesuffix(".")]
    key = path.removeprefix(prefix)
    moved = [name for name in _DEFAULTS if name.rpartition(".")[2] == key]
    near = get_close_matches(path[:80], known, 1, 0.75) or moved
    remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
    shown = path[:80] if path.isprintable() else repr(path[:80])
    return (near[0] if near else path), Problem("MPK-006", where, f"unknown key {shown}", remedy)


def _header_problems(tree: MappingNode, origin: str) -> Iterator[Problem]:
    for key, wanted in _HEADER.items():
        node = tree.entries.pop(key, None)
        if node is None:
            yield Problem("MPK-005", f"{origin}:1", f"{key} is missing", f"begin with `{key}: {wanted}`")
        elif not isinstance(node, ScalarNode) or node.text != wanted:
            yield Problem("MPK-005", node.where, f"{key} is not {wanted}", f"write `{key}: {wanted}`")


def _rule_problems(settings: Settings, whole: Document) -> Iterator[Problem]:
    for breach in breaches(settings):
        if whole.failed.isdisjoint(breach.paths):
            places = [whole.found[path].node.where for path in breach.paths if path in whole.found]
            what = f"{breach.paths[0]} {breach.what}"
            yield Problem(breach.code, places[0] if places else "defaults", what, breach.remedy)


def _operator_problems(settings: Settings, whole: Document) -> Iterator[Problem]:
    operator = whole.found.get(_OPERATOR)
    if operator and isinstance(operator.node, MappingNode):
        unknown = not whole.failed.isdisjoint(("trustDomain", "namespaces.istio"))
        # what contradicts a setting cannot be told while that setting is not known
        yield from (item for item in refusals(operator.node, settings) if not (unknown and item.code == "MPK-025"))


def _merged(path: str, below: Found, above: Found) -> Found:
    if not isinstance(_DEFAULTS[path], dict):
        return above
    node = merge(below.node, above.node)
    merged, _ = _value(path, node)
    return merged


def _empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == "null"
