"""Peer topology: can every pod verify every other with the bundle it holds; decided once for each pair of groups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, product

from meshpki.cluster.manifest import Ref
from meshpki.pki import chain
from meshpki.pki.certificate import Certificate
from meshpki.pki.path import Expected
from meshpki.pki.verdict import Finding, Result
from meshpki.verify.workloads import PodVerdict
from meshpki.words import first_of

# A mesh has as many as it has CAs and bundles, a few; but what a pod presents and trusts its tenant chooses, and pairs
# are as many as the square of it.
GROUPS = 64


@dataclass(frozen=True)
class PeerGroup:
    """Pods that present a chain through the same CAs and trust the same anchors (SHA-256, lower-case hex)."""

    cas: tuple[str, ...]
    anchors: frozenset[str]
    pods: tuple[Ref, ...]


@dataclass(frozen=True)
class PeerVerdict:
    """Whether `verifier` accepts what `presenter` sends, with the bundle it holds.

    While a rotation runs there is besides, for each presenter, a verifier without pods: everybody after the next stage.
    """

    presenter: PeerGroup
    verifier: PeerGroup
    result: Result
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Member:
    """A group, and the longest-lived chain in it: each leaf's own validity is judged with its pod."""

    group: PeerGroup
    chain: tuple[Certificate, ...]


@dataclass(frozen=True)
class Trust:
    """Every anchor that some pod trusts, by fingerprint; the pinned roots, newest first; for which domain and when.

    `max_depth` is how many intermediates a chain may have.
    """

    anchors: Mapping[str, Certificate]
    roots: tuple[Certificate, ...]
    trust_domain: str
    at: datetime
    max_depth: int = 1

    def expected(self, fingerprints: Iterable[str]) -> Expected:
        """What a chain is judged against by somebody who holds these anchors."""
        held = tuple(self.anchors[one] for one in sorted(fingerprints) if one in self.anchors)
        return Expected(held, self.at, self.max_depth, self.trust_domain)


def judge_peers(pods: Iterable["PodVerdict"], trust: Trust) -> tuple[PeerVerdict, ...]:
    """39: for each pair of groups, whether the second's bundle proves the first's chain; a group is its own peer too.

    While two roots are pinned also whether the newest alone would: what fails then is a warning, not a failure now.
    Of more than GROUPS groups the others are left out (`unpaired`).
    """
    members = _members(pods)[:GROUPS]
    now = tuple(_pair(one, other, trust) for one, other in product(members, members))
    return now if len(trust.roots) == 1 else (*now, *(_next(one, trust) for one in members))


def unpaired(pods: Iterable["PodVerdict"]) -> tuple[PeerGroup, ...]:
    """The groups that are in no pair, as there are too many of them."""
    return tuple(member.group for member in _members(pods)[GROUPS:])


def _members(pods: Iterable["PodVerdict"]) -> tuple[_Member, ...]:
    """Each group with a chain; those with a pod that is not broken by itself first, then the larger ones."""
    known = sorted((pod for pod in pods if pod.path and pod.bundle), key=_kind)
    groups = [list(same) for _, same in groupby(known, _kind)]
    groups.sort(key=lambda same: (all(pod.result == "broken" for pod in same), -len(same)))
    return tuple(map(_member, groups))


def _member(pods: Sequence["PodVerdict"]) -> _Member:
    longest = max(pods, key=lambda pod: pod.path[0].not_after)
    group = PeerGroup(_cas(longest), frozenset(longest.bundle), tuple(pod.pod.ref for pod in pods))
    # a root is not sent, and if it were, Envoy would go by its own
    sent = tuple(one for one in longest.path if one == longest.path[0] or not one.self_signed)
    return _Member(group, sent)


def _kind(pod: "PodVerdict") -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _cas(pod), tuple(sorted(set(pod.bundle)))


def _cas(pod: "PodVerdict") -> tuple[str, ...]:
    return tuple(one.sha256 for one in pod.path[1:] if not one.self_signed)


def _pair(presenter: _Member, verifier: _Member, trust: Trust) -> PeerVerdict:
    verdict = chain.judge(presenter.chain, trust.expected(verifier.group.anchors))
    refusals = [finding for finding in verdict.findings if finding.severity != "warn"]
    findings = (_refused(presenter, verifier, refusals[0]),) if refusals else ()
    return PeerVerdict(presenter.group, verifier.group, verdict.result, findings)


def _next(presenter: _Member, trust: Trust) -> PeerVerdict:
    newest = trust.roots[0]
    verdict = chain.judge(presenter.chain, Expected((newest,), trust.at, trust.max_depth, trust.trust_domain))
    later = PeerGroup((), frozenset({newest.sha256}), ())
    if verdict.result == "proven":
        return PeerVerdict(presenter.group, later, "proven")
    expected = f"the chain of {_some(presenter.group)} to lead to {newest.subject} before the older root is dropped"
    remedy = "do not drop the older root yet: let the rotation move these pods first"
    warning = Finding("MPK-372", "warn", 39, expected, "it does not", remedy)
    return PeerVerdict(presenter.group, later, "proven", (warning,))


def _refused(presenter: _Member, verifier: _Member, why: Finding) -> Finding:
    expected = f"the bundle of {_some(verifier.group)} to prove the chain of {_some(presenter.group)}"
    found = f"expected {why.expected}; found {why.found} ({why.code})"
    remedy = "restart the pods that hold the older chain or bundle; meshpki verify -o wide lists them"
    return Finding("MPK-345", why.severity, 39, expected, found, remedy, why.certificate)


def _some(group: PeerGroup) -> str:
    return first_of([f"{pod.namespace}/{pod.name}" for pod in group.pods], 1)
