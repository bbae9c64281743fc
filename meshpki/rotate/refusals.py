"""Why istiod's CA is not rotated: named, pure checks of what was seen and what is wished for, all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.cluster.readiness import condition, holds
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.rotate.issuer import hidden_change
from meshpki.rotate.istiod_ca import Facts, Rotation, retry_at
from meshpki.rotate.reissue import issuing
from meshpki.settings import go_duration
from meshpki.settings.durations import moment
from meshpki.settings.rules import breaches

_TWICE = 2
_KEYS = ("istiodCA.duration", "istiodCA.renewBefore")
Refusals = Iterator[MeshpkiError]


@dataclass(frozen=True)
class Question:
    """What the checks are asked about, and when (UTC)."""

    facts: Facts
    rotation: Rotation
    at: datetime


def refusals(facts: Facts, rotation: Rotation, at: datetime) -> tuple[MeshpkiError, ...]:
    """Every reason not to begin; nothing was written. What was begun already is held to what still can harm."""
    asked = Question(facts, rotation, at)
    checks = (_lifetimes, _two_roots, _root_changed, _outlives_the_root, _too_short)
    resumable: tuple[Callable[[Question], Refusals], ...] = () if rotation.resumed else (_not_ready,)
    return tuple(error for check in (*checks, *resumable) for error in check(asked))


def _lifetimes(asked: Question) -> Refusals:
    """cert-manager's own limits, and those between settings, before its webhook or the next `up` refuses them."""
    for breach in breaches(asked.rotation.settings):
        if breach.paths[0] in _KEYS:
            yield UsageError(breach.code, breach.what, where=breach.paths[0], remedy=breach.remedy)


def _two_roots(asked: Question) -> Refusals:
    pin = asked.facts.pin
    if len(pin.roots) > 1:
        what = f"{len(pin.roots)} roots are pinned: a rotation of the root is under way, and renews this CA itself"
        yield PreconditionError("MPK-401", what, remedy="finish it: meshpki rotate root; or go back: --abort")


def _root_changed(asked: Question) -> Refusals:
    facts = asked.facts
    why = hidden_change(facts.signing, facts.pin, facts.chain[0].aki if facts.chain else None)
    if why and len(facts.pin.roots) == 1:
        remedy = "find out who changed the root; to change it on purpose: meshpki rotate root"
        yield PreconditionError("MPK-403", f"this would change the root unseen: {why}", remedy=remedy)


def _outlives_the_root(asked: Question) -> Refusals:
    """As much time as is kept for renewing this CA must be left to renew the root after it has ended."""
    wish, pin = asked.rotation.settings.istiod_ca, asked.facts.pin
    latest = pin.ends - wish.renew_before
    if asked.at + wish.duration > latest:
        left = max(latest - asked.at, timedelta(0))
        what = (
            f"{go_duration(wish.duration)} from now ends after {latest:%F}, which is {go_duration(wish.renew_before)}"
        )
        first = "a CA of its owner that lasts longer" if pin.chain else "first: meshpki rotate root"
        remedy = f"at most {go_duration(timedelta(hours=left // timedelta(hours=1)))}, or {first}"
        yield PreconditionError("MPK-405", f"{what} before the root ends", remedy=remedy)


def _too_short(asked: Question) -> Refusals:
    wish, ttl = asked.rotation.settings.istiod_ca, asked.facts.workload_ttl
    if wish.duration < _TWICE * ttl:
        what = f"{go_duration(wish.duration)} is less than twice the longest life of a workload's certificate"
        remedy = f"{go_duration(_TWICE * ttl)} or more: some ask istiod for {go_duration(ttl)}"
        yield PreconditionError("MPK-404", what, remedy=remedy)


def _not_ready(asked: Question) -> Refusals:
    live, start = asked.facts.live, asked.rotation.start
    if issuing(live):
        what, remedy = "it is being issued right now", "wait for it, and look with `meshpki status`"
        yield PreconditionError("MPK-402", f"cacerts: {what}", remedy=remedy)
    elif start.compromised or (asked.facts.ends and asked.facts.ends <= asked.at):
        return  # what is known to somebody else, and what nobody accepts, is replaced, whatever state it is in
    elif again := retry_at(live):
        told = str((condition(live, "Issuing") or {}).get("message") or "it was not issued the last time")
        remedy = "fix that; cert-manager then tries by itself, or at once after `cmctl renew cacerts`"
        yield PreconditionError("MPK-402", f"cacerts: {told}; cert-manager waits until {moment(again)}", remedy=remedy)
    elif not holds(live, "Ready"):
        told = str((condition(live, "Ready") or {}).get("message") or "no condition says that it is")
        yield PreconditionError("MPK-402", f"cacerts is not ready: {told}", remedy="run `meshpki up` first")
    elif not asked.facts.chain:
        what = f"the CertificateRequest of its revision {start.revision} is gone, and with it what to compare with"
        remedy = "have it issued once by `cmctl renew cacerts`, which leaves a new one, and run this again"
        yield PreconditionError("MPK-410", f"cacerts: {what}", remedy=remedy)
