"""A cluster that is changed under the Lease alone: each write takes it first, and once it is lost nothing goes on."""

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from meshpki.cluster.client import BACKGROUND, Cluster, Deletion
from meshpki.cluster.manifest import FIELD_MANAGER, Kind, Object, Query, Ref
from meshpki.errors import MeshpkiError
from meshpki.lease.lease import Lease


class Leased(Cluster):
    """Both halves of a cluster. A write raises LeaseError where another run holds the Lease (MPK-230).

    Both raise LeaseLostError (MPK-231) once it is lost: so gates end, and their step at its next safe point.
    """

    def __init__(self, cluster: Cluster, lease: Lease) -> None:
        """Ask through `cluster`, while `lease` is held or has not been needed yet."""
        self._cluster, self._lease = cluster, lease

    @property
    def _reader(self) -> Cluster:
        self._lease.check()
        return self._cluster

    @property
    def _writer(self) -> Cluster:
        self._lease.take()
        return self._cluster

    def get(self, ref: Ref) -> Object | None:
        """See Reader.get."""
        return self._reader.get(ref)

    def metadata(self, ref: Ref) -> Object | None:
        """See Reader.metadata."""
        return self._reader.metadata(ref)

    def headers(self, query: Query) -> list[Object]:
        """See Reader.headers."""
        return self._reader.headers(query)

    def list(self, query: Query) -> list[Object]:
        """See Reader.list."""
        return self._reader.list(query)

    def scan(self, query: Query) -> Iterator[Object]:
        """See Reader.scan."""
        return self._reader.scan(query)

    def kinds(self) -> tuple[Kind, ...]:
        """See Reader.kinds."""
        return self._reader.kinds()

    def watch(self, query: Query, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """See Reader.watch."""
        return self._reader.watch(query, changed)

    def dry_run(self, manifest: Object, manager: str = FIELD_MANAGER) -> Object:
        """See Reader.dry_run."""
        return self._reader.dry_run(manifest, manager)

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """See Reader.allowed."""
        return self._reader.allowed(verb, group, resource, namespace, name)

    def logs(
        self,
        pod: Ref,
        container: str,
        lines: int,
        *,
        since: datetime | None = None,
        timestamps: bool = False,
        previous: bool = False,
        limit: int = 0,
    ) -> str:
        """See Reader.logs."""
        return self._reader.logs(
            pod, container, lines, since=since, timestamps=timestamps, previous=previous, limit=limit
        )

    def forward(self, pod: Ref, port: int) -> AbstractContextManager[socket.socket]:
        """See Reader.forward."""
        return self._reader.forward(pod, port)

    def fetch(
        self, pods: Iterable[Ref], port: int, path: str, width: int
    ) -> Iterator[tuple[Ref, bytes | MeshpkiError]]:
        """See Reader.fetch."""
        return self._reader.fetch(pods, port, path, width)

    def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:
        """See Reader.execute."""
        return self._reader.execute(pod, container, argv)

    def version(self) -> str:
        """See Reader.version."""
        return self._reader.version()

    def date(self) -> datetime | None:
        """See Reader.date."""
        return self._reader.date()

    def apply(self, manifest: Object) -> Object:
        """See Writer.apply."""
        return self._writer.apply(manifest)

    def merge(self, ref: Ref, patch: Object, manager: str, subresource: str = "") -> Object:
        """See Writer.merge."""
        return self._writer.merge(ref, patch, manager, subresource)

    def create(self, manifest: Object) -> Object:
        """See Writer.create."""
        return self._writer.create(manifest)

    def replace(self, manifest: Object) -> Object:
        """See Writer.replace."""
        return self._writer.replace(manifest)

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        """See Writer.delete."""
        return self._writer.delete(ref, how)

    def unbroken(self, what: str) -> AbstractContextManager[None]:
        """See Writer.unbroken."""
        return self._lease.unbroken(what)
