"""A look at a whole mesh: gather, judge each pod and place, and make one report of it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from meshpki.cluster.client import Reader
from meshpki.cluster.envoy import Secrets
from meshpki.components.trust import required
from meshpki.errors import UsageError
from meshpki.pki.certificate import Certificate
from meshpki.settings import Settings
from meshpki.verify import control_plane, gather, issuance, survey
from meshpki.verify.authorities import authorities as known_authorities
from meshpki.verify.clock import better, explained, issued_between
from meshpki.verify.dns_names import reserved
from meshpki.verify.gather import Progress
from meshpki.verify.injection import INJECT
from meshpki.verify.judge import Pinned, Seen, anchors_of, judge
from meshpki.verify.observation import Observation
from meshpki.verify.peers import GROUPS, Trust, judge_peers, unpaired
from meshpki.verify.places import PlaceVerdict, Unseen
from meshpki.verify.pods import MeshPod, members
from meshpki.verify.report import Report
from meshpki.verify.scope import Scope
from meshpki.verify.workloads import PodVerdict, grouped
from meshpki.words import first_of

# how many Envoys are asked at a time where nobody says otherwise
WIDTH = 64
_NAMED = 20


@dataclass(frozen=True)
class Requirements:
    """What is asked of the proof besides: which roots must be pinned, what spire-server itself says, and how strictly.

    `root_fingerprints` (hex, colons allowed) are those of the roots that must be pinned, and no other; without any,
    whatever is pinned. `authorities` has spire-server asked for its own list of CAs, by exec. `strict` has a missing
    key identifier fail.
    """

    root_fingerprints: tuple[str, ...] = ()
    authorities: bool = False
    strict: bool = False

    @property
    def named(self) -> frozenset[str]:
        """The fingerprints, as certificates have them."""
        return frozenset(one.replace(":", "").lower() for one in self.root_fingerprints)


def verify(
    reader: Reader,
    settings: Settings,
    at: datetime,
    scope: Scope | None = None,
    requirements: Requirements | None = None,
    *,
    width: int = WIDTH,
    progress: Progress = lambda _done, _of: None,
    now: Callable[[], datetime] | None = None,
) -> Report:
    """Judge every pod of the scope, and the control plane, at one moment (UTC); reads no Secret.

    `width` Envoys are asked at a time. `now` is a clock (UTC) by which a certificate that was issued since that moment
    is judged once more.

    Raises PreconditionError where no root is pinned or the pin cannot be read, UsageError for a workload that is not
    there, ClusterError.
    """
    scope, requirements = scope or Scope(), requirements or Requirements()
    pin = required(reader)
    roots = gather.pinned_roots(pin, sorted(requirements.named))
    # before the pods are listed: every moment that passes would count as skew of the clocks
    observation = survey.observe(reader, settings, at, authorities=requirements.authorities, pin=pin)
    found = members(gather.pods(reader, scope), observation.injecting or frozenset())
    mesh = _chosen(found.mesh, scope.names)
    pinned = _pinned(roots, settings, at, observation, requirements)
    answers = gather.explained(reader, settings, gather.secrets(reader, mesh, width, progress))
    now = now or (lambda: at)
    proxied = {pod.ref.namespace for pod in mesh if pod.has_proxy or pod.promised}
    pods, trust = _judged(answers, pinned, observation.skew, now)
    return Report(
        at,
        settings.trust_domain,
        roots,
        grouped(pods),
        places=_places(observation, pinned, proxied, now()),
        peers=judge_peers(pods, trust),
        unseen=(*observation.unseen, *_kept_out([] if scope.names else found.opted_out), *_unpaired(pods)),
        chain=pinned.chain,
        scope=scope,
    )


def _places(
    observation: Observation, pinned: Pinned, namespaces: Collection[str], now: datetime
) -> tuple[PlaceVerdict, ...]:
    """The verdict on each place, at a later moment where something there was issued since the first."""
    places = control_plane.judge(observation, pinned, namespaces)
    if not any(issued_between(one.findings, one.path, pinned.at, now) for one in places):
        return places
    again = control_plane.judge(observation, replace(pinned, at=now), namespaces)
    return tuple(better(*pair) for pair in zip(places, again, strict=True))


def _unpaired(pods: Sequence[PodVerdict]) -> Iterator[Unseen]:
    groups = unpaired(pods)
    if groups:
        count = sum(len(group.pods) for group in groups)
        what = f"whether {count} pods in {len(groups)} more groups and the others accept each other"
        yield Unseen(what, f"at most {GROUPS} kinds of chain and bundle: fix the pods that are broken by themselves")


def _kept_out(pods: Sequence[MeshPod]) -> Iterator[Unseen]:
    """The pods that are in no mesh by a wish of their own, in one line."""
    if pods:
        names = [f"{pod.ref.namespace}/{pod.ref.name}" for pod in pods]
        count = "1 pod that was" if len(names) == 1 else f"{len(names)} pods that were"
        yield Unseen(f"{count} kept out of the mesh: {first_of(names, _NAMED)}", f"a sidecar: {INJECT}=true")


def _pinned(
    roots: tuple[Certificate, ...], settings: Settings, at: datetime, seen: Observation, requirements: Requirements
) -> Pinned:
    chain = seen.pin.chain if seen.pin else ()
    return Pinned(
        roots,
        settings.trust_domain,
        at,
        authorities=known_authorities(seen, settings.spire.svid_ttl, issuance.rogues(seen, (*roots, *chain))),
        chain=chain,
        control_plane=reserved(settings),
        named=requirements.named,
        strict=requirements.strict,
    )


def _judged(
    answers: Iterable[tuple[MeshPod, Seen]], pinned: Pinned, skew: timedelta | None, now: Callable[[], datetime]
) -> tuple[list[PodVerdict], Trust]:
    """The verdict on each pod, and every anchor that one of them trusts; peers are judged at the latest moment."""
    verdicts, latest = list[PodVerdict](), pinned.at
    anchors = {root.sha256: root for root in pinned.roots}
    for pod, answer in answers:
        verdict = judge(pod, answer, pinned)
        moment = now()
        if issued_between(verdict.findings, verdict.path, pinned.at, moment):
            verdict = better(verdict, judge(pod, answer, replace(pinned, at=moment)))
            latest = max(latest, moment)
        findings = explained(verdict.findings, verdict.path, pinned.at, skew)
        verdicts.append(replace(verdict, findings=findings) if findings else verdict)
        if isinstance(answer, Secrets):
            anchors.update((one.sha256, one) for one in anchors_of(answer, pinned.trust_domain))
    return verdicts, Trust(anchors, pinned.roots, pinned.trust_domain, latest, pinned.max_depth)


def _chosen(mesh: list[MeshPod], names: Sequence[str]) -> list[MeshPod]:
    missing = [name for name in names if not any(_named(pod, name) for pod in mesh)]
    if missing:
        known = ", ".join(sorted({pod.workload.name for pod in mesh})) or "none"
        raise UsageError("MPK-355", f"no workload {', '.join(missing)} here", remedy=f"there are: {known}")
    return [pod for pod in mesh if not names or any(_named(pod, name) for name in names)]


def _named(pod: MeshPod, name: str) -> bool:
    """Whether a user's word means this pod: its workload's name, `kind/name`, or its own name."""
    kind, slash, plain = name.rpartition("/")
    if slash and kind.lower() != pod.workload.kind.lower():
        return False
    return plain in (pod.workload.name, pod.ref.name)
