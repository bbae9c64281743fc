"""The trust anchor of a CA that the user brings: judged by its public chain, proven by one signature, then pinned."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref, only, owned
from meshpki.components import root_probe
from meshpki.components.rollout import deployment, judge_rollout
from meshpki.components.root_ca import STEP, issuer_ready
from meshpki.components.root_probe import Answer, issuer
from meshpki.components.trust import ALIAS, CERT_MANAGER, PIN, Pin, pinned
from meshpki.errors import StepError
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.chain import proves
from meshpki.pki.issuing import Below, Child, Unfit
from meshpki.pki.issuing import unfit as unfit_chain
from meshpki.pki.request import ThrowAway, throw_away
from meshpki.settings import Settings
from meshpki.settings.durations import moment
from meshpki.workflow.apply import apply
from meshpki.workflow.step import Failed, Gate, Later, Program, Readiness, Ready, Step, Waiting

_ASK_OWNER = "nothing relies on it; compare the file of the chain with what the CA's owner put into the Secret"


def existing_root(settings: Settings) -> Step:
    """The step of an existing CA: a probe, the pin of its root, and only then the alias that all else names."""
    secret = secret_ref(settings)
    alias = Ref(CERT_MANAGER, "ClusterIssuer", "", ALIAS)
    return Step(
        name=STEP,
        summary=f"trust anchor of {secret}",
        needs=("cert-manager",),
        programs=(
            Program(
                name="probe",
                settled=lambda reader: holds_chain(pinned(reader), settings),
                run=lambda cluster, stop: _pin(cluster, settings, stop),
            ),
        ),
        gates=(
            Gate(
                name="pinned",
                proves="cert-manager signs with the CA of the given chain, and the root of it is pinned",
                check=lambda reader: judge_pinned(reader, settings),
                hint=f"look at {secret} and at cert-manager's log",
                code="MPK-283",
                watches=(only(PIN),),
            ),
            Gate(
                name="alias",
                proves=f"ClusterIssuer {ALIAS} can sign",
                check=lambda reader: issuer_ready(reader, alias),
                hint=f"look at `kubectl describe clusterissuer {ALIAS}`",
                code="MPK-212",
                watches=(only(alias),),
            ),
        ),
        later=(Later("pinned", (issuer(ALIAS, secret.name),)),),
    )


def secret_ref(settings: Settings) -> Ref:
    """The Secret of the existing CA; its data is never read."""
    return Ref("v1", "Secret", settings.namespaces.cert_manager, settings.root.existing.secret_name)


def secret_is_there(reader: Reader, settings: Settings) -> bool:
    """Whether there is such a Secret of type kubernetes.io/tls: told by a selector, of which metadata alone comes."""
    ref = secret_ref(settings)
    fields = f"metadata.name={ref.name},type=kubernetes.io/tls"
    return bool(reader.headers(Query(ref.api_version, ref.kind, ref.namespace, fields=fields)))


def given_chain(settings: Settings) -> tuple[Certificate, ...]:
    """The public chain in the settings; raises UnparsableError."""
    return read_chain(settings.root.existing.chain.encode())


def unfit(settings: Settings, at: datetime) -> tuple[Unfit, ...]:
    """Every reason why the chain in the settings cannot stand above this mesh from a moment (UTC) on."""
    try:
        return unfit_chain(given_chain(settings), below(settings), at)
    except UnparsableError as error:
        return (Unfit("MPK-287", error.what, "have the chain exported again, in PEM"),)


def below(settings: Settings) -> Below:
    """What the mesh issues under its root. Of SPIRE's CA there are two at a time, as of a self-signed root's."""
    istiod, spire = settings.istiod_ca, settings.spire
    return Below(
        (
            Child("istiod's CA, with the time kept for its renewal,", istiod.duration + istiod.renew_before),
            Child("two of SPIRE's CAs, one after the other,", 2 * spire.ca_ttl),
        ),
        settings.trust_domain,
        (f"istiod.{settings.namespaces.istio}.svc",),
    )


def holds_chain(pin: Pin | None, settings: Settings) -> bool:
    """Whether the pin is that of the chain in the settings."""
    return pin is not None and _digests(pin.chain) == _digests(given_chain(settings))


def judge_pinned(reader: Reader, settings: Settings) -> Readiness:
    """Whether the chain in the settings was proven and pinned, and still is valid; an end of validity is final."""
    pin, now = pinned(reader), datetime.now(UTC)
    if pin is None or not holds_chain(pin, settings):
        return Waiting(f"the chain in the settings is not pinned in {PIN} yet")
    over = next((one for one in pin.chain if not one.valid_at(now)), None)
    if over is not None:
        valid = f"valid from {moment(over.not_before)} to {moment(over.not_after)}"
        return Failed(f"{over.subject} is {valid}, and now it is {moment(now)}")
    first = min(pin.chain, key=lambda one: one.not_after)
    return Ready(f"{pin.root.subject} sha256 {pin.root.sha256}, {(first.not_after - now).days}d left")


def prove_renewed(cluster: Cluster, settings: Settings) -> None:
    """Have another chain than the pinned one proven before the settings that name it are kept; raises StepError.

    Only where cert-manager runs: on a new cluster, and after a `down`, the step does it before anything relies on it.
    """
    if not settings.root.existing.secret_name:
        return
    pin = pinned(cluster)
    if pin is None or holds_chain(pin, settings):
        return
    controller = deployment(settings.namespaces.cert_manager, "cert-manager")
    if isinstance(judge_rollout(cluster, controller), Ready):
        _prove(cluster, settings, threading.Event())


def _pin(cluster: Cluster, settings: Settings, stop: threading.Event) -> None:
    """Probe, compare, pin: whatever refers to the Secret comes after that."""
    if _prove(cluster, settings, stop):
        apply(cluster, owned(pin_manifest(given_chain(settings)), STEP))


def _prove(cluster: Cluster, settings: Settings, stop: threading.Event) -> bool:
    """Whether the Secret's CA is that of the given chain; False where `stop` was set, raises StepError where not."""
    secret, names = secret_ref(settings), below(settings)
    if not secret_is_there(cluster, settings):
        raise StepError("MPK-279", "there is no such Secret of type kubernetes.io/tls", where=str(secret))
    request = throw_away(root_probe.NAME, f"spiffe://{settings.trust_domain}", names.dns_names[0])
    answer = root_probe.ask(cluster, secret, request, stop)
    if answer is None:
        return False
    unlike = differs(answer, given_chain(settings), request, datetime.now(UTC))
    if unlike is not None:
        raise StepError(unlike.code, unlike.what, where=str(secret), remedy=unlike.remedy)
    return True


