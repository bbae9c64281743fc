"""What cert-manager issued and for whom: CertificateRequests as values, and those that nobody of the mesh made."""

import base64
from collections.abc import Iterable, Iterator

from meshpki.cluster.manifest import Object, Ref, ref_of
from meshpki.cluster.readiness import condition, holds
from meshpki.components.trust import ALIAS, CERT_MANAGER, certificate_of, is_root_name, revision_of, root_name
from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.verdict import Finding, Severity, named, result_of
from meshpki.settings import Settings
from meshpki.verify.judge import Pinned
from meshpki.verify.observation import Observation, Party, Signed
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict

SELF_SIGNED = "meshpki-selfsigned"
_GROUP = CERT_MANAGER.partition("/")[0]


def service_account(namespace: str, name: str) -> str:
    """The user name of a ServiceAccount, as the API server's authenticator spells it."""
    return f"system:serviceaccount:{namespace}:{name}"


def signed(requests: Iterable[Object], settings: Settings) -> tuple[Signed, ...]:
    """The requests that matter to the mesh: those that name our issuers, and those that ask any issuer for a CA.

    The latter because an issuer of another name may sign with the same key. What was denied or failed gave nobody
    anything and is left out.
    """
    ours = (f"ClusterIssuer {ALIAS}", f"Issuer {settings.namespaces.cert_manager}/{SELF_SIGNED}")
    return tuple(
        _signed(one, settings)
        for one in requests
        if (one["spec"].get("isCA") or _issuer(one) in ours) and not _refused(one)
    )


def newest(requests: Iterable[Signed], party: Party, certificate: str) -> Signed | None:
    """The request of the highest revision that a Certificate of the mesh was issued by, None where there is none."""
    answered = (one for one in requests if (one.party, one.certificate) == (party, certificate) and one.chain)
    return max(answered, key=lambda one: one.revision, default=None)


def of_root(observation: Observation) -> Signed | None:
    """The request by which the newest pinned root was issued."""
    if observation.pin is None:
        return None
    return newest(observation.signed or (), "root", root_name(observation.pin.generation))


def of_istiod(observation: Observation) -> Signed | None:
    """The request by which the newest `cacerts` was issued."""
    return newest(observation.signed or (), "istiod-ca", "cacerts")


def being_issued(observation: Observation, after: Signed) -> bool:
    """Whether cert-manager is at work on a later revision of the same Certificate."""
    same = (one for one in observation.signed or () if (one.party, one.certificate) == (after.party, after.certificate))
    return any(one.revision > after.revision and not one.chain and not one.error for one in same)


def rogues(observation: Observation, signers: Iterable[Certificate]) -> dict[str, Ref]:
    """The CAs below those that sign which somebody else obtained: SHA-256 of the key, and the request."""
    found = _strangers(observation, tuple(signers))
    return {one.chain[0].key_sha256: one.ref for one in found if one.chain[0].is_ca}


def judge_requests(observation: Observation, pinned: Pinned) -> Iterator[PlaceVerdict]:
    """37: nobody but the mesh's own parts obtained a certificate from a pinned root; a verdict on each that did.

    A request whose answer cannot be read is unknown.
    """
    for one in _strangers(observation, (*pinned.roots, *pinned.chain)):
        findings = (_obtained(one, pinned),)
        yield PlaceVerdict(
            Place(PlaceKind.REQUEST, one.ref),
            result_of(findings),
            path=one.chain,
            expires=one.chain[0].not_after,
            findings=findings,
        )
    for one in observation.signed or ():
        if one.error and not one.party:
            yield PlaceVerdict(Place(PlaceKind.REQUEST, one.ref), "unknown", reason=f"{one.error}")


def _strangers(observation: Observation, signers: tuple[Certificate, ...]) -> Iterator[Signed]:
    """What others obtained from one of these CAs, or from one right below them that came along: a CA of before."""
    for one in observation.signed or ():
        if one.party or not one.chain:
            continue
        between = tuple(ca for ca in one.chain[1:] if any(ca.signed_by(signer) for signer in signers))
        if any(one.chain[0].signed_by(signer) for signer in (*signers, *between)):
            yield one


