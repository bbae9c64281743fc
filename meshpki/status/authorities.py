"""How long each CA lasts and what renews it, from public sources: the pin, a Certificate's status, a TLS port."""

from collections.abc import Iterator
from datetime import datetime

from meshpki.cluster.client import ClusterError, NoAccessError, Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.cluster.readiness import condition, holds
from meshpki.components.renewal import read_time, renewal_of
from meshpki.components.rollout import pods_of
from meshpki.components.serving import pod_ref
from meshpki.components.spire import SERVER_PORT
from meshpki.components.spire_authorities import server_set
from meshpki.components.trust import PIN, istiod_certificate, pinned
from meshpki.errors import MeshpkiError
from meshpki.pki import renewal
from meshpki.pki.certificate import Certificate
from meshpki.pki.handshake import served_chain
from meshpki.pki.renewal import Renewal
from meshpki.settings import Settings
from meshpki.status.advice import EXISTING_CA, ISTIOD_CA, ROOT, SPIRE_CA
from meshpki.status.report import AuthorityStatus, State

_ENDED = ("Denied", "Failed", "InvalidRequest")


def root(reader: Reader, at: datetime) -> tuple[AuthorityStatus, ...]:
    """The pinned roots, one, or two while a rotation runs; of an existing CA its whole chain, the root first."""
    try:
        pin = pinned(reader)
    except (MeshpkiError, LookupError, ValueError) as error:
        return (_unread(ROOT, error),)
    if pin is None:
        return (AuthorityStatus(ROOT, State.ABSENT, f"no root is pinned in {PIN}"),)
    if pin.chain:
        above = (_of(EXISTING_CA, one, renewal.of_existing(), at) for one in reversed(pin.chain[:-1]))
        return (_of(ROOT, pin.root, renewal.of_existing(), at), *above)
    return tuple(_of(ROOT, one, renewal.of_root(), at) for one in pin.roots)


def istiod_ca(reader: Reader, settings: Settings, at: datetime) -> tuple[AuthorityStatus, ...]:
    """`cacerts`, as cert-manager's own Certificate tells of it."""
    ref = istiod_certificate(settings)
    try:
        live = reader.get(ref)
    except MeshpkiError as error:
        return (_unread(ISTIOD_CA, error),)
    return (judge_certificate(live, ref, at),)


def judge_certificate(live: Object | None, ref: Ref, at: datetime) -> AuthorityStatus:
    """A Certificate of cert-manager as a CA: its validity and renewal time, and why the last issuance failed."""
    if live is None:
        return AuthorityStatus(ISTIOD_CA, State.ABSENT, f"{ref} is not there")
    status, issuing = live.get("status", {}), condition(live, "Issuing") or {}
    ends = read_time(status.get("notAfter"))
    planned = renewal_of(live)
    trouble = ""
    if ends is None or not holds(live, "Ready"):
        trouble = str((condition(live, "Ready") or {}).get("message") or "it is not issued yet")
    elif issuing.get("reason") in _ENDED or status.get("failedIssuanceAttempts"):
        trouble = f"its renewal fails: {issuing.get('message') or 'see the Certificate'}"
    else:
        trouble = _late(ends, planned, at)
    return AuthorityStatus(
        ISTIOD_CA,
        State.NOT_READY if trouble else State.READY,
        trouble,
        str(live.get("spec", {}).get("commonName", "")),
        read_time(status.get("notBefore")),
        ends,
        planned,
    )


def spire_ca(reader: Reader, settings: Settings, at: datetime) -> tuple[AuthorityStatus, ...]:
    """The CA that each spire-server signs with, read off the chain that it serves: SPIRE keeps no public record."""
    server = server_set(settings)
    try:
        pods = pods_of(reader, server)
    except MeshpkiError as error:
        return (_unread(SPIRE_CA, error),)
    if not pods:
        return (AuthorityStatus(SPIRE_CA, State.ABSENT, f"there is no pod of {server}"),)
    found = {one.not_after: one for pod in pods for one in _served(reader, pod_ref(pod), at)}
    return tuple(found.values())


def _served(reader: Reader, pod: Ref, at: datetime) -> Iterator[AuthorityStatus]:
    try:
        with reader.forward(pod, SERVER_PORT) as connection:
            chain = served_chain(connection, f"spire-server.{pod.namespace}")
    except MeshpkiError as error:
        yield _unread(SPIRE_CA, error)
        return
    if len(chain) > 1:
        yield _of(SPIRE_CA, chain[1], renewal.of_spire_ca(chain[1]), at)
    else:
        yield AuthorityStatus(SPIRE_CA, State.NOT_READY, f"{pod} serves no CA above its own certificate")


def _of(name: str, certificate: Certificate, planned: Renewal, at: datetime) -> AuthorityStatus:
    trouble = _late(certificate.not_after, planned, at)
    if at < certificate.not_before:
        trouble = "it is not valid yet: compare the clocks"
    state = State.NOT_READY if trouble else State.READY
    ends = certificate.not_before, certificate.not_after
    return AuthorityStatus(name, state, trouble, certificate.subject, *ends, planned)


def _late(not_after: datetime, planned: Renewal, at: datetime) -> str:
    if at > not_after:
        return "it is expired"
    return f"{planned.by} should have renewed it by now" if planned.overdue(not_after, at) else ""


def _unread(name: str, error: Exception) -> AuthorityStatus:
    """A missing right leaves it unknown; anything else is a reason why the CA is not well."""
    denied = isinstance(error, NoAccessError)
    what = error.what if isinstance(error, MeshpkiError) else "what is kept there cannot be read"
    remedy = f"; {error.remedy}" if isinstance(error, ClusterError) and error.remedy else ""
    return AuthorityStatus(name, State.UNKNOWN if denied else State.NOT_READY, f"{what}{remedy}")
