"""The one adapter to a real cluster: raw JSON over the official client's pool (kubeconfig.py reads the file by it).

Its typed models cost 0.4 s at first use and ten times the memory (docs/decisions/0002), so none is touched.
"""

import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import websocket
from kubernetes import client
from kubernetes.client.rest import RESTClientObject
from kubernetes.stream import ws_client

from meshpki.cluster.api import Api, Header
from meshpki.cluster.apiserver import POD, ApiServer
from meshpki.cluster.client import ClusterError, NoAccessError
from meshpki.cluster.endpoint import Endpoint
from meshpki.cluster.execution import outcome
from meshpki.cluster.fetching import Fetching
from meshpki.cluster.kubeconfig import Access, configured
from meshpki.cluster.manifest import Ref
from meshpki.cluster.proxies import credentials
from meshpki.cluster.silence import why
from meshpki.cluster.tunnel import Tunnel
from meshpki.errors import MeshpkiError

# The client's websockets connect without any limit of their own.
websocket.setdefaulttimeout(10)
_IN_FLIGHT = 32
_STREAM_SECONDS = 10
_COMMAND_SECONDS = 30
_NOWHERE, _HTTP = "http://proxy.invalid", 80


def connect(context: str = "", kubeconfig: Path | None = None, *, force_conflicts: bool = False) -> "KubernetesCluster":
    """Open the cluster that a kubeconfig names; raises PreconditionError as `configured`."""
    return KubernetesCluster(configured(context, kubeconfig), force_conflicts=force_conflicts)


class KubernetesCluster(ApiServer):
    """A Cluster over one API server connection pool; safe to use from many threads."""

    def __init__(self, access: Access, *, force_conflicts: bool = False) -> None:
        """Use what `connect` read; make one with it."""
        settings = access.settings
        settings.connection_pool_maxsize = _IN_FLIGHT
        pool = RESTClientObject(settings).pool_manager
        super().__init__(Api(settings.host, pool, self._authorization), force_conflicts=force_conflicts)
        self._settings, self._impersonated = settings, access.impersonated
        self.context, self.handed_on = access.context, access.handed_on

    def forward(self, pod: Ref, port: int) -> AbstractContextManager[socket.socket]:
        """See Reader.forward."""
        try:
            carrier = self._carrier(pod, "portforward", [("ports", str(port))])
        except (websocket.WebSocketException, OSError) as error:
            raise _stream_refused(error, "port-forward", f"{pod} port {port}") from error
        tunnel = Tunnel(carrier)
        tunnel.near.settimeout(_STREAM_SECONDS)
        return tunnel

    def fetch(
        self, pods: Iterable[Ref], port: int, path: str, width: int
    ) -> Iterator[tuple[Ref, bytes | MeshpkiError]]:
        """See Reader.fetch."""
        yield from Fetching(_endpoint(self._settings, self._api), pods, port, path, width).answers()

    def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:
        """See Reader.execute."""
        query = [
            ("container", container),
            ("stdout", "true"),
            ("stderr", "true"),
            *(("command", part) for part in argv),
        ]
        try:
            carrier = self._carrier(pod, "exec", query)
        except (websocket.WebSocketException, OSError) as error:
            raise _stream_refused(error, "exec", str(pod)) from error
        ended = outcome(carrier, _COMMAND_SECONDS)
        if not ended.succeeded:
            said = ended.complaint.strip() or ended.output.strip() or f"no answer within {_COMMAND_SECONDS} s"
            raise ClusterError("MPK-102", f"`{argv[0]}` failed: {said[-500:]}", where=f"{pod} {container}", status=500)
        return ended.output

    def _carrier(self, pod: Ref, subresource: str, query: Sequence[tuple[str, str]]) -> websocket.WebSocket:
        """A websocket into a pod; the client library's own bears no user agent, and audit logs go by that."""
        url = ws_client.get_websocket_url(self.host + POD.format(pod, subresource), query)
        tls, name = _tls(self._settings), self._settings.tls_server_name
        carrier = websocket.WebSocket(
            sslopt={**({"context": tls} if tls else {}), **({"server_hostname": name} if name else {})}
        )
        protocol = ("Sec-WebSocket-Protocol", ws_client.V4_CHANNEL_PROTOCOL)
        headers = [f"{name}: {value}" for name, value in (*self._api.headers, protocol)]
        way = _by_proxy(self._settings.proxy or "")
        carrier.connect(url, header=headers, **way)  # type: ignore[no-untyped-call]  # the library types the rest
        return carrier

    def _authorization(self) -> tuple[Header, ...]:
        token = self._settings.get_api_key_with_prefix("BearerToken", alias="authorization")
        return (*((("authorization", str(token)),) if token else ()), *self._impersonated)


def _endpoint(settings: client.Configuration, api: Api) -> Endpoint:
    """The same server, proxy and credentials as the pool's."""
    return Endpoint(
        settings.host,
        lambda: api.headers,
        _tls(settings),
        server_name=settings.tls_server_name or "",
        proxy=settings.proxy or "",
        proxy_headers=settings.proxy_headers or {},
    )


def _by_proxy(proxy: str) -> dict[str, object]:
    """The same proxy as the pool's, or none; left without a word, websocket-client goes by the environment's.

    Raises ClusterError of one that is spoken to by TLS, which the library cannot.
    """
    url = urlsplit(proxy or _NOWHERE)
    if url.scheme == "https":
        what = "a command or a forward through a proxy of kind https is not possible"
        raise ClusterError("MPK-102", what, remedy="name a proxy of kind http", status=HTTPStatus.NOT_IMPLEMENTED)
    return {
        "proxy_type": url.scheme,
        "http_proxy_host": url.hostname,
        "http_proxy_port": url.port or _HTTP,
        "http_proxy_auth": credentials(proxy),
        "http_no_proxy": [_NOWHERE if proxy else "*"],
    }


def _tls(settings: client.Configuration) -> ssl.SSLContext | None:
    """Verification is always on; None for a plain http URL, as of `kubectl proxy`."""
    if not settings.host.startswith("https://"):
        return None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ssl_ca_cert:
        tls.load_verify_locations(settings.ssl_ca_cert)
    else:
        tls.load_default_certs()
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, settings.key_file)
    return tls


def _stream_refused(error: Exception, verb: str, where: str) -> ClusterError:
    # Of the HTTP answer only its status is worth keeping, the rest may hold headers.
    status = error.status_code if isinstance(error, websocket.WebSocketBadStatusException) else 0
    what = f"{verb} refused (HTTP {status})" if status else f"{verb} failed: {why(error)}"
    denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    remedy = f"the user of this kubeconfig needs the right to {verb} pods" if denied else ""
    kind = NoAccessError if denied else ClusterError
    return kind("MPK-102", what, where=where, remedy=remedy, status=status)
