"""A root rotation from the open cluster to its last word: where it stands, what is to do, the run, the way back."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meshpki.cli import output
from meshpki.cli.board import Board, State
from meshpki.cli.follow import following
from meshpki.cli.holding import mesh_state, one_run
from meshpki.cli.root_forms import Intent, Outcome
from meshpki.cli.root_page import write_page
from meshpki.cli.rotating import Asked, announce, opened, refuse
from meshpki.cli.session import SystemClock
from meshpki.cluster.client import Cluster
from meshpki.cluster.kubernetes import KubernetesCluster
from meshpki.cluster.manifest import Query
from meshpki.components import probe, spire_authorities
from meshpki.components.spire import schedulable
from meshpki.components.trust import istiod_certificate
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.probing import Probe
from meshpki.rotate import goals, journey, preflight, retire
from meshpki.rotate.clocks import Deadline, deadlines
from meshpki.rotate.evidence import Evidence
from meshpki.rotate.facts import Turn
from meshpki.rotate.journey import Standing
from meshpki.rotate.proof import Proof, Span
from meshpki.rotate.root import Rotation
from meshpki.rotate.witness import Move, Witness
from meshpki.settings import Settings
from meshpki.verify import verify
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Step
from meshpki.workflow.work import Limits

# The natural clocks have to leave room for a run that is several times as slow as expected.
_ROOM = 3


@dataclass(frozen=True)
class Wish:
    """What a root rotation was asked for besides the cluster; `until` is the stage to end with, empty for all.

    `report` is the file of the page.
    """

    until: str = ""
    back: bool = False
    soak: timedelta = timedelta(0)
    excepted: frozenset[str] = frozenset()
    probe: bool = True
    target: str = ""
    report: Path | None = None


def rotate_root(asked: Asked, wish: Wish) -> Intent | Outcome:
    """Rotate the root, or go on, or go back; raises the refusal, or the error of the stage that failed."""
    _known(wish)
    cluster, settings = opened(asked)
    before = mesh_state(cluster)
    here = journey.standing(cluster, settings)
    _agrees(here, wish)
    nodes, at = len(cluster.list(Query("v1", "Node"))), datetime.now(UTC)
    first = here.stage.name if here else goals.NEW_ROOT
    planned = journey.estimate(first, nodes, wish.soak)
    if here is None:
        refuse(preflight.examine(preflight.look(cluster, settings, at, planned * _ROOM, wish.excepted), settings))
    pin, due = journey.required_pin(cluster), _deadlines(cluster, settings)
    intent = Intent(cluster.context, pin, here, first, planned, due, wish.back, wish.until, cluster.host)
    if asked.dry_run:
        return intent
    announce(cluster, intent.lines(), asked)
    with one_run(cluster, before) as leased:
        return _Run(leased, settings, wish, Limits(asked.timeout), intent).carried_out()


def _deadlines(cluster: KubernetesCluster, settings: Settings) -> tuple[Deadline, ...]:
    """What happens by itself next, so that it is known before a yes."""
    slots = (spire_authorities.slots(cluster, pod) for pod in spire_authorities.servers(cluster, settings))
    return deadlines(slots, settings.spire.ca_ttl, cluster.get(istiod_certificate(settings)))


def retire_root(asked: Asked, name: str) -> str:
    """Destroy the key of a generation that the mesh has left, after asking; raises PreconditionError (MPK-444)."""
    cluster, settings = opened(asked)
    before = mesh_state(cluster)
    certificate = retire.checked(cluster, settings, journey.required_pin(cluster), name)
    lines = [f"the key of {name} is destroyed: Certificate and Secret {certificate.namespace}/{name}"]
    if asked.dry_run:
        return output.plain("\n".join([*lines, "a dry run: nothing was changed"]))
    announce(cluster, lines, asked)
    with one_run(cluster, before) as leased:
        gone = retire.retire(leased, certificate)
    return output.plain("\n".join(f"deleted {ref}" for ref in gone))


def _known(wish: Wish) -> None:
    stages = goals.NAMES[1:] if wish.back else goals.NAMES
    if wish.until and wish.until not in stages:
        what = f"there is no stage `{wish.until}` on this way"
        raise UsageError("MPK-205", what, remedy=f"the stages are: {', '.join(stages)}")


def _agrees(here: Standing | None, wish: Wish) -> None:
    """Whether what is asked for is the way that is under way."""
    if here is None and wish.back:
        what = "no root rotation is under way: there is nothing to go back from"
        raise PreconditionError("MPK-443", what, remedy="see `meshpki status`")
    if here and here.backward and not wish.back:
        what = f"the way back to {here.turn.entering} was begun"
        raise PreconditionError("MPK-436", what, remedy="finish it first: meshpki rotate root --abort")
    if here and wish.back and not here.backward and here.past_return:
        what = f"SPIRE is to drop {here.turn.leaving} already: nothing may be issued under it any more"
        raise PreconditionError("MPK-436", what, remedy="there is only the way on: meshpki rotate root")


class _Run:
    """One run: its board, and what was seen on the way."""

    def __init__(self, cluster: Cluster, settings: Settings, wish: Wish, limits: Limits, intent: Intent) -> None:
        """Take what was asked for and what is to be done."""
        self._cluster, self._settings, self._wish, self._limits = cluster, settings, wish, limits
        self._intent, self._clock, self._began = intent, SystemClock(), datetime.now(UTC)
        self._board, self._moves = Board([]), tuple[Move, ...]()
        self._evidence: Evidence | None = None
        self._turn: Turn | None = None
        self._spans = tuple[Span, ...]()

    def carried_out(self) -> Outcome:
        """Go as far as was asked; back where a guard tripped. Raises the error of the stage that failed."""
        try:
            with self._probed():
                turn, error = self._travelled()
        except MeshpkiError as failed:
            self._keep_evidence(failed)
            raise
        return self._outcome(turn, error)

    def _keep_evidence(self, failed: MeshpkiError) -> None:
        """Write the page of a run that failed once its way was known; what hinders that is told besides."""
        if self._wish.report is None or self._turn is None:
            return
        try:
            write_page(self._outcome(self._turn, failed), self._wish.report)
        except MeshpkiError as unwritten:
            output.failure(unwritten)

    @contextmanager
    def _probed(self) -> Iterator[None]:
        """While open, requests are sent and counted; the probe is gone again afterwards, however it ends."""
        if not self._wish.probe:
            yield
            return
        nodes = sorted(schedulable(self._cluster.list(Query("v1", "Node"))))
        if "deletionTimestamp" in (self._cluster.get(probe.NAMESPACE_REF) or {"metadata": {}})["metadata"]:
            probe.remove(self._cluster, self._clock)  # an earlier run's, on its way out: nothing may be put into it
        try:
            self._follow((probe.probe(self._settings, nodes, self._wish.target),))
            control = self._board.lines[probe.STEP].said.get("control", "")
            with Probe(self._cluster, self._clock, nodes, self._wish.target) as book:
                self._evidence = Evidence(self._cluster, book, control)
                try:
                    yield
                except MeshpkiError:
                    self._evidence.conclude()
                    raise
                self._evidence.conclude()
        except BaseException:
            self._cluster.delete(probe.NAMESPACE_REF)  # its end is not waited for: the error is worth more
            raise
        probe.remove(self._cluster, self._clock)

    def _travelled(self) -> tuple[Turn, MeshpkiError | None]:
        try:
            return (self._back() if self._wish.back else self._forth()), None
        except MeshpkiError as error:
            # whatever ended it: where requests failed meanwhile, the way that they came from is the safe one
            if self._wish.back or not (self._evidence and self._evidence.guard(self._cluster)):
                raise
            return self._turned_round(error), error

    def _forth(self) -> Turn:
        if self._intent.standing is None:
            self._follow((journey.first_step(self._cluster, self._settings),))
        turn = journey.required_turn(self._cluster, self._settings)
        return turn if self._wish.until == goals.NEW_ROOT else self._gone(turn)

    def _back(self) -> Turn:
        here = journey.standing(self._cluster, self._settings)
        turn = journey.turn_back(self._cluster, here) if here else journey.required_turn(self._cluster, self._settings)
        return self._gone(turn)

    def _turned_round(self, error: MeshpkiError) -> Turn:
        """Requests failed: back to the root that everybody still accepts, unless there is only the way on."""
        output.failure(error)
        here = journey.standing(self._cluster, self._settings)
        if here is None or here.past_return:
            raise error
        output.progress(f"going back to {output.plain(str(here.turn.leaving))}")
        self._wish = replace(self._wish, back=True, until="")
        self._spans = _spans(self._board)  # the way back goes through stages of the same names
        return self._back()

    def _gone(self, turn: Turn) -> Turn:
        self._turn, witness = turn, Witness(turn)
        # on the way back nothing is to stop: what failed has failed
        watched = self._evidence if not self._wish.back else None
        rotation = Rotation(
            self._settings,
            turn,
            self._clock,
            self._wish.soak,
            self._wish.excepted,
            (watched.guard,) if watched else (),
            witness,
            (watched.doubts,) if watched else (),
        )
        try:
            self._follow(journey.remaining(self._cluster, rotation, self._wish.until))
        finally:
            self._moves = witness.moves()
        return turn

    def _follow(self, steps: Sequence[Step]) -> None:
        self._board.add([(step.name, step.summary) for step in steps])
        events = run(Plan(tuple(steps)), self._cluster, self._clock, self._limits)
        with following(self._board) as follower, closing(events) as told:
            for event in told:
                follower.show(event, self._board.note(event, self._clock.now()))

    def _outcome(self, turn: Turn, error: MeshpkiError | None) -> Outcome:
        finished = len(journey.required_pin(self._cluster).roots) == 1
        seen = self._evidence
        proof = Proof(
            turn,
            self._began,
            datetime.now(UTC),
            tuple(dict.fromkeys((*self._spans, *_spans(self._board)))),
            self._moves,
            seen.tally if seen else None,
            seen.control if seen else "",
            seen.changes if seen else None,
            finished,
        )
        report = verify(self._cluster, self._settings, datetime.now(UTC), authorities=True)
        return Outcome(self._intent, self._board, proof, report, error)


def _spans(board: Board) -> tuple[Span, ...]:
    return tuple(
        Span(line.name, line.started, line.started + timedelta(seconds=line.seconds), line.state is State.DONE)
        for line in board.lines.values()
        if line.started
    )
