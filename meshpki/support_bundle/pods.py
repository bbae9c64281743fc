"""Which pods a bundle tells of: the components', and of the mesh's those first that are not proven."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query
from meshpki.support_bundle.archive import Archive
from meshpki.verify.pods import MeshPod, mesh_pods

SHOWN = 500


@dataclass
class Pods:
    """Every pod of the mesh by name, and of at most SHOWN of each sort the whole object.

    `proven` are the names of those that verify has proven.
    """

    own: frozenset[str]
    proven: frozenset[str]
    mesh: dict[tuple[str, str], MeshPod] = field(default_factory=dict)
    components: dict[tuple[str, str], Object] = field(default_factory=dict)
    troubled: dict[tuple[str, str], Object] = field(default_factory=dict)
    well: dict[tuple[str, str], Object] = field(default_factory=dict)

    @property
    def shown(self) -> list[Object]:
        """The objects that are at hand, by name."""
        found = {**self.well, **self.troubled, **self.components}
        return [found[name] for name in sorted(found)]

    def first(self, limit: int) -> list[MeshPod]:
        """At most `limit` pods of the mesh, those that are not proven first, then by name."""
        return sorted(self.mesh.values(), key=lambda pod: (str(pod.ref) in self.proven, pod.ref))[:limit]

    def talking(self, limit: int) -> list[Object]:
        """The pods whose logs are read: the components', and `limit` of the mesh's."""
        chosen = {(pod.ref.namespace, pod.ref.name) for pod in self.first(limit)}
        found = {**self.well, **self.troubled}
        return [*self.components.values(), *(found[name] for name in sorted(chosen & found.keys()))]

    def note(self, pod: Object) -> None:
        """Take in one pod."""
        name = (str(pod["metadata"].get("namespace", "")), str(pod["metadata"]["name"]))
        ours = mesh_pods([pod])
        self.mesh.update((name, one) for one in ours)
        if name[0] in self.own:
            kept = self.components
        else:
            kept = self.well if all(str(one.ref) in self.proven for one in ours) else self.troubled
        if (ours or kept is self.components) and len(kept) < SHOWN:
            kept[name] = pod


def look(archive: Archive, reader: Reader, own: Iterable[str], proven: frozenset[str], namespace: str) -> Pods:
    """The pods of our `own` namespaces and of the mesh's, in one `namespace` or (empty) in all; a page at a time."""
    found = Pods(frozenset(own), proven)
    for where in (*sorted(found.own), namespace) if namespace else ("",):
        with archive.attempt(f"pods in {where or 'every namespace'}"):
            for pod in reader.scan(Query("v1", "Pod", where)):
                found.note(pod)
    return found
