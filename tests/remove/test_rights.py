"""A removal under the roles that are printed for it: enough, and each right of them needed."""

import threading
from dataclasses import dataclass, field, replace

import pytest

from meshpki.cli.removing import Asked, remove_from
from meshpki.cluster.client import BACKGROUND, Deletion, NoAccessError
from meshpki.cluster.manifest import Kind, Object, Query, Ref, ref_of
from meshpki.errors import OK
from meshpki.remove.removal import decide
from meshpki.remove.rights import NAME, SECRETS, rights
from meshpki.remove.seen import OWNERS, counted, look
from meshpki.rights import plural
from meshpki.roles.role import Right
from tests.support.certificates import mesh_root
from tests.support.cluster import InMemoryCluster
from tests.support.installed import ROOT, installed

# What every API server has, and the fake only where there is one.
BUILT_IN = (
    *((*kind, True) for kind in OWNERS),
    ("v1", "Pod", True),
    ("v1", "PersistentVolume", False),
    ("apiregistration.k8s.io/v1", "APIService", False),
)


@dataclass
class Granted(InMemoryCluster):
    """Somebody who has these rights and no others; those in a namespace end with it."""

    rights: tuple[Right, ...] = ()
    used: set[tuple[Right, str]] = field(default_factory=set)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def get(self, ref: Ref) -> Object | None:
        self._need("get", ref)
        return super().get(ref)

    def headers(self, query: Query) -> "list[Object]":
        self._need("list", _named(query))
        return super().headers(query)

    def list(self, query: Query) -> "list[Object]":
        self._need("list", _named(query))
        return super().list(query)

    def create(self, manifest: Object) -> Object:
        self._need("create", replace(ref_of(manifest), name=""))
        return super().create(manifest)

    def replace(self, manifest: Object) -> Object:
        self._need("update", ref_of(manifest))
        return super().replace(manifest)

    def apply(self, manifest: Object) -> Object:
        self._need("patch", ref_of(manifest))
        return super().apply(manifest)

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        self._need("delete", ref)
        return super().delete(ref, how)

    def _need(self, verb: str, ref: Ref) -> None:
        found = [one for one in self.rights if verb in one.verbs and self._covers(one, ref)]
        if not found:
            raise NoAccessError("MPK-102", f"{verb} refused: {ref}", status=403)
        with self.turn:
            self.used |= {(one, verb) for one in found}

    def _covers(self, right: Right, ref: Ref) -> bool:
        kind = (right.group, right.resource) == (ref.api_version.rpartition("/")[0], plural(ref.kind))
        alive = not right.namespace or Ref("v1", "Namespace", "", right.namespace) in self.objects
        return (
            kind and alive and right.namespace in ("", ref.namespace) and (not right.names or ref.name in right.names)
        )


def _named(query: Query) -> Ref:
    name = query.fields.removeprefix("metadata.name=") if query.fields.startswith("metadata.name=") else ""
    return Ref(query.api_version, query.kind, query.namespace, name)


def printed(cluster: InMemoryCluster, *, purge: bool) -> tuple[Right, ...]:
    seen = look(cluster)
    built_in = [Kind(*one, resource=plural(one[1])) for one in BUILT_IN]
    return rights(seen, decide(seen, purge=purge), [*counted(cluster), *built_in])


def limited(*, purge: bool) -> Granted:
    """A mesh, and who has the role for its removal."""
    whole = installed(mesh_root())
    return Granted(objects=whole.objects, revision=whole.revision, rights=printed(whole, purge=purge))


@pytest.mark.parametrize("purge", [False, True])
def test_the_printed_role_is_enough_and_leaves_what_an_administrator_would(*, purge: bool) -> None:
    asked = Asked(ask=False, purge=purge, root=ROOT if purge else "")
    whole, cluster = installed(mesh_root()), limited(purge=purge)
    assert remove_from(whole, asked).exit_code == remove_from(cluster, asked).exit_code == OK
    assert set(cluster.objects) == set(whole.objects)


def test_no_right_by_name_is_unused() -> None:
    cluster = limited(purge=True)
    remove_from(cluster, Asked(ask=False, purge=True, root=ROOT))
    named = {(one, verb) for one in cluster.rights for verb in one.verbs if one.names}
    # a Lease is renewed after ten seconds, and a run ends before
    assert {(one.resource, verb) for one, verb in named - cluster.used} == {("leases", "update")}


@pytest.mark.parametrize("purge", [False, True])
def test_secrets_are_a_part_of_their_own_and_only_in_namespaces_of_the_mesh(*, purge: bool) -> None:
    found = [one for one in printed(installed(mesh_root()), purge=purge) if one.resource == "secrets"]
    assert {one.role for one in found} == {SECRETS}
    assert {one.namespace for one in found} <= {
        "cert-manager",
        "istio-system",
        "spire-server",
        "spire-system",
        "bookinfo",
    }
    deleted = {name for one in found if "delete" in one.verbs for name in one.names}
    assert (ROOT in deleted) is purge


def test_nothing_is_deleted_or_changed_but_by_its_name_or_pods_of_the_mesh() -> None:
    found = printed(installed(mesh_root()), purge=True)
    assert {"*"} & {part for one in found for part in (one.group, one.resource, *one.verbs)} == set()
    nameless = {
        (one.resource, bool(one.namespace)) for one in found if {"delete", "patch"} & {*one.verbs} and not one.names
    }
    assert nameless == {("pods", True)}
    assert {one.role for one in found} == {NAME, SECRETS}
