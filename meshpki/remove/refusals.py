"""What forbids a removal: everything is looked at, and all reasons are told."""

from collections.abc import Iterator

from meshpki.cluster.manifest import Object
from meshpki.components.serving import pod_ref
from meshpki.components.trust import PIN
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.remove.removal import Removal, intruders
from meshpki.remove.seen import Seen
from meshpki.remove.whose import Whose, uses_mesh, whose_pod
from meshpki.words import first_of

_SHOWN = 20


def refusals(seen: Seen, *, purge: bool) -> tuple[MeshpkiError, ...]:
    """Every reason not to remove the mesh, none where it may go: MPK-233, MPK-237, MPK-239."""
    return tuple(_reasons(seen, purge=purge))


def _reasons(seen: Seen, *, purge: bool) -> Iterator[MeshpkiError]:
    users = foreign_users(seen)
    if users:
        what = f"{len(users)} pods that meshpki did not make use this mesh: {first_of(users, _SHOWN)}"
        remedy = "take them out of the mesh first: without it they lose their identity, and cannot end"
        yield PreconditionError("MPK-233", what, remedy=remedy)
    others = intruders(seen) if purge else ()
    if others:
        what = f"{len(others)} objects of others would go with the CRDs: {first_of(others, _SHOWN)}"
        yield PreconditionError("MPK-237", what, remedy="delete them yourself, or leave --purge-ca out: CRDs stay then")
    if not purge and seen.pin and len(seen.pin.roots) > 1:
        what = "a root rotation is under way: two roots are pinned, and `up` could not come back under either"
        remedy = "finish it first: meshpki rotate root, or --abort; or remove the roots too, with --purge-ca"
        yield PreconditionError("MPK-239", what, where=str(PIN), remedy=remedy)


def foreign_users(seen: Seen) -> tuple[str, ...]:
    """The pods of others that have a sidecar or a volume of SPIFFE's CSI driver, by `namespace/name`."""

    def foreign(pod: Object) -> bool:
        return uses_mesh(pod) and whose_pod(pod, seen.owners) is Whose.FOREIGN

    refs = sorted(pod_ref(pod) for pod in seen.pods if foreign(pod))
    return tuple(f"{ref.namespace}/{ref.name}" for ref in refs)


def named(removal: Removal, name: str) -> None:
    """Whether it is the root's own name that was given; raises UsageError (MPK-236) where it is not.

    A mesh that has no root yet asks for none.
    """
    if not removal.root or name == removal.root:
        return
    what = f"`{name}` is not the root of this mesh" if name else "--purge-ca destroys the root's key: name the root"
    raise UsageError("MPK-236", what, remedy=f"the root here is {removal.root}: meshpki down --yes --purge-ca NAME")
