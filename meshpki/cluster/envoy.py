"""What a pod's Envoy holds: its certificate chain and its trust bundles, from the admin port's own dump.

Envoy writes `[redacted]` where a private key stands (source/server/admin/config_dump_handler.cc at v1.37.0).
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.cluster.response import AnswerError, ask

ADMIN_PORT = 15000
PATH = "/config_dump?mask=dynamic_active_secrets"
# The names that Istio's Envoys ask for (istio pkg/security/security.go at 1.29.1); the order of a dump says nothing.
CHAIN_NAME = "default"
BUNDLE_NAME = "ROOTCA"


class EnvoyError(AnswerError):
    """Envoy's admin port did not answer, or with something that is no dump of its secrets."""


@dataclass(frozen=True)
class Secrets:
    """PEM as Envoy holds it: the chain it presents, and the bundle of each trust domain (`""` where none is named).

    An empty chain means that Envoy has got no certificate.
    """

    chain_pem: bytes = b""
    bundle_pem: Mapping[str, bytes] = field(default_factory=dict)


def secrets(reader: Reader, pod: Ref) -> Secrets:
    """Ask a pod's Envoy over a port-forward; raises ClusterError where that is refused, EnvoyError for the answer."""
    with reader.forward(pod, ADMIN_PORT) as connection:
        try:
            return parse(ask(connection, PATH))
        except AnswerError as error:
            raise EnvoyError(f"no answer from Envoy's admin port: {error.what}", where=str(pod)) from error


def parse(dump: bytes) -> Secrets:
    """The secrets of a dump in JSON, Envoy's own or istioctl's `proxy-config secret -o json`; raises EnvoyError."""
    try:
        content = json.loads(dump)
        found = _alone(_named(content))
        return Secrets(_chain(found.get(CHAIN_NAME, {})), _bundles(found.get(BUNDLE_NAME, {})))
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise EnvoyError("the answer is no dump of Envoy's secrets") from error


def _alone(named: Iterable[tuple[str, Object]]) -> dict[str, Object]:
    """Each secret by its name; raises ValueError where two of one name differ: nobody tells which is in use."""
    found: dict[str, Object] = {}
    for name, secret in named:
        if found.setdefault(name, secret) != secret:
            raise ValueError(name)
    return found


def _named(content: Object) -> Iterator[tuple[str, Object]]:
    """Each active secret by its name; a dump is a list of configs, istioctl's answer one of them alone."""
    configs: list[Object] = content.get("configs", [content])
    for config in configs:
        for active in _list(config, "dynamic_active_secrets") or [config]:
            if "secret" in active:
                yield str(active.get("name", "")), active["secret"]


def _chain(secret: Object) -> bytes:
    return _inline(_get(_get(secret, "tls_certificate"), "certificate_chain"))


def _bundles(secret: Object) -> dict[str, bytes]:
    """Both shapes: SPIRE's validator with a bundle for each trust domain, and istiod's plain trusted CA."""
    context = _get(secret, "validation_context")
    domains = _list(_get(_get(context, "custom_validator_config"), "typed_config"), "trust_domains")
    bundles = {_whole(str(domain.get("name", ""))): _inline(_get(domain, "trust_bundle")) for domain in domains}
    plain = _inline(_get(context, "trusted_ca"))
    return {"": plain} if plain and not bundles else bundles


def _inline(source: Object) -> bytes:
    encoded = _text(source, "inline_bytes")
    return base64.b64decode(encoded, validate=True) if encoded else _text(source, "inline_string").encode()


def _whole(text: str) -> str:
    """Half a character, which JSON lets a tenant's proxy write, would end whoever prints it; raises ValueError."""
    text.encode()
    return text


def _get(value: Object, name: str) -> Object:
    found = _field(value, name) or {}
    return found if isinstance(found, dict) else {}


def _list(value: Object, name: str) -> list[Object]:
    found = _field(value, name) or []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _text(value: Object, name: str) -> str:
    return str(_field(value, name) or "")


def _field(value: Object, name: str) -> object:
    """A field by its name in the protocol buffer, or by the camelCase form of it that istioctl prints."""
    return value.get(name) or value.get(_camel(name))


@cache
def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
