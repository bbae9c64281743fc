"""What cert-manager signs with a Secret, asked before anything relies on it: one request, removed again."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.cluster.readiness import condition, holds
from meshpki.components.trust import ALIAS, CERT_MANAGER
from meshpki.errors import StepError
from meshpki.pki.certificate import Certificate, read_chain
from meshpki.pki.issuing import Unfit
from meshpki.pki.request import ThrowAway
from meshpki.workflow.apply import apply

NAME = f"{ALIAS}-probe"
ISSUER = Ref(CERT_MANAGER, "ClusterIssuer", "", NAME)
_LOOK = 0.25
_LOOKS = 240  # a minute
_PATIENCE = 20  # looks at an issuer that says what is wrong: the Secret may be new to cert-manager
_REFUSED = ("Failed", "Denied")
# Go's crypto/x509, CreateCertificate, as cert-manager reports it.
_MISMATCH = "doesn't match"


@dataclass(frozen=True)
class Answer:
    """The certificate that was signed with what cert-manager sends along, and what it calls the CA."""

    chain: tuple[Certificate, ...]
    ca: tuple[Certificate, ...]


def ask(cluster: Cluster, secret: Ref, request: ThrowAway, stop: threading.Event) -> Answer | None:
    """Have a throw-away request signed by an issuer of its own on the Secret; both are removed whatever happens.

    None where `stop` was set. Raises StepError: MPK-272 (no CA), MPK-280 (key and certificate differ), MPK-283.
    """
    wanted = Ref(CERT_MANAGER, "CertificateRequest", secret.namespace, NAME)
    with _placed(cluster, wanted, secret.name, request):
        for look in range(_LOOKS):
            live = cluster.get(wanted) or {"metadata": {}}
            answer = answered(live)
            if answer is not None:
                return answer
            why = refusal(live, cluster.get(ISSUER) or {"metadata": {}}, look)
            if why is not None:
                raise StepError(why.code, why.what, where=str(secret), remedy=why.remedy)
            if stop.wait(_LOOK):
                return None
        late = _unanswered(f"it was not signed within a minute: {_last_word(cluster, wanted)}")
        raise StepError(late.code, late.what, where=str(secret), remedy=late.remedy)


@contextmanager
def _placed(cluster: Cluster, wanted: Ref, secret: str, request: ThrowAway) -> Iterator[None]:
    """The issuer and the request, and before them nothing that a killed run left under these names."""
    _remove(cluster, wanted)
    try:
        apply(cluster, owned(issuer(NAME, secret), "root-ca"))
        apply(cluster, owned(ca_request(wanted, request, NAME), "root-ca"))
        yield
    finally:
        _remove(cluster, wanted)


def _remove(cluster: Cluster, wanted: Ref) -> None:
    cluster.delete(wanted)
    cluster.delete(ISSUER)


def issuer(name: str, secret: str) -> Object:
    """A ClusterIssuer that signs with a Secret of cert-manager's namespace."""
    metadata = {"name": name}
    return {
        "apiVersion": CERT_MANAGER,
        "kind": "ClusterIssuer",
        "metadata": metadata,
        "spec": {"ca": {"secretName": secret}},
    }


def ca_request(wanted: Ref, request: ThrowAway, issuer: str) -> Object:
    """What SPIRE asks a ClusterIssuer for, for an hour: whoever could use it would need a key that is gone."""
    spec = {
        "request": base64.b64encode(request.pem).decode(),
        "isCA": True,
        "usages": ["cert sign", "crl sign"],
        "duration": "1h",
        "issuerRef": {"name": issuer, "kind": "ClusterIssuer", "group": "cert-manager.io"},
    }
    metadata = {"name": wanted.name, "namespace": wanted.namespace}
    return {"apiVersion": wanted.api_version, "kind": wanted.kind, "metadata": metadata, "spec": spec}


def answered(live: Object) -> Answer | None:
    """What a CertificateRequest was answered with; None while it was not."""
    status = live.get("status", {})
    if not status.get("certificate"):
        return None
    return Answer(_certificates(status["certificate"]), _certificates(status.get("ca", "")))


def refusal(request: Object, issuer: Object, looks: int) -> Unfit | None:
    """Why it will never be answered, by the conditions of request and issuer after so many looks; None where it may."""
    for kind in ("Denied", "InvalidRequest"):
        if holds(request, kind):
            return _unanswered(f"its request is {kind}: {_message(request, kind)}")
    said = condition(request, "Ready") or {}
    if said.get("reason") in _REFUSED:
        message = str(said.get("message", ""))
        if _MISMATCH in message:
            what = f"cert-manager cannot sign: key and certificate in the Secret differ ({message})"
            return Unfit("MPK-280", what, "put the key of that very certificate there")
        return _unanswered(f"its request {said['reason']}: {message}")
    trouble = _message(issuer, "Ready") if _says_no(issuer) else ""
    if "not a CA" in trouble:
        return Unfit("MPK-272", f"cert-manager says: {trouble}", "take a certificate that is a CA")
    return _unanswered(trouble) if trouble and looks >= _PATIENCE else None


def _says_no(issuer: Object) -> bool:
    return (condition(issuer, "Ready") or {}).get("status") == "False"


def _message(live: Object, kind: str) -> str:
    return str((condition(live, kind) or {}).get("message", ""))


def _last_word(reader: Reader, wanted: Ref) -> str:
    live = reader.get(wanted) or {"metadata": {}}
    return _message(live, "Ready") or _message(reader.get(ISSUER) or {"metadata": {}}, "Ready") or "nobody took it up"


def _unanswered(what: str) -> Unfit:
    remedy = "look at the Secret and at cert-manager's log, then run the same command again"
    return Unfit("MPK-283", f"the probe of the CA was not answered: {what}", remedy)


def _certificates(encoded: str) -> tuple[Certificate, ...]:
    return read_chain(base64.b64decode(encoded, validate=True)) if encoded else ()
