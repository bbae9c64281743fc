"""The two fakes: a cluster in memory and a clock whose hours take no time.

The contract suite (tests/contract) runs the same tests on this cluster and on the real one.
"""

import contextlib
import copy
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from meshpki.cluster.client import BACKGROUND, ClusterError, Deletion, UnknownKindError
from meshpki.cluster.manifest import FIELD_MANAGER, Kind, Object, Query, Ref, ref_of
from meshpki.cluster.response import AnswerError, ask
from meshpki.errors import MeshpkiError
from meshpki.rights import plural

_START = datetime(2026, 11, 24, 12, tzinfo=UTC)
_WRITES = ("apply", "merge", "create", "replace", "delete")


@dataclass
class FakeClock:
    """Time that passes only when somebody waits."""

    at: datetime = _START
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> datetime:
        with self.lock:
            return self.at

    def wait(self, event: threading.Event, at_most: timedelta) -> bool:
        # A real instant lets the other threads of a run come to their turn.
        if event.wait(0.002):
            return True
        with self.lock:
            self.at += at_most
        return False


Reaction = Callable[["InMemoryCluster", Object], None]


@dataclass
class InMemoryCluster:
    """Objects by name, server-side apply by one field manager, watches, and a log of every request.

    With `needs_crds` a kind of somebody's own is unknown until its CRD is there. `reactions` stand for controllers:
    each is called after a write with the stored object. `faults` are raised, one a request, before the request is
    carried out. `shell` answers commands run in pods.
    """

    objects: dict[Ref, Object] = field(default_factory=dict)
    reactions: list[Reaction] = field(default_factory=list)
    faults: list[ClusterError] = field(default_factory=list)
    listeners: dict[tuple[str, int], Callable[[socket.socket], None]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    shell: Callable[[Ref, Sequence[str]], str] | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    watchers: list[tuple[Query, Callable[[], None]]] = field(default_factory=list)
    host: str = "https://memory.invalid"
    context: str = "memory"
    server_date: datetime | None = _START
    revision: int = 0
    needs_crds: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if request[0] in _WRITES]

    def put(self, *objects: Object) -> None:
        """Place objects as somebody else did, with no request of ours."""
        with self.lock:
            for one in objects:
                self._store(copy.deepcopy(one))

    def get(self, ref: Ref) -> Object | None:
        self._request("get", ref)
        with self.lock:
            return copy.deepcopy(self.objects.get(ref))

    def metadata(self, ref: Ref) -> Object | None:
        live = self.get(ref)
        partial = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}
        return {**partial, "metadata": live["metadata"]} if live else None

    def headers(self, query: Query) -> list[Object]:
        self._request("headers", query)
        return [{key: one[key] for key in ("apiVersion", "kind", "metadata")} for one in self._found(query)]

    def list(self, query: Query) -> list[Object]:
        self._request("list", query)
        return self._found(query)

    def _found(self, query: Query) -> "list[Object]":
        with self.lock:
            found = [ref for ref, one in self.objects.items() if _matches(ref, one, query)]
            return [copy.deepcopy(self.objects[ref]) for ref in sorted(found)]

    def scan(self, query: Query) -> Iterator[Object]:
        yield from self.list(query)

    def kinds(self) -> tuple[Kind, ...]:
        self._request("discover", "")
        with self.lock:
            known = {(ref.api_version, ref.kind): bool(ref.namespace) for ref in self.objects}
            verbs = frozenset({"list", "delete"})
            return tuple(Kind(*kind, namespaced, verbs, plural(kind[1])) for kind, namespaced in known.items())

    @contextlib.contextmanager
    def watch(self, query: Query, changed: Callable[[], None]) -> Iterator[None]:
        entry = (query, changed)
        self._request("watch", query)
        self.watchers.append(entry)
        yield
        self.watchers.remove(entry)

    def dry_run(self, manifest: Object, manager: str = FIELD_MANAGER) -> Object:
        ref = ref_of(manifest)
        self._request("dry-run" if manager == FIELD_MANAGER else f"dry-run as {manager}", ref)
        with self.lock:
            self._admit(ref)
            return _applied(self.objects.get(ref), manifest)

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        self._request("review", f"{verb} {group}/{resource} {namespace}/{name}")
        return True

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
        """Lines of `answers` by container or by `pod container`, with their times before them; the end of the last."""
        self._request("logs", pod)
        name = f"{'previous ' if previous else ''}logs"
        log = self.answers.get(f"{name} {pod.name} {container}", self.answers.get(f"{name} {container}"))
        if pod not in self.objects or (previous and log is None):
            status = 400 if pod in self.objects else 404
            raise ClusterError("MPK-102", "get refused: not found", where=str(pod), status=status)
        found = (log or "").splitlines(keepends=True)[-lines:]
        if since is not None:
            floor = since.replace(microsecond=0)
            found = [line for line in found if datetime.fromisoformat(line.partition(" ")[0]) >= floor]
        text = "".join(found if timestamps else [line.partition(" ")[2] for line in found])
        return text.encode()[: limit or None].decode(errors="replace")

    @contextlib.contextmanager
    def forward(self, pod: Ref, port: int) -> Iterator[socket.socket]:
        self._request("forward", pod)
        serve = self.listeners.get((pod.name, port))
        if serve is None:
            raise ClusterError("MPK-102", "port-forward refused (HTTP 404)", where=str(pod), status=404)
        near, far = socket.socketpair()
        thread = threading.Thread(target=serve, args=(far,), daemon=True)
        thread.start()
        with near, far:
            yield near

    def fetch(
        self, pods: Iterable[Ref], port: int, path: str, width: int
    ) -> Iterator[tuple[Ref, bytes | MeshpkiError]]:
        assert width > 0
        for pod in pods:
            yield pod, self._answer(pod, port, path)

    def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:
        self._request("exec", f"{pod} {container} {argv[0]}")
        return self.answers["exec"] if self.shell is None else self.shell(pod, argv)

    def version(self) -> str:
        return "v1.35.4"

    def date(self) -> datetime | None:
        return self.server_date

    def apply(self, manifest: Object) -> Object:
        ref = ref_of(manifest)
        self._request("apply", ref)
        with self.lock:
            self._admit(ref)
            return copy.deepcopy(self._store(_applied(self.objects.get(ref), manifest)))

    def merge(self, ref: Ref, patch: Object, manager: str, subresource: str = "") -> Object:
        self._request("merge", "/".join(filter(None, (str(ref), subresource))))
        with self.lock:
            live = self.objects.get(ref)
            if live is None:
                raise ClusterError("MPK-102", f"{ref} not found", where=str(ref), status=404, reason="NotFound")
            _hold(live, patch)
            kept = patch if not subresource else {subresource: patch.get(subresource, {})}
            return {"metadata": copy.deepcopy(self._store(_managed(_patched(live, kept), manager, patch))["metadata"])}

    def create(self, manifest: Object) -> Object:
        ref = ref_of(manifest)
        self._request("create", ref)
        with self.lock:
            self._admit(ref)
            if ref in self.objects:
                raise ClusterError("MPK-102", f"{ref} already exists", status=409, reason="AlreadyExists")
            return copy.deepcopy(self._store(copy.deepcopy(manifest)))

    def replace(self, manifest: Object) -> Object:
        ref = ref_of(manifest)
        self._request("replace", ref)
        with self.lock:
            live = self.objects.get(ref)
            if live is None:
                raise ClusterError("MPK-102", f"{ref} not found", where=str(ref), status=404, reason="NotFound")
            _hold(live, manifest)
            kept = {"uid": live["metadata"]["uid"]}
            return copy.deepcopy(self._store({**manifest, "metadata": {**manifest["metadata"], **kept}}))

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        self._request("delete", ref)
        with self.lock:
            live = self.objects.get(ref)
            if live is None:
                return False
            if how.uid not in ("", live["metadata"]["uid"]):
                raise ClusterError("MPK-102", "the UID in the precondition is another", status=409, reason="Conflict")
            _hold(live, {"metadata": {"resourceVersion": how.resource_version}})
            self._remove(ref, how)
            return True

    def unbroken(self, what: str) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002 - a protocol's
        return contextlib.nullcontext()

    def _remove(self, ref: Ref, how: Deletion) -> None:
        """An object that bears finalizers stays, marked, until somebody takes them off."""
        live = self.objects[ref]
        if live["metadata"].get("finalizers") and not how.at_once:
            marked = {"deletionTimestamp": f"{self.server_date or _START:%FT%TZ}", **live["metadata"]}
            self._store({**live, "metadata": marked})
            return
        del self.objects[ref]
        if ref.kind == "Namespace":
            for inside in [one for one in self.objects if one.namespace == ref.name]:
                self._remove(inside, BACKGROUND)

    def _answer(self, pod: Ref, port: int, path: str) -> bytes | MeshpkiError:
        try:
            with self.forward(pod, port) as connection:
                return ask(connection, path)
        except AnswerError as error:
            return AnswerError(error.what, where=str(pod))
        except MeshpkiError as error:
            return error

    def _admit(self, ref: Ref) -> None:
        if ref.api_version.partition("/")[0].endswith(".invalid") or (self.needs_crds and not self._served(ref)):
            raise UnknownKindError(ref.kind, ref.api_version, where=ref.name)
        if ref.namespace and Ref("v1", "Namespace", "", ref.namespace) not in self.objects:
            what = f'namespaces "{ref.namespace}" not found'
            raise ClusterError("MPK-102", what, where=str(ref), status=404, reason="NotFound")

    def _served(self, ref: Ref) -> bool:
        """Whether a kind is built in, or its CRD is there."""
        group = ref.api_version.rpartition("/")[0]
        crds = [one["spec"] for one in self.objects.values() if one["kind"] == "CustomResourceDefinition"]
        built_in = "." not in group or group.endswith(".k8s.io")
        return built_in or any((one["group"], one["names"]["kind"]) == (group, ref.kind) for one in crds)

    def _store(self, one: Object) -> Object:
        ref = ref_of(one)
        before = self.objects.get(ref)
        if before is not None and _content(before) == _content(one):
            return before
        self.revision += 1
        metadata = {"uid": f"uid-{self.revision}", **one["metadata"], "resourceVersion": str(self.revision)}
        stored = {**one, "metadata": metadata}
        self.objects[ref] = stored
        for react in self.reactions:
            react(self, stored)
        for query, changed in list(self.watchers):
            if _matches(ref, stored, query):
                changed()
        return self.objects[ref]

    def _request(self, verb: str, what: object) -> None:
        with self.lock:
            self.requests.append((verb, str(what)))
            if self.faults:
                raise self.faults.pop(0)


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str, namespace: str = "default", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def _applied(live: Object | None, manifest: Object) -> Object:
    merged = _merged(live or {}, manifest)
    managers = [one for one in merged["metadata"].get("managedFields", []) if one["manager"] != FIELD_MANAGER]
    mine = {"manager": FIELD_MANAGER, "operation": "Apply"}
    return {**merged, "metadata": {**merged["metadata"], "managedFields": [*managers, mine]}}


