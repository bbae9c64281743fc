"""What an Envoy of the tests is started with, and its secrets: in the forms that Istio 1.29 and SPIRE 1.15 give them.

SPIFFE validator, TLS 1.2 to 1.3, a client certificate required, secrets named `default` and `ROOTCA`; from files.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from meshpki.cluster.envoy import BUNDLE_NAME, CHAIN_NAME
from meshpki.cluster.manifest import Object
from tests.support.certificates import TRUST_DOMAIN, Issued, pem

# A way out: `fresh` makes a new connection and a full handshake for every request; `resumed` a new connection too, but
# resumes TLS sessions as Envoy does by default; `pooled` keeps its connection.
Route = Literal["fresh", "resumed", "pooled"]
ROUTES: tuple[Route, ...] = ("fresh", "resumed", "pooled")
LOOPBACK = "127.0.0.1"
# each of those that read a secret counts its updates
READERS = (
    *(f"cluster.{route}.client_ssl_socket_factory" for route in ROUTES),
    "listener.inbound.server_ssl_socket_factory",
)

_TYPES = "type.googleapis.com/envoy.extensions"
_TLS = f"{_TYPES}.transport_sockets.tls.v3"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TIMEOUT = "20s"


def identity(chain: Sequence[Issued], key: bytes = b"") -> bytes:
    """The secret with a chain, leaf first, and the leaf's key, or another one."""
    parts = {
        "certificate_chain": {"inline_string": pem(*chain).decode()},
        "private_key": {"inline_string": (key or chain[0].key_pem).decode()},
    }
    return _resource(CHAIN_NAME, {"tls_certificate": parts})


def bundle(anchors: bytes, **others: bytes) -> bytes:
    """The secret with the bundle of the trust domain, and those of others by their names."""
    domains = [
        {"name": name, "trust_bundle": {"inline_string": content.decode()}}
        for name, content in {TRUST_DOMAIN: anchors, **others}.items()
    ]
    validator = {
        "name": "envoy.tls.cert_validator.spiffe",
        "typed_config": {"@type": f"{_TLS}.SPIFFECertValidatorConfig", "trust_domains": domains},
    }
    return _resource(BUNDLE_NAME, {"validation_context": {"custom_validator_config": validator}})


def place(folder: Path, name: str) -> Path:
    """Where an Envoy of this folder reads a secret: alone in a folder that it watches."""
    return folder / name / "secret.json"


def bootstrap(folder: Path, ports: Mapping[str, int], peer: int) -> Object:
    """One way in, and each way out to `peer`, the port of the other side's way in."""
    outbound = (_listener(f"outbound-{route}", ports[route], {"route": {"cluster": route}}) for route in ROUTES)
    return {
        "node": {"id": folder.name, "cluster": "mesh"},
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [_inbound(folder, ports["inbound"]), *outbound],
            "clusters": [_cluster(folder, route, peer) for route in ROUTES],
        },
    }


def _resource(name: str, content: Object) -> bytes:
    return json.dumps({"resources": [{"@type": f"{_TLS}.Secret", "name": name, **content}]}).encode()


def _address(port: int) -> Object:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


def _inbound(folder: Path, port: int) -> Object:
    context = {"require_client_certificate": True, "common_tls_context": _common(folder)}
    transport = _transport("DownstreamTlsContext", context)
    return _listener("inbound", port, {"direct_response": {"status": 200}}, **transport)


def _listener(name: str, port: int, action: Object, **transport: Object) -> Object:
    virtual_host = {"name": name, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [virtual_host]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}], **transport}
    return {"name": name, "stat_prefix": name, "address": _address(port), "filter_chains": [chain]}


def _cluster(folder: Path, route: Route, peer: int) -> Object:
    once = {} if route == "pooled" else {"common_http_protocol_options": {"max_requests_per_connection": 1}}
    sessions = {"max_session_keys": 0} if route == "fresh" else {}
    protocol = {"explicit_http_config": {"http_protocol_options": {}}, **once}
    return {
        "name": route,
        "type": "STATIC",
        "connect_timeout": _TIMEOUT,
        "load_assignment": {
            "cluster_name": route,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(peer)}}]}],
        },
        "typed_extension_protocol_options": {_HTTP: {"@type": f"type.googleapis.com/{_HTTP}", **protocol}},
        **_transport("UpstreamTlsContext", {"common_tls_context": _common(folder), **sessions}),
    }


def _transport(kind: str, context: Object) -> Object:
    config = {"@type": f"{_TLS}.{kind}", **context}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": config}}


def _common(folder: Path) -> Object:
    peers = {"san_type": "URI", "matcher": {"prefix": f"spiffe://{TRUST_DOMAIN}/"}}
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [_from_file(folder, CHAIN_NAME)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [peers]},
            "validation_context_sds_secret_config": _from_file(folder, BUNDLE_NAME),
        },
    }


def _from_file(folder: Path, name: str) -> Object:
    file = place(folder, name)
    source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"name": name, "sds_config": {"path_config_source": source, "resource_api_version": "V3"}}
