"""Which of the rights that an `up` takes its user lacks: those of the printed role, for the steps that are to run."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from meshpki import install_role
from meshpki.cluster.client import NoAccessError, Reader
from meshpki.cluster.manifest import Object
from meshpki.components.istio import operator
from meshpki.components.istioctl import INSTALLED, was_run
from meshpki.components.withdrawal import WITHDRAWAL
from meshpki.errors import MeshpkiError
from meshpki.install import wish_manifest
from meshpki.rights import Asked, asked_of, missing, plural
from meshpki.roles.role import Right
from meshpki.settings import Settings
from meshpki.verify import rights as looking
from meshpki.workflow.step import Program, Step

_APPLYING = ("get", "create", "patch")
# What ends with verify's proof.
_MESHED = {"istio", "workloads"}
# A role's resource, namespace (empty: everywhere) and name.
_Role = tuple[str, str, str]
_Rules = Sequence[Object]


def lacking(reader: Reader, settings: Settings, steps: Iterable[Step]) -> tuple[Asked, ...]:
    """What the user of this connection may not do of what these steps look at and change; raises ClusterError.

    Few reviews where all is allowed. A role may be made, and bound, also by who holds what it grants.
    """
    every = tuple(steps)
    programs = [program for step in every for program in step.programs]
    generated, unknown = _generated(reader, settings, programs)
    marks = [program.applies.mark for program in programs if program.applies]
    manifests = [wish_manifest(settings), *(one for step in every for one in step.objects), *marks, *generated]
    names = {step.name for step in every}
    granted = [*install_role.made(manifests), *_looked_at(settings, names), *_besides(reader, settings, every)]
    asked = {*asked_of(granted, looking=True), *_streams(settings, names)}
    return tuple(sorted({*missing(reader, asked, _instead(asked, manifests)), *unknown}))


def _generated(
    reader: Reader, settings: Settings, programs: Iterable[Program]
) -> tuple[tuple[Object, ...], tuple[Asked, ...]]:
    """Istio's manifests where istioctl is to run and its user may not apply their kinds everywhere.

    To make them takes seconds. Where that fails it is the kinds that are missing; why, another check tells.
    """
    makers = [program.applies.manifests for program in programs if program.applies]
    if not makers or _known(lambda: was_run(reader, operator(settings))):
        return (), ()
    groups = [(version.rpartition("/")[0] if "/" in version else "", plural(kind)) for version, kind in INSTALLED]
    denied = missing(reader, [Asked(verb, *where) for verb, where in product(_APPLYING, groups)])
    try:
        return tuple(one for make in makers for one in make()) if denied else (), ()
    except MeshpkiError:
        return (), denied


def _known(look: Callable[[], bool]) -> bool:
    """What a look says; no where the right to look is missing, which is among what is asked for."""
    try:
        return look()
    except NoAccessError as error:
        if not error.status:
            raise
        return False


def _looked_at(settings: Settings, names: set[str]) -> Iterator[Right]:
    """What is read: by the preflight, by the gates of these steps, and by verify in the end."""
    yield from install_role.looks(settings)
    for name in sorted(names):
        yield from install_role.lists(name)
    if names & _MESHED:
        yield from (one for one in looking.rights(settings) if one.role == looking.NAME)


def _besides(reader: Reader, settings: Settings, steps: Sequence[Step]) -> Iterator[Right]:
    """What gates and programs of these steps change or try that is no manifest."""
    names = {step.name for step in steps}
    yield from install_role.existing(settings)
    if "approval" in names:
        yield from install_role.approval(settings)
    if "istio" in names and not _known(lambda: was_run(reader, operator(settings))):
        yield from install_role.istioctl(settings)
    for step in steps:
        yield from install_role.tried(settings, step.name)
        if any(one.name == WITHDRAWAL and not _is_settled(one, reader) for one in step.programs):
            yield from install_role.withdrawal(settings)


def _is_settled(program: Program, reader: Reader) -> bool:
    return _known(lambda: program.settled(reader))


def _streams(settings: Settings, names: set[str]) -> Iterator[Asked]:
    """A stream over a websocket is asked for as `get`, and since Kubernetes 1.35 as `create` too."""
    for verb in ("get", "create"):
        yield Asked(verb, "", "pods/portforward")
        if "workloads" in names:
            yield Asked(verb, "", "pods/exec", settings.namespaces.bookinfo)


def _instead(asked: Iterable[Asked], manifests: Iterable[Object]) -> Mapping[Asked, tuple[Asked, ...]]:
    """What lets its holder make or bind a role of these manifests without `escalate` or `bind`: all that it grants."""
    known = _rules_by_role(manifests)
    found = {one: known.get(_role_of(one), ()) for one in asked if one.verb in ("escalate", "bind")}
    return {
        one: tuple(right for rule in rules for right in _granted(rule, one.namespace))
        for one, rules in found.items()
        if _expressible(rules)
    }


def _rules_by_role(manifests: Iterable[Object]) -> Mapping[_Role, _Rules]:
    return {
        (f"{one['kind'].lower()}s", str(one["metadata"].get("namespace", "")), one["metadata"]["name"]): one["rules"]
        for one in manifests
        if one["kind"] in ("Role", "ClusterRole") and one.get("rules")
    }


def _role_of(asked: Asked) -> _Role:
    """The role that is made or bound; a ClusterRole is bound in a namespace, too."""
    return asked.resource, asked.namespace if asked.resource == "roles" else "", asked.name


def _expressible(rules: _Rules) -> bool:
    """Whether a review can ask for all that a role grants: not where it grants nothing, or URLs."""
    return bool(rules) and all("nonResourceURLs" not in rule for rule in rules)


def _granted(rule: Object, namespace: str) -> Iterator[Asked]:
    names = rule.get("resourceNames") or ("",)
    for verb, group, resource, name in product(rule["verbs"], rule["apiGroups"], rule["resources"], names):
        yield Asked(verb, group, resource, namespace, name)
