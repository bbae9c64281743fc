"""What fails first, and when, if a part stops now: arithmetic on the dates that were seen.

A certificate is checked when a connection is made and never again, so a connection that stands goes on (Envoy does not
drain on a change of secrets, envoyproxy/envoy#28386); what is told of requests is told of new connections. Where one
resumes a TLS session, its client judges the server's chain again and its server judges nothing, so a client whose
certificate ended goes on until the server's ends or is renewed (docs/decisions/0016-resumed-sessions.md).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from meshpki.forecast.clocks import rotate_by, svid_of
from meshpki.forecast.observation import SPIRE_LIST, Observation, Svid
from meshpki.forecast.signing import Signing, lifetimes, signing
from meshpki.verify.places import PlaceKind
from meshpki.words import first_of


class Part(StrEnum):
    """What may stop; the root is no process, but somebody has to rotate it."""

    CERT_MANAGER = "cert-manager"
    SPIRE_SERVER = "spire-server"
    AGENT = "spire-agent"
    ISTIOD = "istiod"
    ROOT = "root"


class Hits(StrEnum):
    """What an effect is felt by."""

    NOTHING = "nothing yet"
    NEW = "what starts anew"
    CONTROL_PLANE = "the control plane"
    REQUESTS = "requests"


@dataclass(frozen=True)
class Effect:
    """What happens at a moment (UTC), or from it on and by `until` at the latest; `source` says how that is known."""

    at: datetime
    hits: Hits
    what: str
    source: str
    until: datetime | None = None


@dataclass(frozen=True)
class Outage:
    """What a part's stopping does, in order of time; `node` is where the agent of SPIRE stopped, else empty."""

    part: Part
    effects: tuple[Effect, ...]
    node: str = ""

    @property
    def first(self) -> Effect | None:
        """The first moment at which requests between running workloads fail; None where they do not."""
        return next((one for one in self.effects if one.hits is Hits.REQUESTS), None)

    @property
    def stopped(self) -> str:
        """What it is that stopped."""
        return f"{self.part} on node {self.node}" if self.node else self.part


# Rotations of SPIRE's CA that fail before it calls itself dead: one more than failedRotationThreshold in
# pkg/server/ca/rotator/rotator_health.go at v1.15. One is tried every 10 s (rotator.go), and takes 75 s and more where
# cert-manager's webhook takes the request and nobody answers (upstreamauthority/certmanager: 300 looks, 250 ms apart).
_FAILURES, _TICK, _IN_VAIN = 11, timedelta(seconds=10), timedelta(seconds=80)
# pkg/common/health/cache.go looks once a minute. From then on it is not ready, and no agent's new connection is led to
# it; the liveness probe of meshpki's StatefulSet has it restarted when it has failed three times, 30 s apart.
_LOOK, _PROBE, _PROBES = timedelta(minutes=1), timedelta(seconds=30), 3
_DIES_FROM = (_FAILURES - 1) * _TICK
_DIES_UNTIL = _TICK + _FAILURES * _IN_VAIN + _LOOK + _PROBES * _PROBE
# an agent renews at half of a life, give or take a tenth of that (pkg/common/rotationutil/rotationutil.go at v1.15)
_LEAST_LEFT = 0.45

_ENVOY = "Envoy checks a peer's chain at each full handshake (source/common/tls/cert_validator/spiffe)"
_CAPPED = "SPIRE v1.15 pkg/server/credtemplate/builder.go: no SVID outlives the CA that signs it"
_ROTATOR = "SPIRE v1.15 pkg/server/ca/rotator/rotator.go"
_INJECTOR = "Istio 1.29, istio-discovery/templates/mutatingwebhook.yaml: failurePolicy Fail"


def outages(seen: Observation) -> tuple[Outage, ...]:
    """The outage of every part that can stop; of SPIRE's agents, on every node with a pod of the mesh."""
    agents = ((Part.AGENT, node) for node in seen.nodes)
    parts = ((Part.CERT_MANAGER, ""), (Part.SPIRE_SERVER, ""), *agents, (Part.ISTIOD, ""), (Part.ROOT, ""))
    return tuple(outage(seen, part, node) for part, node in parts)


def outage(seen: Observation, part: Part, node: str = "") -> Outage:
    """What happens from the moment of the observation on, if a part stopped then."""
    effects: dict[Part, Callable[[], Iterable[Effect]]] = {
        Part.CERT_MANAGER: lambda: (*_no_spire_ca(seen), *_no_cacerts(seen)),
        Part.SPIRE_SERVER: lambda: _no_server(seen),
        Part.AGENT: lambda: _no_agent(seen, node),
        Part.ISTIOD: lambda: _no_istiod(seen),
        Part.ROOT: lambda: _no_rotation(seen),
    }
    ordered = sorted(effects[part](), key=lambda one: one.at)
    return Outage(part, tuple(ordered), node)


