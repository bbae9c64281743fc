"""istiod's CA rotated under the same root: what is seen, what to do, and the steps until every istiod signs with it."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.cluster.manifest import Object, Query, only
from meshpki.components.approval import istiod_policy
from meshpki.components.istio import istiods
from meshpki.components.istiod_ca import istiod_ca
from meshpki.components.renewal import read_time
from meshpki.components.trust import Pin, issued, istiod_certificate, pinned, requests_of
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.install import wish_manifest
from meshpki.pki.certificate import Certificate
from meshpki.rotate import leaf, mark
from meshpki.rotate.adoption import Replica, adopted, hurry, replicas
from meshpki.rotate.issuer import signing_root
from meshpki.rotate.lifetime import longest_workload_ttl
from meshpki.rotate.mark import Mark
from meshpki.rotate.reissue import PATIENCE, reissue, reissued, revision
from meshpki.settings import IstiodCA, Settings
from meshpki.settings.durations import moment
from meshpki.workflow.event import Event
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Gate, Program, Readiness, Ready, Step
from meshpki.workflow.work import Limits

STEP = "istiod-ca"


@dataclass(frozen=True)
class Facts:
    """What is seen before anything is written: the Certificate, its newest chain, and the root above it.

    The chain is empty where the Certificate is not ready, is being issued, or has lost its CertificateRequest.
    """

    live: Object
    chain: tuple[Certificate, ...]
    pin: Pin
    signing: Certificate | None
    istiods: int
    workload_ttl: timedelta

    @property
    def begun(self) -> Mark | None:
        """The rotation that is not finished."""
        return mark.read(self.live)

    @property
    def ends(self) -> datetime | None:
        """When the CA of now ends (UTC), as cert-manager says, also of one whose chain is not to be had."""
        return read_time(self.live.get("status", {}).get("notAfter"))


@dataclass(frozen=True)
class Rotation:
    """What shall be done: from which CA on, to which settings; `resumed` where a run before this one began it."""

    settings: Settings
    start: Mark
    resumed: bool = False


@dataclass(frozen=True)
class Done:
    """What came of it: the CA of now, since when it has been in use where, and how the throw-away pod's leaf looked."""

    rotation: Rotation
    ca: Certificate
    revision: int
    replicas: tuple[Replica, ...]


def look(reader: Reader, settings: Settings) -> Facts:
    """What the cluster says of istiod's CA, from public sources; raises PreconditionError (MPK-400, MPK-409)."""
    leaf.free(reader)
    ref, pin = istiod_certificate(settings), pinned(reader)
    live = reader.get(ref)
    if live is None or pin is None:
        what = f"{ref} is not there" if pin else "no root is pinned"
        raise PreconditionError("MPK-400", f"there is nothing to rotate: {what}", remedy="install the mesh: meshpki up")
    _, chain = issued(reader, ref)
    return Facts(
        live,
        chain,
        pin,
        signing_root(reader, settings),
        len(istiods(reader, settings)),
        longest_workload_ttl(reader.scan(Query("v1", "Pod"))),
    )


def intended(facts: Facts, settings: Settings, wish: IstiodCA, *, compromised: bool = False) -> Rotation:
    """What to do, from what is seen: finish what was begun for the same wish, else begin from the CA of now.

    A key that is known to somebody else is replaced by one that was made after that was known, and not by one that
    an earlier run had made. Where there is no CA to begin from, the start has no name.
    """
    wished, begun, at = replace(settings, istiod_ca=wish), facts.begun, revision(facts.live)
    if begun and _same(begun, facts.live, at, wished) and begun.compromised >= compromised:
        return Rotation(wished, begun, resumed=True)
    if not facts.chain:
        return Rotation(wished, Mark("", facts.ends or facts.pin.root.not_after, at, compromised))
    ca = facts.chain[0]
    return Rotation(wished, Mark(f"{ca.serial:x}", ca.not_after, at, compromised))


def _same(begun: Mark, live: Object, at: int, wished: Settings) -> bool:
    """Whether what was begun is what is wished for, and nothing else was issued since."""
    if at == begun.revision:
        return True
    spec = {key: value for one in istiod_ca(wished).manifests for key, value in one.get("spec", {}).items()}
    asked = all(live["spec"].get(key) == spec[key] for key in ("duration", "renewBefore"))
    return asked and at == begun.revision + 1


