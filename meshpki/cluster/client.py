"""What meshpki asks of a cluster: a half that reads, a half that changes, and the cluster that is both."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from meshpki.cluster.manifest import FIELD_MANAGER, Kind, Object, Query, Ref
from meshpki.errors import PRECONDITION, MeshpkiError


class ClusterError(MeshpkiError):
    """The API server refused or could not be reached; `status` is the HTTP status, 0 where there was no answer."""

    def __init__(
        self, code: str, what: str, *, where: str = "", remedy: str = "", status: int = 0, reason: str = ""
    ) -> None:
        """Keep the API's own status and reason beside ours."""
        super().__init__(code, what, where=where, remedy=remedy)
        self.status, self.reason = status, reason

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a moment later: no answer, throttled, a webhook not reachable yet."""
        return self.status in (0, 408, 429, 500, 502, 503, 504)


class NoAccessError(ClusterError):
    """There is no answer at all, or none for this user: a precondition that no step can fix."""

    exit_code = PRECONDITION


class UnknownKindError(ClusterError):
    """The API server does not serve this kind (yet): a CRD that comes later may bring it."""

    def __init__(self, kind: str, api_version: str, *, where: str = "") -> None:
        """Say which kind; the status is that of a server that is not ready, so that an apply is tried again."""
        what = f"the API server knows no kind {kind} in {api_version} yet"
        super().__init__("MPK-102", what, where=where, status=503)


@dataclass(frozen=True)
class Deletion:
    """How to delete: only the object of this `uid` or `resource_version`, where one is given.

    `foreground` keeps the object until its dependents are gone; `at_once` grants no time to end (of a pod: its kubelet
    is not waited for).
    """

    uid: str = ""
    resource_version: str = ""
    foreground: bool = False
    at_once: bool = False


BACKGROUND = Deletion()


class Reader(Protocol):
    """The half that gates and checks are given: nothing here changes the cluster."""

    def get(self, ref: Ref) -> Object | None:
        """The live object, None where it (or its kind) is not there."""

    def metadata(self, ref: Ref) -> Object | None:
        """An object's metadata alone (PartialObjectMetadata): of a Secret, nothing else ever crosses the wire."""

    def headers(self, query: Query) -> list[Object]:
        """As `list`, but of each object the metadata alone (PartialObjectMetadata), besides apiVersion and kind."""

    def list(self, query: Query) -> list[Object]:
        """Every object of the query, none where the kind is not there; read in pages."""

    def scan(self, query: Query) -> Iterator[Object]:
        """As `list`, but one page at a time is held."""

    def kinds(self) -> tuple[Kind, ...]:
        """Every kind that the server knows, once, in the version it prefers; sub-resources are left out."""

    def watch(self, query: Query, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """While open, call `changed` (from another thread) whenever an object of the query comes, changes or goes."""

    def dry_run(self, manifest: Object, manager: str = FIELD_MANAGER) -> Object:
        """What the server would store if the manifest were applied; raises ClusterError where it would refuse.

        Another field manager than ours stands for an installer that takes over what it applies, whoever owns it.
        """

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Whether the user of this connection has a right (SelfSubjectAccessReview); without a name, on any."""

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
        """The last lines a container wrote, each with the kubelet's time before it if asked for `timestamps`.

        Only those from the whole second of `since` on, and of these the first `limit` bytes (0: all); those of the
        container before its last restart with `previous`, which raises ClusterError where there was none.
        """

    def forward(self, pod: Ref, port: int) -> AbstractContextManager[socket.socket]:
        """A connection to a port inside a pod's network namespace."""

    def fetch(
        self, pods: Iterable[Ref], port: int, path: str, width: int
    ) -> Iterator[tuple[Ref, bytes | MeshpkiError]]:
        """The body of GET `path` at a port inside each pod, or why there is none, as the answers come.

        At most `width` connections at once, LIMIT bytes and SECONDS for each (response.py); closing the iterator
        ends them all. The time runs on while the caller looks at an answer.
        """

    def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:
        """Standard output of a command run in a container; raises ClusterError where it fails."""

    def version(self) -> str:
        """The API server's version, as `v1.35.4`."""

    def date(self) -> datetime | None:
        """The API server's clock (UTC, whole seconds), from the Date header of an answer; None without one."""


class Writer(Protocol):
    """The half that changes the cluster."""

    def apply(self, manifest: Object) -> Object:
        """Server-side apply of a whole manifest by field manager `meshpki`, never forced unless the user asked."""

    def merge(self, ref: Ref, patch: Object, manager: str, subresource: str = "") -> Object:
        """JSON merge patch (RFC 7386) of a live object by a named field manager; for the few fields that are not ours.

        The answer is the object's metadata alone, so that of a Secret nothing else ever crosses the wire. Raises
        ClusterError, with status 409 where the patch names another resourceVersion than the live one.
        """

    def create(self, manifest: Object) -> Object:
        """Create an object; raises ClusterError, with status 409 where it is there already."""

    def replace(self, manifest: Object) -> Object:
        """Put an object in the place of the live one of the same resourceVersion (compare and swap).

        Raises ClusterError, with status 409 where the live one has another, and 404 where there is none.
        """

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        """Delete one object; False where it was not there. Raises ClusterError, 409 where it is not the one named."""

    def unbroken(self, what: str) -> AbstractContextManager[None]:
        """While open, changes are under way of which none may be left out: a run that is stopped ends after them."""


class Cluster(Reader, Writer, Protocol):
    """Both halves."""


class Clock(Protocol):
    """Time, handed in so that a test's hour takes no time."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def wait(self, event: threading.Event, at_most: timedelta) -> bool:
        """Wait for an event; whether it was set."""
