"""Proofs of root rotations in the shapes a page must bear: proven, failed, without a probe, large, hostile."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from meshpki.cluster.manifest import Ref
from meshpki.components.probe_flow import Flow, flows
from meshpki.pki.certificate import Certificate
from meshpki.probing import Failure, FlowTally, Second, StreamTally, Tally
from meshpki.probing.counters import Change, Changes
from meshpki.rotate import goals
from meshpki.rotate.facts import Generation, Turn
from meshpki.rotate.proof import Proof, Span
from meshpki.rotate.witness import Move
from meshpki.verify.pods import Workload
from tests.support import certificates as made
from tests.support.certificates import AT
from tests.support.reports import HOSTILE, WORKLOADS

NODES = ("node-1", "node-2")
FLOWS = flows(NODES)
RATE, STAGE = 32, 11
SECONDS = STAGE * len(goals.NAMES)


def after(seconds: float) -> datetime:
    """A moment of the run."""
    return AT + timedelta(seconds=seconds)


@cache
def turn(name: str = "meshpki-root-g2") -> Turn:
    """From the root of most tests to another one."""
    entering = made.root(made.ROOT.but(subject=((made.NameOID.COMMON_NAME, name),)))
    return Turn(Generation(1, made.mesh_root().certificate), Generation(2, entering.certificate))


@cache
def leaves() -> tuple[Certificate, Certificate]:
    """One below each of two CAs, the old one first."""
    old, new = (root.issue(made.SPIRE_CA).issue(made.SVID) for root in (made.mesh_root(), made.root()))
    return old.certificate, new.certificate


def spans(names: Sequence[str] = goals.NAMES) -> tuple[Span, ...]:
    """One stage after the other."""
    return tuple(Span(one, after(STAGE * n), after(STAGE * n + 10.5), True) for n, one in enumerate(names))


def move(pod: str, at: float | None = None) -> Move:
    """A pod that moved so many seconds after the run began."""
    old, new = leaves()
    workload = Workload("bookinfo", "Deployment", pod)
    return Move(f"bookinfo/{pod}", workload, old, new, None if at is None else after(at), (1, 1))


def tally(failed: int = 0, seconds: int = SECONDS) -> Tally:
    """Every flow was asked all the time; so many requests of the first flow failed, all in one second."""
    each = RATE * seconds // len(FLOWS)
    counted = [FlowTally(one, each, runs=1, last=after(seconds)) for one in FLOWS if not one.stream]
    streams = tuple(StreamTally(one, each, last=after(seconds)) for one in FLOWS if one.stream)
    counted[0] = replace(counted[0], failed=failed)
    timeline = tuple(Second(after(one), RATE, failed if one == seconds // 2 else 0) for one in range(seconds))
    lost = tuple(
        Failure(after(seconds // 2), counted[0].flow, number, "503", "upstream connect error")
        for number in range(failed)
    )
    errors = (("503", failed),) if failed else ()
    return Tally(tuple(counted), streams, errors, lost, timeline, started=AT, ended=after(seconds))


def changes(**wrong: int) -> Changes:
    """Two proxies that ran all the time and one that started; `wrong` grew in the first, `_` stands for `.`."""
    well = {"ssl.handshake": 900, "sds.update_success": 4}
    ill = {kind.replace("_", ".", 1): count for kind, count in wrong.items()}
    pods = [Ref("v1", "Pod", "bookinfo", name) for name in WORKLOADS[:3]]
    return Changes(
        (
            Change(pods[0], "kept", {**well, **ill}),
            Change(pods[1], "kept", well),
            Change(pods[2], "born", {**well, "sds.init_fetch_timeout": 1}),
        )
    )


def proven() -> Proof:
    """A whole rotation, without one request lost."""
    moves = tuple(move(f"{name}-5d9-x", 47 + n * 1.5) for n, name in enumerate(WORKLOADS))
    control = "an untrusted identity was refused: TLS alert certificate unknown"
    return Proof(
        turn=turn(),
        began=AT,
        ended=after(SECONDS),
        spans=spans(),
        moves=moves,
        tally=tally(),
        control=control,
        changes=changes(),
    )


def failed() -> Proof:
    """Requests were lost, a stage stayed shut, a pod stayed behind, a counter grew."""
    whole = proven()
    stages = spans(goals.NAMES[:5])
    shut = replace(stages[-1], done=False)
    moves = (*whole.moves[1:], replace(whole.moves[0], after=None, at=None))
    grown = changes(ssl_fail_verify_error=3)
    return replace(
        whole, spans=(*stages[:-1], shut), moves=moves, tally=tally(3), changes=grown, finished=False, control=""
    )


def targeted() -> Proof:
    """A Service of the user was called too."""
    called = tuple(FlowTally(one, 500, runs=1) for one in flows(NODES, "shop.prod:8080") if one.mark == "target")
    whole = proven()
    return replace(whole, tally=replace(tally(), flows=(*tally().flows, *called)))


def unprobed() -> Proof:
    """Nobody sent a request."""
    return replace(proven(), tally=None, control="", changes=None)


def nothing() -> Proof:
    """A run that had nothing left to do."""
    return Proof(turn=turn(), began=AT, ended=AT, spans=(), moves=())


def large() -> Proof:
    """Four hours, ten thousand pods."""
    moves = tuple(move(f"app-{number:05}", number % 90) for number in range(10_000))
    return replace(proven(), moves=moves, tally=tally(1, 4 * 3600), ended=after(4 * 3600))


def hostile() -> Proof:
    """Every text that a cluster may choose is chosen by somebody who means harm."""
    whole = proven()
    bad = tuple(Flow(text, text, text) for text in HOSTILE)
    counted = replace(
        tally(),
        flows=tuple(FlowTally(one, 5, 1) for one in bad),
        streams=tuple(StreamTally(one, 5) for one in bad),
        errors=tuple((text, 1) for text in HOSTILE),
        failures=tuple(Failure(AT, one, 1, one.title, one.title) for one in bad),
        unread=HOSTILE[0],
    )
    grown = Changes(tuple(Change(Ref("v1", "Pod", text, text), "unread", why=text) for text in HOSTILE))
    stages = tuple(replace(span, stage=text) for span, text in zip(whole.spans, HOSTILE, strict=False))
    return replace(
        whole,
        turn=turn(HOSTILE[0]),
        spans=stages,
        moves=tuple(replace(move(text, 60), pod=text) for text in HOSTILE),
        tally=counted,
        changes=grown,
        control=HOSTILE[1],
    )


EVERY = {
    "proven": proven,
    "failed": failed,
    "targeted": targeted,
    "unprobed": unprobed,
    "nothing": nothing,
    "large": large,
    "hostile": hostile,
}


@cache
def shown(name: str) -> Proof:
    """One of EVERY, made once."""
    return EVERY[name]()
