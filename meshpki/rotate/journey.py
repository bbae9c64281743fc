"""A root rotation from one end to the other: where it stands, which way it goes, and the run of what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.components.trust import PIN, Pin, required, root_name
from meshpki.errors import PreconditionError
from meshpki.rotate import acts, compromise, goals, scan
from meshpki.rotate.facts import Facts, Generation, Turn
from meshpki.rotate.generations import listed, next_number, orphans, roots, turn_of
from meshpki.rotate.goals import Stage, order, position
from meshpki.rotate.new_root import new_root
from meshpki.rotate.root import steps
from meshpki.rotate.rotation import Rotation
from meshpki.settings import Settings
from meshpki.workflow.step import Step

# Seconds that a stage took on two cores, with two looks in a row; a node's agent is restarted in about as many.
_SECONDS = {goals.NEW_ROOT: 3, goals.TAINT: 25}
_A_STAGE, _A_NODE = 9, 15


@dataclass(frozen=True)
class Standing:
    """Where a rotation stands: the way it goes, the look by which that is known, and the first stage not through.

    `compromised` says that somebody else knows the key of the older root.
    """

    turn: Turn
    facts: Facts
    stage: Stage
    compromised: bool = False

    @property
    def backward(self) -> bool:
        """Whether it goes back to the generation from which it came."""
        return self.turn.entering.number < self.turn.leaving.number

    @property
    def only_forth(self) -> bool:
        """Whether nobody would accept anything under the older root, to which a way back leads, as it has ended.

        Not where SPIRE was told on that way to get away from the newer one: nothing may be issued under that either.
        """
        return self.older.ended(self.facts.at) and not (self.backward and self.past_return)

    @property
    def older(self) -> Generation:
        """The generation that the rotation began with."""
        return min(self.turn.leaving, self.turn.entering, key=lambda one: one.number)

    @property
    def past_return(self) -> bool:
        """Whether SPIRE was told to get away from the root that is left, so that there is only one way."""
        return goals.tainted(self.facts, self.turn.leaving.root) or self.stage.name == goals.FORGET

    @property
    def left(self) -> tuple[str, ...]:
        """Which targets its stage still waits for."""
        return self.stage.left(self.facts, self.turn)


def standing(reader: Reader, settings: Settings) -> Standing | None:
    """Where the rotation that is under way stands, None where none is; raises PreconditionError (MPK-353, MPK-437)."""
    if len(required_pin(reader).roots) == 1:
        return None
    turn = required_turn(reader, settings)
    facts = scan.facts(reader, settings, turn)
    older = min(turn.leaving.number, turn.entering.number)
    known = older in compromise.noted(listed(reader, settings))
    return Standing(turn, facts, _stage(facts, turn), known)


def required_pin(reader: Reader) -> Pin:
    """The pin of a root of ours; raises PreconditionError (MPK-353 where there is none, MPK-284 for an existing CA)."""
    pin = required(reader)
    if pin.chain:
        what = f"the mesh lies under {pin.root.subject}, whose key and whose rotation are its owner's"
        remedy = (
            "a CA renewed below the same root: put it into the Secret, then meshpki up -f with its chain,"
            " rotate istiod-ca, rotate spire-ca; another root takes a new mesh"
        )
        raise PreconditionError("MPK-284", what, where=str(PIN), remedy=remedy)
    return pin


def first_step(reader: Reader, settings: Settings, clock: Clock) -> Step:
    """The first stage: another generation of the root, issued and pinned beside the old one."""
    pin = required_pin(reader)
    if len(pin.roots) > 1:
        what = "somebody else began a root rotation a moment ago"
        raise PreconditionError("MPK-430", what, where=str(PIN), remedy="see `meshpki status`")
    number = next_number(pin, listed(reader, settings), orphans(reader, settings))
    return new_root(settings, pin, number, clock)


def remaining(reader: Reader, rotation: Rotation, last: str = "") -> tuple[Step, ...]:
    """The stages that are not through yet, up to and with `last` where one is named; none where that is through."""
    facts = rotation.look(reader)
    here = _beginning(facts, rotation.turn)
    names = [stage.name for stage in order(rotation.turn.leaving.root, facts.at)]
    if last and names.index(last) < names.index(here.name):
        return ()
    return steps(rotation, here.name, last)


def _beginning(facts: Facts, turn: Turn) -> Stage:
    """Where a run begins: in the first stage of all where a look did not see everything, since no later one asks again.

    A stage that is through costs two looks. From `istiod-ca` on, a silent istiod keeps its own stage waiting, and what
    a run was killed at there (`cacerts` without its second root) is made good before anybody is waited for.
    """
    here, stages = _stage(facts, turn), order(turn.leaving.root, facts.at)
    names = [stage.name for stage in stages]
    taken_for_granted = names.index(here.name) < names.index(goals.ISTIOD_CA)
    return stages[0] if taken_for_granted and scan.unseen(facts) else here


def _stage(facts: Facts, turn: Turn) -> Stage:
    return position(facts, turn) or order(turn.leaving.root, facts.at)[-1]


def required_turn(reader: Reader, settings: Settings) -> Turn:
    """The way that is under way; raises PreconditionError (MPK-443) where none is, MPK-437, MPK-353."""
    pin = required_pin(reader)
    turn = turn_of(pin, roots(reader, settings)) if len(pin.roots) > 1 else None
    if turn is None:
        raise PreconditionError("MPK-443", "no root rotation is under way", remedy="see `meshpki status`")
    return turn


def turn_back(cluster: Cluster, standing: Standing) -> Turn:
    """Pin the root that is left first, so that from now on it is the one to enter.

    Raises PreconditionError (MPK-436) once there is only one way, MPK-446 where that would be to a compromised root.
    """
    if standing.only_forth:
        what = f"{standing.older} has ended: nobody accepts anything under it"
        raise PreconditionError("MPK-436", what, remedy="there is only the way on: meshpki rotate root")
    if standing.backward:
        return standing.turn
    if standing.past_return:
        what = f"SPIRE is to drop {standing.turn.leaving} already: nothing may be issued under it any more"
        raise PreconditionError("MPK-436", what, remedy="there is only the way on: meshpki rotate root")
    if standing.compromised:
        name = root_name(standing.turn.leaving.number)
        what = f"the key of {standing.turn.leaving} is known to somebody else: it is not to be trusted again"
        remedy = f"go on; if it is not so, take the label {compromise.COMPROMISED} off Certificate {name}"
        raise PreconditionError("MPK-446", what, remedy=remedy)
    if scan.unseen_spire(standing.facts):
        what = "spire-server does not answer, so that nobody can tell whether the old root is tainted already"
        raise PreconditionError("MPK-441", what, remedy="wait until it runs again, then run the same command")
    back = standing.turn.back
    acts.pin(cluster, back.entering.number, back.entering.root, back.leaving.root)
    return back


def turn_forth(cluster: Cluster, standing: Standing) -> Turn:
    """Pin the newer root first again, where the one to which a way back leads has ended meanwhile."""
    if not (standing.backward and standing.only_forth):
        return standing.turn
    forth = standing.turn.back
    acts.pin(cluster, forth.entering.number, forth.entering.root, forth.leaving.root)
    return forth


def estimate(names: Sequence[str], nodes: int, soak: timedelta) -> timedelta:
    """How long these stages are expected to take."""
    stages = timedelta(seconds=sum(_SECONDS.get(name, _A_STAGE) for name in names))
    return stages + len(names) * soak + nodes * timedelta(seconds=_A_NODE)
