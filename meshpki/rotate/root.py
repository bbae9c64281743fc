"""The steps of a root rotation: each stage's writes, and the gates which prove that everybody followed.

A run may be stopped at any line: what a stage writes is settled by what is observed, never by what was done before.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from meshpki.cluster.client import Clock, Cluster, ClusterError, Reader
from meshpki.components.trust import PIN, pinned
from meshpki.errors import StepError
from meshpki.pki.certificate import Certificate
from meshpki.rotate import acts, goals, scan, sight, spire_leg
from meshpki.rotate.facts import Facts, Turn
from meshpki.rotate.goals import STAGES, Left, Stage
from meshpki.rotate.istiod_leg import renew_istiod_ca
from meshpki.rotate.patience import Patience
from meshpki.rotate.witness import Witness
from meshpki.settings import Settings
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Step, Waiting

# What a gate sees changes without any object changing.
_LOOK = timedelta(seconds=2)

# Why a rotation has to stop at once, empty where it has not.
Guard = Callable[[Reader], str]
Question = Callable[[Facts, Turn], Left]
Run = Callable[[Cluster, Patience], None]


@dataclass(frozen=True)
class Rotation:
    """A way between two roots and how it is gone: `soak` is how long a gate sees everybody there before it opens.

    `excepted` names pods (namespace/name) that are not waited for. `guards` are asked at every look of every gate, and
    before every act; those of `before_taint` besides, before the one that cannot be taken back. Where the old root is
    compromised, pods that keep a gate waiting for as long as the `impatience` are `left_behind`: nobody who does not
    follow, or will not, keeps it trusted.
    """

    settings: Settings
    turn: Turn
    clock: Clock
    soak: timedelta = timedelta(0)
    excepted: frozenset[str] = frozenset()
    guards: tuple[Guard, ...] = ()
    witness: Witness | None = None
    before_taint: tuple[Guard, ...] = ()
    impatience: timedelta | None = None
    left_behind: set[str] = field(default_factory=set)

    def look(self, reader: Reader) -> Facts:
        """One look, without the pods that are not waited for; the witness is told of it."""
        seen = scan.facts(reader, self.settings, self.turn)
        if self.witness:
            self.witness.note(seen)
        without = self.excepted | self.left_behind
        return replace(seen, envoys=tuple(one for one in seen.envoys if one.name not in without))

    def left(self, reader: Reader, question: Question) -> Left:
        """Which targets have not followed yet."""
        return question(self.look(reader), self.turn)

    def may_act(self, reader: Reader, *more: Guard) -> None:
        """Raises StepError: MPK-440 where a guard says so, MPK-436 where the pin says another way than this one."""
        why = next(filter(None, (guard(reader) for guard in (*self.guards, *more))), "")
        if why:
            raise StepError("MPK-440", why, where="before the next act", remedy="see what failed, then run it again")
        pin = pinned(reader)
        wanted = (self.turn.entering.root.sha256, self.turn.leaving.root.sha256)
        if pin is None or tuple(root.sha256 for root in pin.roots) != wanted:
            what = "the pin says another way by now: somebody else rotates, or went back"
            raise StepError("MPK-436", what, where=str(PIN), remedy="see `meshpki status`, and have one run at a time")


def steps(rotation: Rotation, first: str = "", last: str = "") -> tuple[Step, ...]:
    """The stages from one to another in their order, all of them where none is named; each needs the one before."""
    names = [stage.name for stage in STAGES]
    begin = names.index(first) if first else 0
    end = names.index(last) + 1 if last else len(names)
    chosen = STAGES[begin:end]
    before: tuple[tuple[str, ...], ...] = ((), *((stage.name,) for stage in chosen[:-1]))
    return tuple(_step(rotation, stage, needs) for stage, needs in zip(chosen, before, strict=True))


def _step(rotation: Rotation, stage: Stage, needs: tuple[str, ...]) -> Step:
    goal = stage.says(stage.goal, rotation.turn)
    first, programs = _WORK[stage.name](rotation)
    return Step(
        name=stage.name,
        summary=goal,
        needs=needs,
        programs=programs,
        gates=(*first, _gate(rotation, "followed", goal, stage.left)),
    )


@dataclass
class _Looks:
    """A gate's check: open when looks find nothing left for as long as the soak, two looks apart at the least.

    A look that another event brings on too early shows no more than the one before it.
    """

    rotation: Rotation
    question: Question
    since: datetime | None = None
    waiting: datetime | None = None

    def __call__(self, reader: Reader) -> Readiness:
        """See Gate.check."""
        for guard in self.rotation.guards:
            if why := guard(reader):
                return Failed(why)
        facts = self.rotation.look(reader)
        left = tuple(dict.fromkeys((*self.question(facts, self.rotation.turn), *sight.unseen(facts))))
        now = self.rotation.clock.now()
        if left:
            self.since = None
            self._leave_behind(facts, now)
            return Waiting(f"{len(left)} left: {'; '.join(left)}")
        if self.since is None:
            self.since = now
        if now - self.since < _LOOK:
            return Waiting("everybody followed; looking once more")
        if now - self.since < self.rotation.soak:
            return Waiting(f"everybody followed; soaking for {self.rotation.soak.total_seconds():.0f} s")
        return Ready("everybody followed, in two looks in a row")

    def _leave_behind(self, facts: Facts, now: datetime) -> None:
        impatience, self.waiting = self.rotation.impatience, self.waiting or now
        if impatience is not None and now - self.waiting >= impatience:
            self.rotation.left_behind.update(goals.late(facts, self.rotation.turn, self.question))
            self.waiting = None


def _gate(rotation: Rotation, name: str, proves: str, question: Question) -> Gate:
    return Gate(
        name=name,
        proves=proves,
        check=_Looks(rotation, question),
        hint="nothing is lost: look at those that are left, then go on with the same command, or back with --abort",
        code="MPK-440",
        every=_LOOK,
    )


Work = tuple[tuple[Gate, ...], tuple[Program, ...]]


def _trust_istiod(rotation: Rotation) -> Work:
    both = rotation.turn.both
    gate = _gate(rotation, "written", "istiod wrote both roots wherever it writes", goals.istiod_trusts)
    return (gate,), (_hand_over(rotation, both, goals.istiod_trusts), _hurry(rotation, both, after=gate.name))


def _prepare(rotation: Rotation) -> Work:
    def run(cluster: Cluster, patience: Patience) -> None:
        spire_leg.prepare(cluster, rotation.settings, rotation.turn, patience)

    return (), (_until(rotation, "prepare", goals.prepared, run),)


def _trust(rotation: Rotation) -> Work:
    return (), (_hurry(rotation, rotation.turn.both),)


def _activate(rotation: Rotation) -> Work:
    def sign(cluster: Cluster, patience: Patience) -> None:
        spire_leg.activate(cluster, rotation.settings, rotation.turn, patience)

    def restart(cluster: Cluster, patience: Patience) -> None:
        def behind() -> list[str]:
            late = goals.behind(rotation.look(cluster), rotation.turn)
            return sorted({one.pod.node for one in late if one.pod.node})  # a pod that waits for a node has no agent

        spire_leg.restart_agents(cluster, rotation.settings, behind, patience)

    gate = _gate(rotation, "signs", "every spire-server signs under the root that is entered", goals.signs)
    return (gate,), (
        _until(rotation, "activate", goals.signs, sign),
        _until(rotation, "restart agents", goals.issued, restart, after=gate.name),
    )


def _istiod_ca(rotation: Rotation) -> Work:
    def run(cluster: Cluster, patience: Patience) -> None:
        renew_istiod_ca(cluster, rotation.settings, rotation.turn, patience)

    return (), (_until(rotation, "renew cacerts", goals.istiod_serves, run),)


def _moved(_rotation: Rotation) -> Work:
    return (), ()


def _taint(rotation: Rotation) -> Work:
    def taint(cluster: Cluster, patience: Patience) -> None:
        spire_leg.taint(cluster, rotation.settings, rotation.turn, patience)

    def drop(cluster: Cluster, patience: Patience) -> None:
        def unlisted() -> list[str]:
            return [one.pod for one in goals.unlisted(rotation.look(cluster))]

        spire_leg.drop(cluster, rotation.settings, rotation.turn, patience)
        spire_leg.restart_servers(cluster, rotation.settings, unlisted, patience)

    gate = _gate(rotation, "left", "spire-server itself and every workload got away from it", goals.untainted)
    return (gate,), (
        _until(rotation, "taint", goals.chased, taint, more=rotation.before_taint),
        _until(rotation, "prepare again", goals.clear, drop, after=gate.name),
    )


def _forget(rotation: Rotation) -> Work:
    entering = (rotation.turn.entering.root,)
    gate = _gate(rotation, "written", "istiod wrote one root wherever it writes", goals.forgotten)

    def run(cluster: Cluster) -> None:
        """The pin is the last write of all: with it, the same command would begin another rotation."""
        rotation.may_act(cluster)
        acts.hurry(cluster, acts.proxies(cluster), acts.bundle_mark(cluster, rotation.settings, entering))
        acts.conclude(cluster, rotation.settings, rotation.turn)

    def patiently(cluster: Cluster, stop: threading.Event) -> None:
        Patience(rotation.clock, stop).insist(lambda: run(cluster))

    return (gate,), (
        _hand_over(rotation, entering, goals.forgotten),
        Program("pin", lambda reader: acts.concluded(reader, rotation.turn), patiently, after=gate.name),
    )


_WORK: dict[str, Callable[[Rotation], Work]] = {
    goals.TRUST_ISTIOD: _trust_istiod,
    goals.PREPARE: _prepare,
    goals.TRUST: _trust,
    goals.ACTIVATE: _activate,
    goals.ISTIOD_CA: _istiod_ca,
    goals.MOVED: _moved,
    goals.TAINT: _taint,
    goals.FORGET: _forget,
}


def _until(  # noqa: PLR0917 - what a program is made of
    rotation: Rotation, name: str, question: Question, run: Run, after: str = "", more: tuple[Guard, ...] = ()
) -> Program:
    """Work that is settled once a question has nothing left; where nobody can tell, it looks for itself."""

    def settled(reader: Reader) -> bool:
        try:
            return not rotation.left(reader, question)
        except ClusterError as error:
            if not error.transient:
                raise
            return False

    def patiently(cluster: Cluster, stop: threading.Event) -> None:
        patience = Patience(rotation.clock, stop)

        def allowed() -> None:
            rotation.may_act(cluster, *more)
            run(cluster, patience)

        patience.insist(allowed)

    return Program(name, settled, patiently, after)


def _hand_over(rotation: Rotation, roots: Sequence[Certificate], question: Question) -> Program:
    """Give istiod these anchors; its kubelet is hurried, or it would hear of them within a minute only."""

    def run(cluster: Cluster, _patience: Patience) -> None:
        acts.hand_over(cluster, rotation.settings, roots)
        acts.hurry(cluster, acts.istiods(cluster, rotation.settings), acts.mark(roots))

    return _until(rotation, "hand over", question, run)


def _hurry(rotation: Rotation, roots: Sequence[Certificate], after: str = "") -> Program:
    """Have every proxy's pod see what istiod wrote; what is mounted there nobody can look at."""

    def note(reader: Reader) -> str:
        return acts.bundle_mark(reader, rotation.settings, roots)

    def run(cluster: Cluster, stop: threading.Event) -> None:
        Patience(rotation.clock, stop).insist(lambda: acts.hurry(cluster, acts.proxies(cluster), note(cluster)))

    return Program("hurry", lambda reader: not acts.unmarked(acts.proxies(reader), note(reader)), run, after)
