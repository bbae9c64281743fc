"""What the cluster itself says of the pinned root and of the CAs below it; read from public sources only.

The root and istiod's CA are read from the status of their CertificateRequests, never from a Secret: nobody can be
given a Secret's certificate without its key.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.cluster.readiness import condition, holds
from meshpki.errors import PreconditionError
from meshpki.pki.bundle import read_bundle
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.settings import Settings
from meshpki.workflow.step import Failed, Readiness, Ready, Waiting

STATE_NAMESPACE = "kube-system"
PIN = Ref("v1", "ConfigMap", STATE_NAMESPACE, "meshpki-trust")
ALIAS = "meshpki-root"
CERT_MANAGER = "cert-manager.io/v1"
# of a generation or a revision: anybody may write an annotation
_DIGITS = 9
_ROOT_NAME = re.compile(rf"{ALIAS}-g[0-9]{{1,{_DIGITS}}}")


@dataclass(frozen=True)
class Pin:
    """The roots this mesh is pinned to: one, or two while a rotation runs.

    The first is the one that the mesh moves to, and `generation` is its number. `chain` is that of an existing CA, from
    the CA whose key cert-manager holds to the root; empty where cert-manager made the root itself. `sha256` is the
    newest root's fingerprint as it is written beside it.
    """

    generation: int
    roots: tuple[Certificate, ...]
    chain: tuple[Certificate, ...] = ()
    sha256: str = field(default="", compare=False)

    @property
    def root(self) -> Certificate:
        """The root that the mesh lives under, or moves to."""
        return self.roots[0]

    @property
    def signer(self) -> Certificate:
        """The CA that signs SPIRE's and istiod's CAs: the root itself, or an existing CA below it."""
        return self.chain[0] if self.chain else self.root

    @property
    def ends(self) -> datetime:
        """The moment (UTC) from which on nothing below is proven any more."""
        return min(one.not_after for one in (self.root, *self.chain))

    @property
    def max_depth(self) -> int:
        """How many intermediates a chain of the mesh may have: SPIRE's or istiod's CA, and an existing CA's own."""
        return max(1, len(self.chain))

    @property
    def fingerprints(self) -> frozenset[str]:
        """SHA-256 of each root, lower-case hex."""
        return frozenset(root.sha256 for root in self.roots)


def pinned(reader: Reader) -> Pin | None:
    """The pin, None before the first root was issued; raises PreconditionError (MPK-376) where it cannot be read."""
    stored = reader.get(PIN)
    return None if stored is None else _read(stored.get("data") or {})


def required(reader: Reader) -> Pin:
    """The same where there has to be one; raises PreconditionError (MPK-353) where there is none, MPK-376 as above."""
    pin = pinned(reader)
    if pin is None:
        raise PreconditionError("MPK-353", "no root is pinned", where=str(PIN), remedy="install the mesh: meshpki up")
    return pin


def _read(data: Mapping[str, str]) -> Pin:
    chain = str(data.get("chain.pem", ""))
    try:
        roots = read_bundle(str(data["root.pem"]).encode()).anchors
        above = read_chain(chain.encode()) if chain else ()
        return Pin(int(data["generation"]), roots, above, str(data.get("root.sha256", "")))
    except (KeyError, TypeError, ValueError, UnparsableError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        remedy = "see `meshpki explain MPK-376`"
        raise PreconditionError("MPK-376", f"the pin cannot be read: {why}", where=str(PIN), remedy=remedy) from error


def root_name(generation: int) -> str:
    """The Certificate and the Secret of one generation of the root."""
    return f"{ALIAS}-g{generation}"


def is_root_name(name: str) -> bool:
    """Whether it is the name of some generation of the root."""
    return _ROOT_NAME.fullmatch(name) is not None


def root_certificate(settings: Settings, generation: int) -> Ref:
    """The Certificate object of the root."""
    return Ref(CERT_MANAGER, "Certificate", settings.namespaces.cert_manager, root_name(generation))


def istiod_certificate(settings: Settings) -> Ref:
    """The Certificate object of istiod's CA."""
    return Ref(CERT_MANAGER, "Certificate", settings.namespaces.istio, "cacerts")


def requests_of(certificate: Ref) -> Query:
    """The CertificateRequests among which a Certificate's own are."""
    return Query(CERT_MANAGER, "CertificateRequest", certificate.namespace)


def certificate_of(request: Object) -> str:
    """The Certificate that a CertificateRequest says it is of; empty where it says nothing."""
    return str(_notes(request).get("cert-manager.io/certificate-name", ""))


def revision_of(request: Object) -> int:
    """The revision of its Certificate that a CertificateRequest says it is of; 0 where it says no such number."""
    text = str(_notes(request).get("cert-manager.io/certificate-revision", ""))
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0


def _notes(request: Object) -> Mapping[str, str]:
    notes: Mapping[str, str] = request["metadata"].get("annotations") or {}
    return notes


def issued(reader: Reader, ref: Ref) -> tuple[Readiness, tuple[Certificate, ...]]:
    """Whether a Certificate is issued for its newest generation, and then the chain that was issued, leaf first."""
    live = reader.get(ref)
    if live is None:
        return Waiting(f"{ref} is not there yet"), ()
    shut = _unissued(reader, live, ref)
    if shut is not None:
        return shut, ()
    request = _current_request(reader, live, ref)
    if request is None or "certificate" not in request.get("status", {}):
        return Waiting(f"{ref}: no CertificateRequest of revision {live['status'].get('revision')} holds it"), ()
    return Ready(), read_chain(_decoded(request["status"]["certificate"]))


def _unissued(reader: Reader, live: Object, ref: Ref) -> Readiness | None:
    """Why the Certificate's own conditions say that it is not issued; None where they say that it is."""
    if holds(live, "Issuing"):
        return _issuing(reader, live, ref)
    issuing = condition(live, "Issuing") or {}
    if issuing.get("reason") in ("Denied", "Failed", "InvalidRequest"):
        return Failed(f"{ref}: {issuing['reason']}: {issuing.get('message', '')}")
    if not holds(live, "Ready"):
        found = condition(live, "Ready") or {}
        return Waiting(f"{ref}: {found.get('message') or 'no Ready condition yet'}")
    return None


def _issuing(reader: Reader, live: Object, ref: Ref) -> Readiness:
    """Still being issued; a request that was denied or that failed ends the wait."""
    revision = int(live.get("status", {}).get("revision", 0)) + 1
    request = _request(reader, ref, revision)
    if request is None:
        return Waiting(f"{ref} is being issued")
    for kind in ("Denied", "InvalidRequest"):
        if holds(request, kind):
            return Failed(f"{ref}: its request is {kind}: {(condition(request, kind) or {}).get('message', '')}")
    found = condition(request, "Ready") or {}
    if found.get("reason") in ("Failed", "Denied"):
        return Failed(f"{ref}: its request {found['reason']}: {found.get('message', '')}")
    return Waiting(f"{ref} is being issued: {found.get('message') or 'its request is new'}")


def _current_request(reader: Reader, live: Object, ref: Ref) -> Object | None:
    return _request(reader, ref, int(live.get("status", {}).get("revision", 0)))


def _request(reader: Reader, ref: Ref, revision: int) -> Object | None:
    for request in reader.list(requests_of(ref)):
        if certificate_of(request) == ref.name and revision_of(request) == revision > 0:
            return request
    return None


def _decoded(encoded: str) -> bytes:
    return base64.b64decode(encoded, validate=True)
