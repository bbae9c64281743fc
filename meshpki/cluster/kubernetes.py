"""The one adapter to a real cluster. The official client reads the kubeconfig; requests are raw JSON over its pool.

Its typed models cost 0.4 s at first use and ten times the memory (docs/decisions/0002), so none is touched.
"""

import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import urllib3
import websocket
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject
from kubernetes.stream import ws_client

from meshpki import __version__
from meshpki.cluster.client import ClusterError, NoAccessError
from meshpki.cluster.discovery import Discovery
from meshpki.cluster.manifest import FIELD_MANAGER, Object, Query, Ref
from meshpki.cluster.refusal import refused, unreachable
from meshpki.cluster.response import AnswerError, ask
from meshpki.cluster.tunnel import Tunnel
from meshpki.cluster.watching import Watcher
from meshpki.errors import MeshpkiError, PreconditionError

# The client's websockets connect without any limit of their own.
websocket.setdefaulttimeout(10)
USER_AGENT = f"meshpki/{__version__}"
_TIMEOUT = urllib3.Timeout(connect=5, read=30)
_PAGE = 500
_STREAM_SECONDS = 10
_HANDSHAKE_STATUS = re.compile(r"(?:status |\()(\d{3})\b")
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_POD = "/api/v1/namespaces/{0.namespace}/pods/{0.name}/{1}"


def connect(context: str = "", kubeconfig: Path | None = None, *, force_conflicts: bool = False) -> "KubernetesCluster":
    """Open the cluster that a kubeconfig names; raises PreconditionError (MPK-101) where there is none to open."""
    settings, source = client.Configuration(), str(kubeconfig) if kubeconfig else None
    with tempfile.TemporaryDirectory(prefix="meshpki-") as folder:
        try:
            # Named once: the file's current context may be another one by the time a child process reads it.
            chosen = context or str(config.list_kube_config_contexts(source)[1]["name"])
            config.load_kube_config(
                config_file=source,
                context=chosen,
                client_configuration=settings,
                temp_file_path=folder,
            )
        except (config.ConfigException, OSError) as error:
            raise PreconditionError(
                "MPK-101",
                f"no cluster to talk to: {error}",
                remedy="name one with --context NAME (and --kubeconfig FILE), or bring one up here with --lab",
            ) from error
        _off_the_disk(settings)
    settings.connection_pool_maxsize = 32
    hook = getattr(settings, "refresh_api_key_hook", None)
    if hook is not None:
        settings.refresh_api_key_hook = _token_alone(hook)  # type: ignore[assignment] # declared by the None it begins as
    return KubernetesCluster(settings, chosen, force_conflicts=force_conflicts)


def _token_alone(refresh: Callable[[client.Configuration], None]) -> Callable[[client.Configuration], None]:
    """The library's refresh also writes back the paths of its temporary files, which are gone: take the token only."""

    def refreshed(settings: client.Configuration) -> None:
        scratch = client.Configuration()
        refresh(scratch)
        settings.api_key, settings.api_key_prefix = scratch.api_key, scratch.api_key_prefix

    return refreshed


def _off_the_disk(settings: client.Configuration) -> None:
    """Keep certificate and key in memory files: a killed process leaves no key behind ."""
    for name in ("ssl_ca_cert", "cert_file", "key_file"):
        path = getattr(settings, name)
        if path:
            descriptor = os.memfd_create(f"meshpki-{name}")
            with Path(path).open("rb") as source, os.fdopen(os.dup(descriptor), "wb") as target:
                shutil.copyfileobj(source, target)
            setattr(settings, name, f"/proc/self/fd/{descriptor}")