def _managed(one: Object, manager: str, patch: Object) -> Object:
    """Whoever patches a field has it from then on, besides those it had before."""
    entries = one["metadata"].get("managedFields", [])
    before = next((entry.get("fieldsV1", {}) for entry in entries if entry["manager"] == manager), {})
    mine = {"manager": manager, "operation": "Update", "fieldsV1": _merged(before, _fields(patch))}
    managers = [entry for entry in entries if entry["manager"] != manager]
    return {**one, "metadata": {**one["metadata"], "managedFields": [*managers, mine]}}


def _fields(patch: Object) -> Object:
    """The fields of a patch as `managedFields` lists them."""
    return {f"f:{key}": _fields(value) if isinstance(value, dict) else {} for key, value in patch.items()}


def _hold(live: Object, patch: Object) -> None:
    """A patch that names a resourceVersion is for that one alone."""
    wanted = patch.get("metadata", {}).get("resourceVersion")
    if wanted and wanted != live["metadata"]["resourceVersion"]:
        raise ClusterError("MPK-102", "the object has been modified", status=409, reason="Conflict")


def _patched(below: Object, patch: Object) -> Object:
    """RFC 7386: null removes, mappings merge, anything else replaces."""
    merged = {key: copy.deepcopy(value) for key, value in below.items() if patch.get(key, value) is not None}
    for key, value in patch.items():
        if isinstance(value, dict):
            beneath = merged.get(key)
            merged[key] = _patched(beneath if isinstance(beneath, dict) else {}, value)
        elif value is not None:
            merged[key] = copy.deepcopy(value)
    return merged


def _merged(below: Object, above: Object) -> Object:
    merged = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else copy.deepcopy(value)
    return merged


def _content(one: Object) -> Object:
    dropped = ("resourceVersion", "uid")
    return {**one, "metadata": {key: value for key, value in one["metadata"].items() if key not in dropped}}


def _matches(ref: Ref, one: Object, query: Query) -> bool:
    if (ref.api_version, ref.kind) != (query.api_version, query.kind):
        return False
    if query.namespace and ref.namespace != query.namespace:
        return False
    labels = one["metadata"].get("labels", {})
    return all(_selected(term, labels) for term in query.labels.split(",") if term) and all(
        _field(one, term) for term in query.fields.split(",") if term
    )


def _selected(term: str, labels: dict[str, str]) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key) != value
    key, _, value = term.partition("=")
    return labels.get(key) == value


def _field(one: Object, term: str) -> bool:
    path, _, value = term.partition("=")
    found: object = one
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found == value
