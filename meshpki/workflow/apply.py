"""Bring one object to what its manifest says, writing only where the cluster differs."""

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import APPLIED_ANNOTATION, Object, covers, ref_of
from meshpki.workflow.event import Outcome

# What the server changes at each write, or only says about the write.
_NOT_CONTENT = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


def apply(cluster: Cluster, manifest: Object) -> Outcome:
    """Apply a manifest unless that would change nothing; a run over an unchanged cluster writes nothing at all."""
    live = cluster.get(ref_of(manifest))
    outcome = wanted(cluster, manifest, live)
    if outcome is not Outcome.UNCHANGED:
        cluster.apply(manifest)
    return outcome


def wanted(reader: Reader, manifest: Object, live: Object | None) -> Outcome:
    """What applying would do. A value kept in another form than written (`1` for `1000m`) is settled by a dry run."""
    if live is None:
        return Outcome.CREATED
    if as_applied(live, manifest):
        return Outcome.UNCHANGED
    return Outcome.UNCHANGED if same(reader.dry_run(manifest), live) else Outcome.CONFIGURED


def applied_from(one: Object) -> str:
    """The digest of the manifest that an object was applied from, empty where it was not by us."""
    return str((one["metadata"].get("annotations") or {}).get(APPLIED_ANNOTATION, ""))


def as_applied(live: Object, manifest: Object) -> bool:
    """Whether a live object was applied from this very manifest and still holds all of it; that needs no dry run."""
    return applied_from(live) == applied_from(manifest) and covers(live, manifest)


def same(one: Object, other: Object) -> bool:
    """Whether two states of an object differ in nothing that anybody wrote."""
    return content(one) == content(other)


def content(manifest: Object) -> Object:
    """An object without its status, and without what the server notes about its writes."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _NOT_CONTENT}
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}
