"""The trust anchor: one generation of a self-signed root, pinned by its fingerprint."""

import base64
from datetime import UTC, datetime

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Ref, only, owned
from meshpki.cluster.readiness import condition, holds
from meshpki.cluster.render import render
from meshpki.components.trust import (
    ALIAS,
    CERT_MANAGER,
    PIN,
    certificate_of,
    is_root_name,
    issued,
    pinned,
    requests_of,
    revision_of,
    root_certificate,
    root_name,
)
from meshpki.errors import StepError
from meshpki.pki.certificate import Certificate, read_chain
from meshpki.settings import Settings, go_duration
from meshpki.settings.durations import moment
from meshpki.workflow.apply import apply
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Step, Waiting

STEP = "root-ca"


def root_ca(settings: Settings, generation: int) -> Step:
    """The step of the root's newest generation and of the alias that everything below names as its issuer."""
    certificate = root_certificate(settings, generation)
    return Step(
        name=STEP,
        summary=f"trust anchor {root_name(generation)}",
        needs=("cert-manager",),
        manifests=root_manifests(settings, generation),
        gates=_gates(settings, generation, certificate),
        programs=(
            Program(
                name="pin",
                settled=lambda reader: pinned(reader) is not None,
                run=lambda cluster, _stop: _pin(cluster, settings, generation),
                after="issued",
                does=f"writes {PIN}: the root's fingerprint, known only once the root is issued",
            ),
        ),
    )


def root_spec(settings: Settings, generation: int) -> Object:
    """What the settings say of the root's Certificate; cert-manager would answer any change with another root."""
    return {
        "commonName": f"{settings.root.common_name}-g{generation}",
        "uris": [f"spiffe://{settings.trust_domain}"],
        "duration": go_duration(settings.root.duration),
    }


def issued_roots(reader: Reader, settings: Settings) -> dict[int, str]:
    """The SHA-256 (hex) of each generation that was issued, by its number; from the requests' status, no Secret's."""
    found: dict[int, str] = {}
    for request in sorted(reader.list(requests_of(root_certificate(settings, 1))), key=revision_of):
        name = certificate_of(request)
        encoded = request.get("status", {}).get("certificate", "")
        if is_root_name(name) and encoded:
            number = int(name.rpartition("-g")[2])
            found[number] = read_chain(base64.b64decode(encoded, validate=True))[0].sha256
    return found


def _gates(settings: Settings, generation: int, certificate: Ref) -> tuple[Gate, ...]:
    alias = Ref(CERT_MANAGER, "ClusterIssuer", "", ALIAS)
    return (
        Gate(
            name="issued",
            proves="the root certificate is self-signed, a CA, valid, and the one that is pinned",
            check=lambda reader: judge_root(reader, settings, generation),
            hint=f"look at `kubectl -n {certificate.namespace} describe certificate {certificate.name}`",
            code="MPK-212",
            watches=(only(certificate), requests_of(certificate)),
        ),
        Gate(
            name="alias",
            proves=f"ClusterIssuer {ALIAS} can sign",
            check=lambda reader: issuer_ready(reader, alias),
            hint=f"look at `kubectl describe clusterissuer {ALIAS}`",
            code="MPK-212",
            watches=(only(alias),),
        ),
        Gate(
            name="pinned",
            proves=f"the root's fingerprint is pinned in {PIN}",
            check=_is_pinned,
            hint="run the same command again",
            code="MPK-212",
            watches=(only(PIN),),
        ),
    )


def judge_root(reader: Reader, settings: Settings, generation: int) -> Readiness:
    """Whether the root is issued and fit; an unfit one is final, since waiting never changes a certificate."""
    readiness, chain = issued(reader, root_certificate(settings, generation))
    if not chain:
        return readiness
    root, now = chain[0], datetime.now(UTC)
    unfit = unfit_root(root, settings, now)
    if unfit:
        return Failed(unfit)
    pin = pinned(reader)
    if pin is not None and pin.root.sha256 != root.sha256:
        return Failed(f"the root's certificate is {root.sha256}, but {pin.root.sha256} is pinned in {PIN}")
    return Ready(
        f"CN={settings.root.common_name}-g{generation} sha256 {root.sha256}, {(root.not_after - now).days}d left"
    )


def unfit_root(root: Certificate, settings: Settings, at: datetime) -> str:
    """Why a certificate cannot be the trust anchor of this mesh at a moment (UTC); empty where it can."""
    if not (root.self_signed and root.is_ca):
        return f"{root.subject} is no self-signed CA"
    if not root.valid_at(at):
        valid = f"valid from {moment(root.not_before)} to {moment(root.not_after)}"
        return f"{root.subject} is {valid}, and now it is {moment(at)}"
    if root.uris != (f"spiffe://{settings.trust_domain}",):
        return f"{root.subject} names {root.uris}, expected spiffe://{settings.trust_domain}"
    wanted = settings.root.fingerprint
    if wanted and root.sha256 != wanted:
        return f"{root.subject} has SHA-256 {root.sha256}, but root.fingerprint is {wanted}"
    return ""


def issuer_ready(reader: Reader, alias: Ref) -> Readiness:
    """Whether an issuer says that it can sign."""
    live = reader.get(alias)
    if live is not None and holds(live, "Ready"):
        return Ready("Signing CA verified")
    return Waiting(str((condition(live or {}, "Ready") or {}).get("message") or f"{alias} has no status yet"))


def _is_pinned(reader: Reader) -> Readiness:
    pin = pinned(reader)
    return Ready(f"sha256 {pin.root.sha256}") if pin else Waiting(f"{PIN} is not written yet")


def _pin(cluster: Cluster, settings: Settings, generation: int) -> None:
    """Write the pin. It is made only after issuance, so it is no manifest of the step."""
    _, chain = issued(cluster, root_certificate(settings, generation))
    if not chain:
        raise StepError("MPK-212", "the root certificate went away before it was pinned", where=str(PIN))
    apply(cluster, owned(pin_manifest(generation, chain[0]), STEP))


def pin_manifest(generation: int, *roots: Certificate) -> Object:
    """The ConfigMap that holds the pin: generation and SHA-256 (hex) of the first root, and all of them in PEM."""
    return {
        "apiVersion": PIN.api_version,
        "kind": PIN.kind,
        "metadata": {"name": PIN.name, "namespace": PIN.namespace},
        "data": {
            "generation": str(generation),
            "root.sha256": roots[0].sha256,
            "root.pem": "".join(root.pem.decode() for root in roots),
        },
    }


def root_manifests(settings: Settings, generation: int) -> tuple[Object, ...]:
    """The root's Certificate of one generation, the issuer that signs it, and the alias that names it."""
    return render(
        STEP,
        name=root_name(generation),
        namespace=settings.namespaces.cert_manager,
        spec=root_spec(settings, generation),
    )