def differs(answer: Answer, chain: Sequence[Certificate], request: ThrowAway, at: datetime) -> Unfit | None:
    """Why what cert-manager signed is not of the chain that the user gave, from that CA's key up to that root."""
    leaf, ca, root = answer.chain[0], chain[0], chain[-1]
    if leaf.key_sha256 != request.key_sha256:
        return Unfit("MPK-281", "the certificate that came back is for another key than was asked for", _ASK_OWNER)
    sent = (*answer.chain[1:], *answer.ca)
    other = _other_holder(leaf, ca, sent)
    if other:
        what = f"the Secret's CA is {other}, and the chain begins with {ca.subject} {ca.sha256}"
        return Unfit("MPK-281", what, _ASK_OWNER)
    if _digests(sent) != _digests(chain):
        what = (
            f"cert-manager sends along {_names(answer.chain[1:])} and calls {_names(answer.ca)} the CA;"
            f" by the given chain that would be {_names(chain[:-1])} and {root.subject}"
        )
        remedy = "put the CA and each issuer into tls.crt, in that order, and the root at its end or into ca.crt"
        return Unfit("MPK-282", what, remedy)
    why = proves(answer.chain, (root,), at, max(1, len(chain)))
    if why:
        code = "MPK-278" if any(one.extensions.name_constraints for one in chain) else "MPK-287"
        return Unfit(code, f"what it signs is not proven by its root: {why}", _ASK_OWNER)
    return None


def _other_holder(leaf: Certificate, ca: Certificate, sent: Sequence[Certificate]) -> str:
    """Who signed, where it is another than the CA that was given, or another certificate of its key; else empty."""
    holder = sent[0] if sent else None
    renewed = holder is not None and holder.key_sha256 == ca.key_sha256 and holder.sha256 != ca.sha256
    if leaf.signed_by(ca) and not renewed:
        return ""
    return f"{holder.subject} {holder.sha256}" if holder else leaf.issuer


def pin_manifest(chain: Sequence[Certificate]) -> Object:
    """The pin of a root that is not ours, with the chain that leads to it; it has no generations but the first."""
    root = chain[-1]
    return {
        "apiVersion": PIN.api_version,
        "kind": PIN.kind,
        "metadata": {"name": PIN.name, "namespace": PIN.namespace},
        "data": {
            "generation": "1",
            "root.sha256": root.sha256,
            "root.pem": root.pem.decode(),
            "chain.pem": "".join(one.pem.decode() for one in chain),
        },
    }


def _digests(certificates: Sequence[Certificate]) -> tuple[str, ...]:
    return tuple(one.sha256 for one in certificates)


def _names(certificates: Sequence[Certificate]) -> str:
    return " > ".join(one.subject for one in certificates) or "nothing"