def plan(rotation: Rotation) -> Plan:
    """The steps: the wish kept and the start marked, the CA issued, every istiod on it, a new pod's leaf from it.

    Where policies approve, they first allow what is now wished for. Nobody waits for cert-manager to see by itself what
    has changed where the key is known to somebody else, or the CA has ended.
    """
    at_once = rotation.start.compromised or rotation.start.not_after <= datetime.now(UTC)
    settings, patience = rotation.settings, timedelta(0) if at_once else PATIENCE
    ref, before = istiod_certificate(settings), rotation.start.revision
    allowed = (istiod_policy(settings),) if settings.approval.policy else ()
    issue = replace(
        istiod_ca(settings),
        needs=("settings", *(step.name for step in allowed)),
        programs=(reissue(ref, before, patience),),
        gates=(
            Gate(
                name="issued",
                proves=f"cacerts is issued again, beyond revision {before}",
                check=lambda reader: _judge_issued(reader, settings, before),
                hint=f"look at `kubectl -n {ref.namespace} describe certificate {ref.name}`",
                code="MPK-406",
                watches=(only(ref), requests_of(ref)),
            ),
        ),
    )
    adopt = Step(
        name="istiod",
        summary="every istiod takes the new CA up",
        needs=(STEP,),
        programs=(hurry(settings),),
        gates=adopted(settings),
    )
    return Plan((_begin(rotation), *allowed, issue, leaf.place(), adopt, leaf.leaf(settings)))


def rotate(
    cluster: Cluster, rotation: Rotation, clock: Clock, limits: Limits, told: Callable[[MeshpkiError], None]
) -> Generator[Event]:
    """Run the rotation; events and errors as `workflow.run.run`. What it made to look is removed whatever happens.

    What hinders that is `told`, and is neither the error of the run nor its end.
    """
    try:
        yield from run(plan(rotation), cluster, clock, limits)
        mark.clear(cluster, istiod_certificate(rotation.settings))
    finally:
        try:
            leaf.remove(cluster)
        except MeshpkiError as left:
            told(left)


def done(reader: Reader, rotation: Rotation) -> Done:
    """What there is to show after the run; raises PreconditionError (MPK-402) where the CA changed again meanwhile."""
    ref = istiod_certificate(rotation.settings)
    _, chain = issued(reader, ref)
    if not chain:
        raise PreconditionError("MPK-402", f"{ref} is being issued again by somebody else", remedy="look once more")
    return Done(rotation, chain[0], revision(reader.get(ref)), replicas(reader, rotation.settings))


def retry_at(live: Object) -> datetime | None:
    """When cert-manager tries again after a failure, which it does after an hour, then two, then four, up to 32.

    Source: cert-manager pkg/controller/certificates/trigger/trigger_controller.go at v1.21, shouldBackoffReissuing.
    """
    status = live.get("status", {})
    failed, last = int(status.get("failedIssuanceAttempts", 0)), status.get("lastFailureTime")
    if not failed or not last:
        return None
    return datetime.fromisoformat(str(last)) + timedelta(hours=min(2 ** (min(failed, 6) - 1), 32))


def _begin(rotation: Rotation) -> Step:
    """The wish first: a run that is killed after it leaves something that `up`, too, brings to the same end."""
    ref = istiod_certificate(rotation.settings)

    def marked(reader: Reader) -> bool:
        live = reader.get(ref)
        return live is not None and mark.read(live) == rotation.start

    return Step(
        name="settings",
        summary="the wish kept in the cluster",
        manifests=(wish_manifest(rotation.settings),),
        programs=(Program("mark the start", marked, lambda cluster, _stop: mark.write(cluster, ref, rotation.start)),),
    )


def _judge_issued(reader: Reader, settings: Settings, before: int) -> Readiness:
    readiness, chain = reissued(reader, istiod_certificate(settings), before)
    if not chain:
        return readiness
    return Ready(f"serial {chain[0].serial:x}, until {moment(chain[0].not_after)}")