def _obtained(request: Signed, pinned: Pinned) -> Finding:
    leaf = request.chain[0]
    what, severity = _what(leaf, pinned.trust_domain)
    if leaf.not_after < pinned.at:
        severity = "warn"  # nobody believes it any more, nor what it issued
    found = (
        f"{request.requester or 'somebody unknown'} obtained {what} through {request.issuer},"
        f" valid until {leaf.not_after:%Y-%m-%dT%H:%M:%SZ}"
    )
    remedy = (
        f"take the right to create CertificateRequests from whoever should not have it, delete {request.ref},"
        " and rotate the root: deleting a request does not take back what it obtained"
    )
    expected = "certificates of the root with the mesh's own CAs only"
    return Finding("MPK-358", severity, 37, expected, found, remedy, named(leaf))


def _what(leaf: Certificate, trust_domain: str) -> tuple[str, Severity]:
    if leaf.is_ca:
        return "a CA", "fail"
    identities = [uri for uri in leaf.uris if uri.startswith(f"spiffe://{trust_domain}")]
    if identities:
        return f"the identity {', '.join(identities)}", "fail"
    return "a certificate", "warn"


def _signed(request: Object, settings: Settings) -> Signed:
    spec = request["spec"]
    chain = _chain(request.get("status", {}).get("certificate", ""))
    return Signed(
        ref=ref_of(request),
        issuer=_issuer(request),
        asks_ca=bool(spec.get("isCA")),
        certificate=certificate_of(request),
        revision=revision_of(request),
        chain=chain if isinstance(chain, tuple) else (),
        error=chain if isinstance(chain, MeshpkiError) else None,
        requester=spec.get("username", ""),
        party=_party(request, settings),
    )


def _party(request: Object, settings: Settings) -> Party:
    """Which part of the mesh made a request: anybody may write an annotation, but not whom the webhook saw."""
    names, certificate = settings.namespaces, certificate_of(request)
    made = (request["spec"].get("username", ""), _issuer(request), request["metadata"].get("namespace", ""))
    controller, alias = service_account(names.cert_manager, "cert-manager"), f"ClusterIssuer {ALIAS}"
    if made == (controller, alias, names.istio) and certificate == "cacerts":
        return "istiod-ca"
    own = f"Issuer {names.cert_manager}/{SELF_SIGNED}"
    if made == (controller, own, names.cert_manager) and is_root_name(certificate):
        return "root"
    if made == (service_account(names.spire_server, "spire-server"), alias, names.spire_server):
        return "spire"
    return ""


def _refused(request: Object) -> bool:
    """Whether it ended without a certificate (cert-manager pkg/apis/certmanager/v1/types_certificaterequest.go)."""
    ended = (condition(request, "Ready") or {}).get("reason") in ("Failed", "Denied")
    return ended or holds(request, "Denied") or holds(request, "InvalidRequest")


def _issuer(request: Object) -> str:
    """The issuer as its reference names it; kind and group have defaults (cert-manager pkg/apis/meta/v1 at v1.21)."""
    reference = request["spec"].get("issuerRef", {})
    kind, group = reference.get("kind") or "Issuer", reference.get("group") or _GROUP
    namespace = request["metadata"].get("namespace", "") if kind == "Issuer" else ""
    text = str(Ref(group, kind, namespace, reference.get("name", "")))
    return text if group == _GROUP else f"{text} ({group})"


def _chain(encoded: str) -> tuple[Certificate, ...] | MeshpkiError:
    if not encoded:
        return ()
    try:
        return read_chain(base64.b64decode(encoded, validate=True))
    except ValueError:
        return UnparsableError("the certificate in the request's status is no base64")
    except UnparsableError as error:
        return error
