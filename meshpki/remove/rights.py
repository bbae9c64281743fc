"""The roles of one `down`, from a look at the mesh that is to go: each object by its name, and lists of every kind.

A look is needed because the kinds are those that this cluster serves, and RBAC has no "all but Secrets".
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from meshpki.cluster.manifest import Kind, Ref, ref_of
from meshpki.components.trust import PIN, STATE_NAMESPACE
from meshpki.install import WISH
from meshpki.remove.removal import Removal
from meshpki.remove.seen import ISTIO_BUNDLES, NAMESPACE, SECRET, Seen
from meshpki.rights import Resource, holding_the_lease, plural
from meshpki.roles.role import Right

NAME = "meshpki-down"
SECRETS = f"{NAME}-secrets"
PURPOSES = {
    NAME: "for meshpki down: lists every kind but Secrets, and deletes by name what was there when this was printed",
    SECRETS: "for meshpki down, too: it lists and deletes Secrets by their metadata, for which RBAC has no right apart",
}


def rights(seen: Seen, removal: Removal, kinds: Iterable[Kind]) -> tuple[Right, ...]:
    """Every right of the `down` that does this removal, on a cluster that serves these kinds."""
    known = {(one.api_version, one.kind): (_group(one.api_version), one.resource) for one in kinds}
    spaces = sorted(ref_of(one).name for one in seen.ours if one["kind"] == NAMESPACE)
    return (*_lists(known), *_within(spaces), *_deletes(removal, known), *_state(removal))


def _lists(known: Mapping[tuple[str, str], Resource]) -> Iterator[Right]:
    """What is ours is found by labels, which RBAC cannot see."""
    for kind, (group, resource) in sorted(known.items()):
        if kind != SECRET:
            yield Right(NAME, "", group, resource, ("list", "watch") if kind == ("v1", "Pod") else ("list",))


def _within(spaces: Iterable[str]) -> Iterator[Right]:
    """Namespaces of ours are looked through for Secrets, and pods in them that hang are taken out of the API."""
    for space in spaces:
        yield Right(SECRETS, space, "", "secrets", ("list",))
        yield Right(NAME, space, "", "pods", ("delete",))


def _deletes(removal: Removal, known: Mapping[tuple[str, str], Resource]) -> Iterator[Right]:
    """Each object is asked after by its name until it is gone; whole namespaces go before all of Istio's bundles."""
    named: defaultdict[tuple[str, str, Resource], set[str]] = defaultdict(set)
    for ref in (ref for part in removal.parts for ref in part.refs if ref.name not in ISTIO_BUNDLES):
        kind = ref.api_version, ref.kind
        where = known.get(kind, (_group(ref.api_version), plural(ref.kind)))
        named[SECRETS if kind == SECRET else NAME, ref.namespace, where].add(ref.name)
    for (role, space, (group, resource)), names in sorted(named.items()):
        yield Right(role, space, group, resource, ("get", "delete"), tuple(sorted(names)))
    yield Right(NAME, "", "", "configmaps", ("get", "delete"), ISTIO_BUNDLES)


def _state(removal: Removal) -> Iterator[Right]:
    """The pin and the settings are read, namespaces of others given back, and the Lease is held."""
    yield Right(NAME, STATE_NAMESPACE, "", "configmaps", ("get",), (WISH.name, PIN.name))
    if removal.released:
        yield Right(NAME, "", "", "namespaces", ("patch",), tuple(sorted(_names(removal.released))))
    yield from holding_the_lease(NAME)


def _names(refs: Iterable[Ref]) -> set[str]:
    return {ref.name for ref in refs}


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]
