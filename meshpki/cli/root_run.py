"""One run of a root rotation under the Lease: its stages, the way back where requests fail, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from meshpki.cli import output
from meshpki.cli.board import Board, State
from meshpki.cli.follow import followed
from meshpki.cli.root_forms import Intent, Outcome
from meshpki.cli.root_page import keep_page
from meshpki.cli.root_probe import probed
from meshpki.cli.root_wish import Wish
from meshpki.cluster.client import Clock, Cluster
from meshpki.errors import MeshpkiError, StepError
from meshpki.rotate import compromise, goals, journey
from meshpki.rotate.evidence import Evidence
from meshpki.rotate.exposure import Closing
from meshpki.rotate.facts import Turn
from meshpki.rotate.proof import Proof, Span
from meshpki.rotate.rotation import Rotation
from meshpki.rotate.witness import Move, Witness
from meshpki.settings import Settings
from meshpki.verify import Report, Requirements, verify
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Step
from meshpki.workflow.work import Limits

# How long a root that must go at once stays trusted for the sake of pods that do not follow.
_IMPATIENCE = timedelta(minutes=1)


@dataclass(frozen=True)
class LastLook:
    """What the cluster says of itself in the end: `alone` is whether one root is pinned. None where it was not asked.

    Nor is there anything after the first question to which there was no answer.
    """

    alone: bool | None = None
    beyond_reach: tuple[str, ...] = ()
    report: Report | None = None


class RootRun:
    """One run: its board, and what was seen on the way."""

    def __init__(  # noqa: PLR0917 - what a run is made of
        self, cluster: Cluster, settings: Settings, wish: Wish, limits: Limits, intent: Intent, clock: Clock
    ) -> None:
        """Take what was asked for and what is to be done."""
        self._cluster, self._settings, self._wish, self._limits = cluster, settings, wish, limits
        self._intent, self._clock, self._began = intent, clock, clock.now()
        self._board, self._moves = Board([]), tuple[Move, ...]()
        self._evidence: Evidence | None = None
        self._turn: Turn | None = None
        self._spans = tuple[Span, ...]()
        self._left_behind: set[str] = set()

    def carried_out(self) -> Outcome:
        """Go as far as was asked; back where a guard tripped. Raises what ends it before it is known where it goes."""
        if self._wish.compromised:
            compromise.note(self._cluster, self._settings, self._leaving())
        try:
            with probed(self._cluster, self._settings, self._wish, self._clock, self._follow) as self._evidence:
                turn, error = self._travelled()
            error = error or self._drained()  # the last look is one at the pods that replace the old ones
        except MeshpkiError as ended:
            if self._turn is None:
                raise
            output.failure(ended)
            turn, error = self._turn, ended
        except (KeyboardInterrupt, SystemExit):
            self._keep_evidence()
            raise
        return self._outcome(turn, self._last_look(), error)

    def _leaving(self) -> int:
        here = self._intent.standing
        return here.turn.leaving.number if here else self._intent.pin.generation

    def _drained(self) -> MeshpkiError | None:
        """Close what was accepted under a compromised root; its pods are replaced, so that no probe counts it."""
        if not self._wish.compromised:
            return None
        try:
            left = compromise.owed(self._cluster, self._settings)
            if left is not None:
                self._follow((compromise.drain(self._settings, left, self._clock),))
        except MeshpkiError as failed:
            output.failure(failed)
            return failed
        return None

    def _keep_evidence(self) -> None:
        """Tell, and write, what a run had counted that is interrupted once its way was known.

        Nothing is asked of the cluster after Ctrl-C; what hinders the page is told besides.
        """
        if self._turn is None:
            return
        outcome = self._outcome(self._turn, LastLook(), StepError("MPK-447", "the run was interrupted"))
        output.progress(output.plain(f"requests: {outcome.proof.sentence}"))
        if self._wish.report:
            keep_page(outcome, self._wish.report)

    def _last_look(self) -> LastLook:
        """What was counted is worth more than what cannot be seen any more: why not is told, and raised no more."""
        seen = LastLook()
        try:
            seen = LastLook(len(journey.required_pin(self._cluster).roots) == 1)
            if self._wish.compromised:
                seen = replace(seen, beyond_reach=compromise.beyond_reach(self._cluster))
            clock = partial(datetime.now, UTC)
            asked = Requirements(authorities=True)
            report = verify(self._cluster, self._settings, clock(), requirements=asked, now=clock)
            return replace(seen, report=report)
        except MeshpkiError as silent:
            output.failure(silent)
            return seen

    def _travelled(self) -> tuple[Turn, MeshpkiError | None]:
        try:
            return (self._back() if self._wish.back else self._forth()), None
        except MeshpkiError as error:
            # whatever ended it: where requests failed meanwhile, the way that they came from is the safe one
            lost = self._evidence and self._evidence.guard(self._cluster)
            if self._wish.pressing or not lost:
                raise
            return self._turned_round(error), error

    def _forth(self) -> Turn:
        if self._intent.standing is None:
            self._follow((journey.first_step(self._cluster, self._settings, self._clock),))
        else:
            journey.turn_forth(self._cluster, self._intent.standing)
        turn = journey.required_turn(self._cluster, self._settings)
        return turn if self._wish.until == goals.NEW_ROOT else self._gone(turn)

    def _back(self) -> Turn:
        here = journey.standing(self._cluster, self._settings)
        turn = journey.turn_back(self._cluster, here) if here else journey.required_turn(self._cluster, self._settings)
        return self._gone(turn)

    def _turned_round(self, error: MeshpkiError) -> Turn:
        """Requests failed: back to the root that everybody still accepts, unless there is only the way on."""
        try:
            here = journey.standing(self._cluster, self._settings)
        except MeshpkiError as silent:
            output.failure(silent)
            raise error from silent
        if here is None or here.past_return or here.only_forth:
            raise error
        output.failure(error)
        output.progress(f"going back to {output.plain(str(here.turn.leaving))}")
        self._wish = replace(self._wish, back=True, until="")
        self._spans = _spans(self._board)  # the way back goes through stages of the same names
        return self._back()

    def _gone(self, turn: Turn) -> Turn:
        self._turn, witness = turn, Witness(turn)
        # on the way back nothing is to stop: what failed has failed; nor where it is urgent, or the only way
        watched = self._evidence if not self._wish.pressing else None
        rotation = Rotation(
            self._settings,
            turn,
            self._clock,
            soak=self._wish.soak,
            excepted=self._wish.excepted,
            guards=(watched.guard,) if watched else (),
            witness=witness,
            before_taint=(watched.doubts,) if watched else (),
            impatience=_IMPATIENCE if self._wish.urgent else None,
            left_behind=self._left_behind,
            ends=None if self._wish.pressing else self._intent.ends,
        )
        try:
            self._follow(journey.remaining(self._cluster, rotation, self._wish.until))
        finally:
            self._moves = witness.moves()
        return turn

    def _follow(self, steps: Sequence[Step], at_most: timedelta | None = None) -> Board:
        self._board.add([(step.name, step.summary) for step in steps])
        limits = replace(self._limits, gate=min(self._limits.gate, at_most or self._limits.gate))
        followed(self._board, run(Plan(tuple(steps)), self._cluster, self._clock, limits), self._clock)
        return self._board

    def _outcome(self, turn: Turn, seen: LastLook, error: MeshpkiError | None) -> Outcome:
        counted, last = self._evidence, self._board.lines.get(goals.FORGET)
        through = last is not None and last.state is State.DONE
        proof = Proof(
            turn=turn,
            began=self._began,
            ended=self._clock.now(),
            spans=tuple(dict.fromkeys((*self._spans, *_spans(self._board)))),
            moves=self._moves,
            tally=counted.tally if counted else None,
            control=counted.control if counted else "",
            changes=counted.changes if counted else None,
            finished=through if seen.alone is None else seen.alone,
        )
        return Outcome(self._intent, self._board, proof, seen.report, error, self._closing(proof, seen.beyond_reach))

    def _closing(self, proof: Proof, beyond_reach: tuple[str, ...]) -> Closing | None:
        if not self._wish.compromised:
            return None
        took = {one.stage: round((one.ended - proof.began).total_seconds(), 1) for one in proof.spans if one.done}
        left = tuple(sorted(self._left_behind))
        return Closing(took.get(goals.FORGET), took.get(compromise.DRAIN), left, beyond_reach)


def _spans(board: Board) -> tuple[Span, ...]:
    return tuple(
        Span(line.name, line.started, line.started + timedelta(seconds=line.seconds), line.state is State.DONE)
        for line in board.lines.values()
        if line.started
    )
