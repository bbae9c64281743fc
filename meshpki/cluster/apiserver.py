"""What the API server itself answers: objects, watches, dry runs, reviews, logs, its version and clock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import urllib3

from meshpki.cluster.api import JSON, Api
from meshpki.cluster.client import BACKGROUND, ClusterError, Deletion, UnknownKindError
from meshpki.cluster.discovery import Discovery, served
from meshpki.cluster.manifest import FIELD_MANAGER, Kind, Object, Query, Ref, ref_of
from meshpki.cluster.watching import Watcher
from meshpki.settings.durations import moment

POD = "/api/v1/namespaces/{0.namespace}/pods/{0.name}/{1}"

_PAGE = 500
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_WRITTEN = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}


class ApiServer:
    """Both halves of a Cluster but for the connections into pods; safe to use from many threads."""

    def __init__(self, api: Api, *, force_conflicts: bool) -> None:
        """Ask through `api`; with `force_conflicts` an apply takes fields over from other managers."""
        self._api, self._force = api, force_conflicts
        self._discovery = Discovery(api.find)
        self.host = api.host

    def get(self, ref: Ref) -> Object | None:
        """See Reader.get."""
        path = self._discovery.path(ref)
        return self._api.find(path) if path else None

    def metadata(self, ref: Ref) -> Object | None:
        """See Reader.metadata."""
        path = self._discovery.path(ref)
        return self._api.find(path, accept=_METADATA) if path else None

    def headers(self, query: Query) -> list[Object]:
        """See Reader.headers."""
        named = {"apiVersion": query.api_version, "kind": query.kind}
        return [{**item, **named} for item in self._pages(query, _METADATA_LIST)]

    def list(self, query: Query) -> list[Object]:
        """See Reader.list."""
        return [*self.scan(query)]

    def scan(self, query: Query) -> Iterator[Object]:
        """See Reader.scan; pages of 500."""
        return self._pages(query, JSON)

    def kinds(self) -> tuple[Kind, ...]:
        """See Reader.kinds; aggregated discovery, which every supported Kubernetes has."""
        pages = (self._api.find(path, accept=_DISCOVERY) for path in ("/api", "/apis"))
        return tuple(kind for page in pages if page for kind in served(page))

    def _pages(self, query: Query, accept: str) -> Iterator[Object]:
        resource = self._discovery.find(query.api_version, query.kind)
        token = ""
        while resource:
            selectors = {**_selectors(query, token), "limit": str(_PAGE)}
            page = self._api.json("GET", resource.path(query.namespace), selectors, accept=accept)
            for item in page.get("items") or []:  # null in a list of metadata that is empty
                yield {"apiVersion": query.api_version, "kind": query.kind, **item}
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                break

    def watch(self, query: Query, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """See Reader.watch."""
        return Watcher(lambda: self._stream(query), changed)

    def dry_run(self, manifest: Object, manager: str = FIELD_MANAGER) -> Object:
        """See Reader.dry_run."""
        other = {} if manager == FIELD_MANAGER else {"fieldManager": manager, "force": "true"}
        return self._apply(manifest, {"dryRun": "All", **other})

    def apply(self, manifest: Object) -> Object:
        """See Writer.apply."""
        return self._apply(manifest, {})

    def merge(self, ref: Ref, patch: Object, manager: str, subresource: str = "") -> Object:
        """See Writer.merge."""
        resource = self._resource({"apiVersion": ref.api_version, "kind": ref.kind, "metadata": _named(ref)})
        path = "/".join(filter(None, (resource, ref.name, subresource)))
        return self._api.merge(path, {"fieldManager": manager}, patch, accept=_METADATA)

    def create(self, manifest: Object) -> Object:
        """See Writer.create."""
        return self._api.json("POST", self._resource(manifest), _WRITTEN, manifest)

    def replace(self, manifest: Object) -> Object:
        """See Writer.replace."""
        path = f"{self._resource(manifest)}/{ref_of(manifest).name}"
        return self._api.json("PUT", path, _WRITTEN, manifest)

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        """See Writer.delete; dependents go in the background unless asked otherwise."""
        path = self._discovery.path(ref)
        if path is None:
            return False
        try:
            # the answer may be the object as it goes: of a Secret, too, its metadata alone
            self._api.json("DELETE", path, {}, _options(how), accept=_METADATA)
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def unbroken(self, what: str) -> AbstractContextManager[None]:  # noqa: ARG002 - only who holds the mesh waits
        """See Writer.unbroken."""
        return nullcontext()

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """See Reader.allowed."""
        whole, _, part = resource.partition("/")
        about = {"group": group, "resource": whole, "subresource": part, "namespace": namespace, "name": name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, **about}},
        }
        answer = self._api.json("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, review)
        return bool(answer.get("status", {}).get("allowed"))

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
        query = {"container": container, "tailLines": str(lines), **({"limitBytes": str(limit)} if limit else {})}
        query |= {"sinceTime": moment(since.astimezone(UTC))} if since else {}
        query |= {name: "true" for name, asked in (("timestamps", timestamps), ("previous", previous)) if asked}
        return self._api.read("GET", POD.format(pod, "log"), query, accept="*/*").decode(errors="replace")

    def version(self) -> str:
        """See Reader.version."""
        return str(self._api.json("GET", "/version")["gitVersion"])

    def date(self) -> datetime | None:
        """See Reader.date; RFC 9110 section 5.6.7."""
        try:
            return parsedate_to_datetime(self._api.open("GET", "/version").headers.get("date", "")).astimezone(UTC)
        except ValueError:
            return None

    def _apply(self, manifest: Object, extra: Mapping[str, str]) -> Object:
        name = manifest["metadata"]["name"]
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": str(self._force).lower(), **extra}
        return self._api.json("PATCH", f"{self._resource(manifest)}/{name}", query, manifest)

    def _resource(self, manifest: Object) -> str:
        resource = self._discovery.find(manifest["apiVersion"], manifest["kind"])
        if resource is None:
            where = str(manifest["metadata"].get("name", ""))
            raise UnknownKindError(manifest["kind"], manifest["apiVersion"], where=where)
        return resource.path(manifest["metadata"].get("namespace", ""))

    def _stream(self, query: Query) -> urllib3.BaseHTTPResponse | None:
        resource = self._discovery.find(query.api_version, query.kind)
        if resource is None:
            return None
        selectors = {**_selectors(query), "watch": "true", "timeoutSeconds": "25"}
        return self._api.open("GET", resource.path(query.namespace), selectors, stream=True)


def _options(how: Deletion) -> Object:
    """DeleteOptions (meta/v1)."""
    preconditions = {"uid": how.uid, "resourceVersion": how.resource_version}
    return {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Foreground" if how.foreground else "Background",
        "preconditions": {key: value for key, value in preconditions.items() if value},
        **({"gracePeriodSeconds": 0} if how.at_once else {}),
    }


def _named(ref: Ref) -> Object:
    return {"name": ref.name, "namespace": ref.namespace}


def _selectors(query: Query, token: str = "") -> dict[str, str]:
    parts = {"labelSelector": query.labels, "fieldSelector": query.fields, "continue": token}
    return {key: value for key, value in parts.items() if value}
