"""Certificates of one object of the cluster: what a pod's Envoy holds, or the public part of a Secret or ConfigMap."""

import base64
import binascii
from collections.abc import Iterator, Mapping

from meshpki.cluster import envoy
from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref, ref_of
from meshpki.errors import PreconditionError, UsageError
from meshpki.inspection.model import Part, Role
from meshpki.inspection.target import ObjectTarget
from meshpki.pki.certificate import UnparsableError
from meshpki.pki.contents import Contents, read_contents

# cert-manager's and istiod's names for certificates; no other key of a Secret is looked at
CHAINS = ("tls.crt", "cert-chain.pem", "ca-cert.pem")
BUNDLES = ("ca.crt", "root-cert.pem")
_BEGINS = "-----BEGIN "


def parts_of(reader: Reader, target: ObjectTarget) -> tuple[Ref, tuple[Part, ...]]:
    """The object's full name and its certificates.

    Raises PreconditionError where it is not there or holds none, UsageError where several bear the name,
    EnvoyError, UnparsableError and ClusterError.
    """
    ref = _located(reader, target)
    match ref.kind:
        case "Pod":
            parts = tuple(of_secrets(envoy.secrets(reader, ref)))
        case "Secret":
            parts = tuple(_parts(_public(reader, ref)))
        case _:
            parts = tuple(_of_config_map(_found(reader.get(ref), ref)))
    if not parts:
        raise PreconditionError("MPK-384", "it holds no certificate", where=str(ref), remedy=_elsewhere(ref))
    return ref, parts


def of_secrets(held: envoy.Secrets) -> Iterator[Part]:
    """The chain that an Envoy presents, and the bundle of each trust domain that it trusts."""
    if held.chain_pem:
        yield Part(envoy.CHAIN_NAME, Role.CHAIN, read_contents(held.chain_pem))
    for domain, pem in sorted(held.bundle_pem.items()):
        contents = read_contents(pem) if pem else Contents()
        yield Part(f"{envoy.BUNDLE_NAME} {domain}".rstrip(), Role.BUNDLE, contents)


def _located(reader: Reader, target: ObjectTarget) -> Ref:
    if target.namespace:
        return Ref("v1", target.kind, target.namespace, target.name)
    found = [ref_of(one) for one in reader.list(Query("v1", target.kind, fields=f"metadata.name={target.name}"))]
    if len(found) > 1:
        namespaces = ", ".join(ref.namespace for ref in found)
        what = f"{len(found)} namespaces have a {target.kind} {target.name}: {namespaces}"
        raise UsageError("MPK-383", what, remedy="name one of them with -n")
    if not found:
        raise _missing(f"{target.kind} {target.name}", "name it in full; kubectl get pods -A lists all")
    return found[0]


def _public(reader: Reader, secret: Ref) -> Mapping[str, str]:
    """The certificates of a Secret in base64. The rest of it, the key above all, is dropped in this very line."""
    data = _found(reader.get(secret), secret).get("data") or {}
    return {name: data[name] for name in (*CHAINS, *BUNDLES) if data.get(name)}


def _parts(data: Mapping[str, str]) -> Iterator[Part]:
    for name, encoded in data.items():
        try:
            contents = read_contents(base64.b64decode(encoded, validate=True))
        except binascii.Error as error:
            raise UnparsableError(f"{name} is no base64") from error
        yield Part(name, Role.CHAIN if name in CHAINS else Role.BUNDLE, contents)


def _of_config_map(config_map: Object) -> Iterator[Part]:
    for name, text in sorted((config_map.get("data") or {}).items()):
        if _BEGINS in text:
            yield Part(name, Role.BUNDLE, read_contents(text.encode()))


def _found(live: Object | None, ref: Ref) -> Object:
    if live is None:
        raise _missing(str(ref), "look at its name and namespace")
    return live


def _missing(what: str, remedy: str) -> PreconditionError:
    return PreconditionError("MPK-382", f"there is no {what}", remedy=remedy)


def _elsewhere(ref: Ref) -> str:
    if ref.kind == "Pod":
        return "its Envoy waits for its identity: meshpki verify tells why"
    names = ", ".join((*CHAINS, *BUNDLES)) if ref.kind == "Secret" else "any key with PEM in it"
    return f"meshpki looks at {names}"