class KubernetesCluster:
    """A Cluster over one API server connection pool; safe to use from many threads."""

    def __init__(self, settings: client.Configuration, context: str, *, force_conflicts: bool) -> None:
        """Use what `connect` read; make one with it."""
        self._settings, self._force = settings, force_conflicts
        self.context = context
        self._pool = RESTClientObject(settings).pool_manager
        self._discovery = Discovery(self._found)
        self.host: str = settings.host

    def get(self, ref: Ref) -> Object | None:
        """See Reader.get."""
        path = self._discovery.path(ref)
        return self._found(path) if path else None

    def metadata(self, ref: Ref) -> Object | None:
        """See Reader.metadata."""
        path = self._discovery.path(ref)
        return self._found(path, accept=_METADATA) if path else None

    def list(self, query: Query) -> list[Object]:
        """See Reader.list; pages of 500."""
        resource = self._discovery.find(query.api_version, query.kind)
        items: list[Object] = []
        token = ""
        while resource:
            page = self._json("GET", resource.path(query.namespace), {**_selectors(query, token), "limit": str(_PAGE)})
            items += [{"apiVersion": query.api_version, "kind": query.kind, **item} for item in page.get("items", [])]
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                break
        return items

    def watch(self, query: Query, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """See Reader.watch."""
        return Watcher(lambda: self._stream(query), changed)

    def dry_run(self, manifest: Object) -> Object:
        """See Reader.dry_run."""
        return self._apply(manifest, {"dryRun": "All"})

    def dry_create(self, manifest: Object) -> Object:
        """See Reader.dry_create."""
        resource = self._resource(manifest)
        return self._json("POST", resource, {"dryRun": "All", "fieldValidation": "Strict"}, manifest)

    def apply(self, manifest: Object) -> Object:
        """See Writer.apply."""
        return self._apply(manifest, {})

    def delete(self, ref: Ref) -> bool:
        """See Writer.delete; dependents go in the background."""
        path = self._discovery.path(ref)
        if path is None:
            return False
        try:
            self._json("DELETE", path, {"propagationPolicy": "Background"})
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
        """See Reader.allowed."""
        wanted = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        answer = self._json("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, review)
        return bool(answer.get("status", {}).get("allowed"))

    def logs(self, pod: Ref, container: str, lines: int) -> str:
        """See Reader.logs."""
        query = {"container": container, "tailLines": str(lines)}
        return self._request("GET", _POD.format(pod, "log"), query, accept="*/*").decode(errors="replace")

    def version(self) -> str:
        """See Reader.version."""
        return str(self._json("GET", "/version")["gitVersion"])

    def date(self) -> datetime | None:
        """See Reader.date; RFC 9110 section 5.6.7."""
        response = self._open("GET", "/version", {}, None, accept=_JSON, stream=False)
        try:
            return parsedate_to_datetime(response.headers.get("date", "")).astimezone(UTC)
        except ValueError:
            return None

    def forward(self, pod: Ref, port: int) -> AbstractContextManager[socket.socket]:
        """See Reader.forward."""
        url = ws_client.get_websocket_url(self.host + _POD.format(pod, "portforward"), [("ports", str(port))])
        headers = {**self._authorization(), "sec-websocket-protocol": ws_client.V4_CHANNEL_PROTOCOL}
        try:
            carrier = ws_client.create_websocket(self._settings, url, headers)
        except (websocket.WebSocketException, OSError) as error:
            raise _stream_refused(error, "port-forward", f"{pod} port {port}") from error
        tunnel = Tunnel(carrier)
        tunnel.near.settimeout(_STREAM_SECONDS)
        return tunnel

    def fetch(
        self, pods: Iterable[Ref], port: int, path: str, width: int
    ) -> Iterator[tuple[Ref, bytes | MeshpkiError]]:
        """See Reader.fetch."""
        threads = ThreadPoolExecutor(width, thread_name_prefix="fetch")
        try:
            asked = {threads.submit(self._answer, pod, port, path): pod for pod in pods}
            for done in as_completed(asked):
                yield asked[done], done.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, pod: Ref, port: int, path: str) -> bytes | MeshpkiError:
        try:
            with self.forward(pod, port) as connection:
                return ask(connection, path)
        except AnswerError as error:
            return AnswerError(error.what, where=str(pod))
        except MeshpkiError as error:
            return error

    def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:
        """See Reader.execute."""
        query = [
            ("container", container),
            ("stdout", "true"),
            ("stderr", "true"),
            *(("command", part) for part in argv),
        ]
        url = self.host + _POD.format(pod, "exec")
        try:
            stream = ws_client.websocket_call(
                self._settings, "GET", url, query_params=query, headers=self._authorization(), _preload_content=False
            )
        except ApiException as error:
            raise _stream_refused(error, "exec", str(pod)) from error
        stream.run_forever(timeout=30)
        output, complaint = stream.read_stdout(timeout=0) or "", stream.read_stderr(timeout=0) or ""
        if stream.is_open() or stream.returncode != 0:
            said = complaint.strip() or output.strip() or "no answer within 30 s"
            raise ClusterError("MPK-102", f"`{argv[0]}` failed: {said[-500:]}", where=f"{pod} {container}", status=500)
        return str(output)

    def _apply(self, manifest: Object, extra: Mapping[str, str]) -> Object:
        name = manifest["metadata"]["name"]
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": str(self._force).lower(), **extra}
        return self._json("PATCH", f"{self._resource(manifest)}/{name}", query, manifest)

    def _resource(self, manifest: Object) -> str:
        resource = self._discovery.find(manifest["apiVersion"], manifest["kind"])
        if resource is None:
            what = f"the API server knows no kind {manifest['kind']} in {manifest['apiVersion']} yet"
            raise ClusterError("MPK-102", what, where=str(manifest["metadata"].get("name", "")), status=503)
        return resource.path(manifest["metadata"].get("namespace", ""))

    def _found(self, path: str, accept: str = _JSON) -> Object | None:
        try:
            return self._object(self._request("GET", path, {}, accept=accept))
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _json(self, verb: str, path: str, query: Mapping[str, str] | None = None, body: Object | None = None) -> Object:
        return self._object(self._request(verb, path, query or {}, body))

    def _object(self, answer: bytes) -> Object:
        try:
            content = json.loads(answer)
        except ValueError as error:
            raise unreachable(self.host, "the answer is no JSON; is there a proxy in between?") from error
        if not isinstance(content, dict):
            raise unreachable(self.host, "the answer is no object of the Kubernetes API")
        return content

    def _request(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        accept: str = "application/json",
    ) -> bytes:
        response = self._open(verb, path, query, body, accept=accept, stream=False)
        return bytes(response.data)

    def _open(
        self, verb: str, path: str, query: Mapping[str, str], body: Object | None, *, accept: str, stream: bool
    ) -> urllib3.BaseHTTPResponse:
        kind = "application/apply-patch+yaml" if verb == "PATCH" else _JSON
        headers = {"User-Agent": USER_AGENT, "Accept": accept, "Content-Type": kind, **self._authorization()}
        url = f"{self.host}{path}?{urlencode(query)}" if query else self.host + path
        content = None if body is None else json.dumps(body).encode()
        try:
            response = self._pool.request(
                verb, url, body=content, headers=headers, timeout=_TIMEOUT, preload_content=not stream, retries=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self.host, type(error).__name__) from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise refused(response.status, bytes(response.data), verb.lower(), path)
        return response

    def _stream(self, query: Query) -> urllib3.BaseHTTPResponse | None:
        resource = self._discovery.find(query.api_version, query.kind)
        if resource is None:
            return None
        selectors = {**_selectors(query), "watch": "true", "timeoutSeconds": "25"}
        return self._open(
            "GET", resource.path(query.namespace), selectors, None, accept="application/json", stream=True
        )

    def _authorization(self) -> dict[str, str]:
        token = self._settings.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            return {"authorization": str(token)}
        if self._settings.username and self._settings.password:
            return dict(urllib3.make_headers(basic_auth=f"{self._settings.username}:{self._settings.password}"))
        return {}


def _selectors(query: Query, token: str = "") -> dict[str, str]:
    parts = {"labelSelector": query.labels, "fieldSelector": query.fields, "continue": token}
    return {key: value for key, value in parts.items() if value}


def _stream_refused(error: Exception, verb: str, where: str) -> ClusterError:
    # The client folds the HTTP answer into text; only its status is worth keeping, the rest may hold headers.
    found = _HANDSHAKE_STATUS.search(str(error))
    status = int(found[1]) if found else 0
    what = f"{verb} refused (HTTP {status})" if status else f"{verb} failed: no connection"
    denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    remedy = f"the user of this kubeconfig needs the right to {verb} pods" if denied else ""
    kind = NoAccessError if denied else ClusterError
    return kind("MPK-102", what, where=where, remedy=remedy, status=status)
