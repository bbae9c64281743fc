"""The steps of a root rotation: each stage's writes, and the gates which prove that everybody followed.

A run may be stopped at any line: what a stage writes is settled by what is observed, never by what was done before.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from meshpki.cluster.client import Cluster, ClusterError, Reader
from meshpki.components.istio import istiods
from meshpki.pki.certificate import Certificate
from meshpki.rotate import acts, goals, kubelet, spire_leg
from meshpki.rotate.facts import Envoy
from meshpki.rotate.gates import stands
from meshpki.rotate.goals import Stage
from meshpki.rotate.istiod_leg import renew_istiod_ca
from meshpki.rotate.patience import Patience
from meshpki.rotate.rotation import Guard, Question, Rotation
from meshpki.workflow.step import Gate, Program, Step

Run = Callable[[Cluster, Patience], None]


def steps(rotation: Rotation, first: str = "", last: str = "") -> tuple[Step, ...]:
    """The stages from one to another in their order, all of them where none is named; each needs the one before."""
    order = goals.order(rotation.turn.leaving.root, rotation.clock.now())
    names = [stage.name for stage in order]
    begin = names.index(first) if first else 0
    end = names.index(last) + 1 if last else len(names)
    chosen = order[begin:end]
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
        gates=(*first, stands(rotation, "followed", goal, stage.left)),
    )


Work = tuple[tuple[Gate, ...], tuple[Program, ...]]


def _trust_istiod(rotation: Rotation) -> Work:
    both = rotation.turn.both
    gate = stands(rotation, "written", "istiod wrote both roots wherever it writes", goals.istiod_trusts)
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
            return _nodes(goals.behind(rotation.look(cluster), rotation.turn))

        def expired() -> list[str]:
            return [one.pod for one in goals.expired(rotation.look(cluster), rotation.turn)]

        # the taint moves the certificate of the server alone that was told of it
        if rotation.turn.leaving.ended(rotation.clock.now()):
            spire_leg.restart_servers(cluster, rotation.settings, expired, patience)
        # a new agent may bring back whoever could not follow the old one
        nodes = _nodes(goals.behind(rotation.everybody(cluster), rotation.turn))
        spire_leg.restart_agents(cluster, rotation.settings, nodes, behind, patience)

    agents = _until(rotation, "restart agents", goals.issued, restart, after="signs")
    gate = stands(rotation, "signs", "every spire-server signs under the root that is entered", goals.signs)
    return (gate,), (
        _until(rotation, "activate", goals.signs, sign),
        replace(agents, settled=lambda reader: not rotation.left_behind and agents.settled(reader)),
    )


def _nodes(envoys: Iterable[Envoy]) -> list[str]:
    """Where they run; a pod that waits for a node has no agent."""
    return sorted({one.pod.node for one in envoys if one.pod.node})


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

    gate = stands(rotation, "left", "spire-server itself and every workload got away from it", goals.untainted)
    return (gate,), (
        _until(rotation, "taint", goals.chased, taint, more=rotation.before_taint),
        _until(rotation, "prepare again", goals.clear, drop, after=gate.name),
    )


def _forget(rotation: Rotation) -> Work:
    entering = (rotation.turn.entering.root,)
    gate = stands(rotation, "written", "istiod wrote one root wherever it writes", goals.forgotten)

    def run(cluster: Cluster) -> None:
        """The pin is the last write of all: with it, the same command would begin another rotation."""
        rotation.may_act(cluster)
        kubelet.hurry(cluster, acts.proxies(cluster), acts.MARK, acts.bundle_mark(cluster, rotation.settings, entering))
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
        kubelet.hurry(cluster, istiods(cluster, rotation.settings), acts.MARK, acts.mark(roots))

    return _until(rotation, "hand over", question, run)


def _hurry(rotation: Rotation, roots: Sequence[Certificate], after: str = "") -> Program:
    """Have every proxy's pod see what istiod wrote; what is mounted there nobody can look at."""

    def note(reader: Reader) -> str:
        return acts.bundle_mark(reader, rotation.settings, roots)

    def run(cluster: Cluster, stop: threading.Event) -> None:
        Patience(rotation.clock, stop).insist(
            lambda: kubelet.hurry(cluster, acts.proxies(cluster), acts.MARK, note(cluster))
        )

    return Program(
        "hurry", lambda reader: not kubelet.unhurried(acts.proxies(reader), acts.MARK, note(reader)), run, after
    )