def _no_spire_ca(seen: Observation) -> Iterator[Effect]:
    """SPIRE's last CA caps every SVID; before that end it may be restarted for not getting another, and not come back.

    A server makes its next CA when it starts, if that is due, and does not start without (rotator.go, Initialize).
    """
    what = "no certificate is issued: no new CA of istiod or SPIRE, and no rotation goes on"
    yield Effect(seen.at, Hits.NEW, what, "cert-manager v1.21: its controllers answer every CertificateRequest")
    plan = signing(seen)
    if plan is None:
        return
    doubt = "" if plan.certain else f" (unless it has one already: {SPIRE_LIST} were not seen)"
    what = f"spire-server's next CA is not made{doubt}; if it restarts from then on, it does not start"
    yield Effect(plan.mint, Hits.NOTHING, what, _ROTATOR)
    yield from _dying_server(seen, plan)
    yield Effect(plan.ends, Hits.REQUESTS, "SPIRE's last CA ends, and with it every SVID", _CAPPED)


def _dying_server(seen: Observation, plan: Signing) -> Iterator[Effect]:
    dies, dead = plan.mint + _DIES_FROM, plan.mint + _DIES_UNTIL
    lives = lifetimes(seen)
    if dies >= plan.ends:
        return
    what = f"spire-server calls itself dead after {_FAILURES} failures, is restarted, and does not come back"
    source = "SPIRE v1.15 pkg/server/ca/rotator/rotator_health.go, and the liveness probe"
    yield Effect(dies, Hits.NEW, what, source, min(dead, plan.ends))
    if lives and dies + lives[0] * _LEAST_LEFT < plan.ends:
        at, until = dies + lives[0] * _LEAST_LEFT, min(dead + lives[1], plan.ends)
        yield Effect(at, Hits.REQUESTS, "SVIDs end that nobody renewed since spire-server gave up", _ENVOY, until)


def _no_cacerts(seen: Observation) -> Iterator[Effect]:
    if seen.cacerts is None:
        return
    if seen.cacerts_renewal and seen.cacerts_renewal.at:
        at = max(seen.cacerts_renewal.at, seen.at)
        yield Effect(at, Hits.NOTHING, "istiod's CA is not renewed", "the Certificate's status.renewalTime")
    ends = [one.ends for one in seen.listeners if one.kind is PlaceKind.ISTIOD]
    what = "istiod's certificate ends: proxies that reconnect get no configuration, pods with a sidecar are refused"
    yield Effect(min([*ends, seen.cacerts.not_after]), Hits.CONTROL_PLANE, what, "the chain on its ports")


def _no_server(seen: Observation) -> Iterator[Effect]:
    what = "pods that start get no identity: nobody registers them, and no agent has their SVID"
    yield Effect(seen.at, Hits.NEW, what, "spire-controller-manager runs beside spire-server")
    yield from _unrenewed([one for one in seen.svids if one.from_spire], seen)


def _no_agent(seen: Observation, node: str) -> Iterator[Effect]:
    what = f"pods and proxies that start on {node} get no identity, and are not ready"
    yield Effect(seen.at, Hits.NEW, what, "Envoy keeps the secrets it has, and gets them from the agent's socket alone")
    yield from _unrenewed([one for one in seen.svids if one.from_spire and one.node == node], seen)


def _no_istiod(seen: Observation) -> Iterator[Effect]:
    what = "pods with a sidecar are refused, proxies that restart get no configuration, and none of it can be changed"
    yield Effect(seen.at, Hits.NEW, what, _INJECTOR)
    yield from _unrenewed([one for one in seen.svids if not one.from_spire], seen)


def _no_rotation(seen: Observation) -> Iterator[Effect]:
    for root in seen.above:
        last = rotate_by(root, seen)
        if last:
            what = f"CAs are issued that outlive {root.subject}, and end with it"
            yield Effect(max(last, seen.at), Hits.NOTHING, what, "cert-manager/cert-manager#2478: it caps no CA")
        what = f"{'root' if root.self_signed else 'CA'} {root.subject} ends, and with it every chain below it"
        yield Effect(root.not_after, Hits.REQUESTS, what, _ENVOY)


def _unrenewed(held: list[Svid], seen: Observation) -> Iterator[Effect]:
    """The first and the last end of certificates that nobody renews any more.

    Whoever only calls goes on where its sessions are known, at most until each server's certificate of now ended.
    """
    if not held:
        return
    ends, resumed = min(one.ends for one in held), max(one.ends for one in seen.svids)
    names = first_of(sorted({svid_of(one) for one in held if one.ends == ends}), 1)
    known = ", but for TLS sessions that they resume" if resumed > ends else ""
    what = f"{names} ends: peers refuse its new connections{known}"
    yield Effect(ends, Hits.REQUESTS, what, _ENVOY, resumed if known else None)
    last = max(one.ends for one in held)
    if last > ends:
        yield Effect(last, Hits.REQUESTS, f"the last of {len(held)} SVIDs ends", _ENVOY)
