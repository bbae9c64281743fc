"""Requests to one API server: raw JSON over a connection pool, refusals as errors with a remedy."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlencode

import urllib3

from meshpki import __version__
from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object
from meshpki.cluster.refusal import refused, unreachable
from meshpki.cluster.silence import why
from meshpki.cluster.throttling import patience, patiently

USER_AGENT = f"meshpki/{__version__}"
JSON = "application/json"
MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"

Header = tuple[str, str]

_TIMEOUT = urllib3.Timeout(connect=5, read=30)


class Api:
    """One API server at `host` (a URL); safe to use from many threads."""

    def __init__(self, host: str, pool: urllib3.PoolManager, authorization: Callable[[], tuple[Header, ...]]) -> None:
        """`authorization` gives the headers that say who asks anew for each request, empty for nobody."""
        self.host, self._pool, self._authorization = host, pool, authorization
        self._answered = False

    @property
    def headers(self) -> tuple[Header, ...]:
        """What every request bears: who asks, with which program; a name may come again, as of several groups."""
        return (("User-Agent", USER_AGENT), *self._authorization())

    def json(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        *,
        accept: str = JSON,
    ) -> Object:
        """The object that answers a request, in the form that `accept` asks for; raises ClusterError."""
        return self._object(self.read(verb, path, query, body, accept=accept))

    def merge(self, path: str, query: Mapping[str, str], patch: Object, *, accept: str) -> Object:
        """The object that answers a JSON merge patch, in the form that `accept` asks for; raises ClusterError."""
        return self._object(self.read("PATCH", path, query, patch, accept=accept, content=MERGE))

    def find(self, path: str, accept: str = JSON) -> Object | None:
        """The object at a path, None where there is none; raises ClusterError for any other refusal."""
        try:
            return self._object(self.read("GET", path, accept=accept))
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def read(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        *,
        accept: str = JSON,
        content: str = "",
    ) -> bytes:
        """The bytes that answer a request; raises ClusterError."""
        return bytes(self.open(verb, path, query, body, accept=accept, content=content).data)

    def open(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        *,
        accept: str = JSON,
        content: str = "",
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """The answer with its headers, unread where it is to `stream`; raises ClusterError.

        `content` is the type of the body: server-side apply for a PATCH that does not say, JSON for all else.
        """
        kind = content or (_APPLY if verb == "PATCH" else JSON)
        headers = urllib3.HTTPHeaderDict([("Accept", accept), ("Content-Type", kind), *self.headers])
        url = f"{self.host}{path}?{urlencode(query)}" if query else self.host + path
        sent = None if body is None else json.dumps(body).encode()
        try:
            response = patiently(
                lambda: self._pool.request(
                    verb, url, body=sent, headers=headers, timeout=_TIMEOUT, preload_content=not stream, retries=False
                ),
                patience(verb, path, query or {}),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silent(why(error)) from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            self._answered = True
            raise refused(response.status, bytes(response.data), verb.lower(), path)
        return response

    def _object(self, answer: bytes) -> Object:
        try:
            content = json.loads(answer)
        except ValueError as error:
            raise self._silent("the answer is no JSON; is there a proxy in between?") from error
        if not isinstance(content, dict):
            raise self._silent("the answer is no object of the Kubernetes API")
        self._answered = True
        return content

    def _silent(self, reason: str) -> ClusterError:
        return unreachable(self.host, reason, at_first=not self._answered)
