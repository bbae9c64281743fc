"""Which of the rights that an `up` takes its user lacks: those of the printed role, for the steps that are to run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from meshpki import install_role
from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object
from meshpki.components.istio import operator
from meshpki.components.istioctl import INSTALLED, was_run
from meshpki.components.withdrawal import WITHDRAWAL
from meshpki.errors import MeshpkiError
from meshpki.install import wish_manifest
from meshpki.rights import Asked, asked_of, missing, plural
from meshpki.roles.role import RBAC_GROUP, Right
from meshpki.settings import Settings
from meshpki.workflow.step import Program, Step

_APPLYING = ("create", "patch")
Rules = Mapping[tuple[str, str, str], Sequence[Object]]


def lacking(reader: Reader, settings: Settings, steps: Iterable[Step]) -> tuple[Asked, ...]:
    """What the user of this connection may not do of what these steps change; raises ClusterError.

    Few reviews where all is allowed. A role may be made, and bound, also by who holds what it grants.
    """
    every = tuple(steps)
    programs = [program for step in every for program in step.programs]
    generated, unknown = _generated(reader, settings, programs)
    marks = [program.applies.mark for program in programs if program.applies]
    manifests = [wish_manifest(settings), *(one for step in every for one in step.objects), *marks, *generated]
    granted = [*install_role.made(manifests), *_besides(reader, settings, every)]
    asked = {*asked_of(granted), *_streams(settings, {step.name for step in every})}
    return (*missing(reader, asked, _instead(asked, manifests)), *unknown)


def _generated(
    reader: Reader, settings: Settings, programs: Iterable[Program]
) -> tuple[tuple[Object, ...], tuple[Asked, ...]]:
    """Istio's manifests where istioctl is to run and its user may not apply their kinds everywhere.

    To make them takes seconds. Where that fails it is the kinds that are missing; why, another check tells.
    """
    makers = [program.applies.manifests for program in programs if program.applies]
    if not makers or was_run(reader, operator(settings)):
        return (), ()
    groups = [(version.rpartition("/")[0] if "/" in version else "", plural(kind)) for version, kind in INSTALLED]
    denied = missing(reader, [Asked(verb, *where) for verb, where in product(_APPLYING, groups)])
    try:
        return tuple(one for make in makers for one in make()) if denied else (), ()
    except MeshpkiError:
        return (), denied


def _besides(reader: Reader, settings: Settings, steps: Sequence[Step]) -> Iterator[Right]:
    """What gates and programs of these steps change or try that is no manifest."""
    names = {step.name for step in steps}
    if "root-ca" in names:
        yield from install_role.existing(settings)
    if "approval" in names:
        yield from install_role.approval(settings)
    if "istio" in names and not was_run(reader, operator(settings)):
        yield from install_role.istioctl(settings)
    for step in steps:
        yield from install_role.tried(settings, step.name)
        for program in step.programs:
            if program.name == WITHDRAWAL and not program.settled(reader):
                yield from install_role.withdrawal(settings)


def _streams(settings: Settings, names: set[str]) -> Iterator[Asked]:
    """A stream over a websocket is asked for as `get`, and since Kubernetes 1.35 as `create` too."""
    for verb in ("get", "create"):
        yield Asked(verb, "", "pods/portforward")
        if "workloads" in names:
            yield Asked(verb, "", "pods/exec", settings.namespaces.bookinfo)


def _instead(asked: Iterable[Asked], manifests: Iterable[Object]) -> Mapping[Asked, tuple[Asked, ...]]:
    """What lets its holder make or bind a role of these manifests without `escalate` or `bind`: all that it grants."""
    rules: Rules = {
        (f"{one['kind'].lower()}s", str(one["metadata"].get("namespace", "")), one["metadata"]["name"]): one["rules"]
        for one in manifests
        if one["kind"] in ("Role", "ClusterRole") and one.get("rules")
    }
    found: dict[Asked, tuple[Asked, ...]] = {}
    for one in asked:
        if one.group == RBAC_GROUP and one.verb in ("escalate", "bind"):
            of_role = rules.get((one.resource, one.namespace if one.resource == "roles" else "", one.name), ())
            if of_role and all("nonResourceURLs" not in rule for rule in of_role):
                found[one] = tuple(right for rule in of_role for right in _granted(rule, one.namespace))
    return found


def _granted(rule: Object, namespace: str) -> Iterator[Asked]:
    names = rule.get("resourceNames") or ("",)
    for verb, group, resource, name in product(rule["verbs"], rule["apiGroups"], rule["resources"], names):
        yield Asked(verb, group, resource, namespace, name)
