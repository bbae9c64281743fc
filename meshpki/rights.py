"""Rights asked of the API server, object by object: few reviews where all is allowed."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object
from meshpki.lease.record import LEASE
from meshpki.roles.role import Right

_IN_FLIGHT = 16
_WITH_IES = re.compile(r"[^aeiou]y$")
# An API group, and the resource's name in it.
Resource = tuple[str, str]


@dataclass(frozen=True, order=True)
class Asked:
    """A verb on a resource of an API group: on one object, on a namespace's where it has no name, else on all."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def everywhere(self) -> "Asked":
        """The same on every object there may be."""
        return Asked(self.verb, self.group, self.resource)

    def __str__(self) -> str:
        """As people grant it: `create clusterroles.rbac.authorization.k8s.io`, and on what."""
        what, where = filter(None, (self.resource, self.group)), filter(None, (self.namespace, self.name))
        return " ".join(filter(None, (self.verb, ".".join(what), "/".join(where))))


_LEASES = "coordination.k8s.io", "leases"
# What a role grants is changed by whoever may make it, or bind it.
_CHANGING = ("create", "patch", "update", "delete", "escalate", "bind")
# Without a watch whoever waits looks by himself.
_LOOKING = ("get", "list")


def holding_the_lease(role: str) -> tuple[Right, ...]:
    """What a run takes to hold the Lease, as rights of a role; it is created by POST: no name limits that."""
    return (
        Right(role, LEASE.namespace, *_LEASES, ("create",)),
        Right(role, LEASE.namespace, *_LEASES, ("get", "update", "delete"), (LEASE.name,)),
    )


def asked_of(granted: Iterable[Right], *, looking: bool = False) -> tuple[Asked, ...]:
    """Whatever of these rights changes something, or is to be looked at too, to be asked for before any change."""
    verbs = (*_CHANGING, *_LOOKING) if looking else _CHANGING
    return tuple(
        Asked(verb, one.group, one.resource, one.namespace, name)
        for one in granted
        for verb in one.verbs
        if verb in verbs
        for name in one.names or ("",)
    )


def missing(
    reader: Reader, rights: Iterable[Asked], instead: Mapping[Asked, Sequence[Asked]] = MappingProxyType({})
) -> tuple[Asked, ...]:
    """Those that the user of this connection lacks; a kind of which all are lacking is told once. Raises ClusterError.

    Who may do a thing everywhere is asked no further. `instead` names what will do, all of it, in the stead of a right.
    """
    asked = sorted(set(rights))
    lacking = _lacking(reader, asked)
    lacking -= _held_otherwise(reader, lacking, instead)
    kinds = groupby(asked, lambda one: one.everywhere)
    return tuple(told for _, same in kinds for told in _told([*same], lacking))


def _held_otherwise(reader: Reader, lacking: set[Asked], instead: Mapping[Asked, Sequence[Asked]]) -> set[Asked]:
    others = {one: instead[one] for one in lacking if one in instead}
    short = _lacking(reader, {right for needed in others.values() for right in needed})
    return {one for one, needed in others.items() if short.isdisjoint(needed)}


def _lacking(reader: Reader, rights: Iterable[Asked]) -> set[Asked]:
    asked = sorted(rights)
    denied = set(_denied(reader, sorted({one.everywhere for one in asked})))
    left = [one for one in asked if one.everywhere in denied]
    return {*_denied(reader, [one for one in left if one not in denied]), *(one for one in left if one in denied)}


def resources(manifests: Iterable[Object]) -> Mapping[tuple[str, str], Resource]:
    """The resource of each of their kinds, by apiVersion and kind; a CRD among them says what its own is called."""
    every = list(manifests)
    plurals = dict(_defined(every))
    return {
        (version, kind): (_group(version), plurals.get((_group(version), kind), plural(kind)))
        for version, kind in map(_kind, every)
    }


def plural(kind: str) -> str:
    """A kind's resource by its name, as English has it: policies, classes, and Istio's gateways."""
    name = kind.lower()
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if _WITH_IES.search(name) else f"{name}s"


def _denied(reader: Reader, rights: Sequence[Asked]) -> list[Asked]:
    def allowed(one: Asked) -> bool:
        return reader.allowed(one.verb, one.group, one.resource, one.namespace, one.name)

    with abreast(_IN_FLIGHT, "rights") as pool:
        return [one for one, may in zip(rights, pool.map(allowed, rights), strict=True) if not may]


def _told(of_a_kind: Sequence[Asked], lacking: set[Asked]) -> Iterator[Asked]:
    there = [one for one in of_a_kind if one in lacking]
    yield from (there[0].everywhere,) if there and len(there) == len(of_a_kind) else there


def _defined(manifests: Iterable[Object]) -> Iterator[tuple[tuple[str, str], str]]:
    for one in manifests:
        if one["kind"] == "CustomResourceDefinition":
            names = one["spec"]["names"]
            yield (one["spec"]["group"], names["kind"]), names["plural"]


def _kind(manifest: Object) -> tuple[str, str]:
    return str(manifest["apiVersion"]), str(manifest["kind"])


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]
