"""A root rotation from the open cluster to its last word: where it stands, what is to do, the run, the way back."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from meshpki.cli import output
from meshpki.cli.board import Board, State
from meshpki.cli.draining import Drained, drained
from meshpki.cli.follow import following
from meshpki.cli.holding import mesh_state, one_run
from meshpki.cli.root_forms import Intent, Outcome
from meshpki.cli.root_page import write_page
from meshpki.cli.root_wish import Wish, agrees, known
from meshpki.cli.rotating import Asked, announce, opened, refuse
from meshpki.cli.session import SystemClock
from meshpki.cluster.client import Cluster
from meshpki.cluster.kubernetes import KubernetesCluster
from meshpki.cluster.manifest import Query
from meshpki.components import probe, spire_authorities
from meshpki.components.spire import schedulable
from meshpki.components.trust import istiod_certificate
from meshpki.errors import MeshpkiError, PreconditionError, StepError
from meshpki.probing import Probe
from meshpki.rotate import compromise, goals, journey, preflight, retire
from meshpki.rotate.clocks import Deadline, deadlines
from meshpki.rotate.evidence import Evidence
from meshpki.rotate.exposure import Closing, of_root
from meshpki.rotate.facts import Turn
from meshpki.rotate.journey import Standing
from meshpki.rotate.proof import Proof, Span
from meshpki.rotate.rotation import Rotation
from meshpki.rotate.witness import Move, Witness
from meshpki.settings import Settings
from meshpki.verify import Report, verify
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Step
from meshpki.workflow.work import Limits

# The natural clocks have to leave room for a run that is several times as slow as expected.
_ROOM = 3
# How long a root that must go at once stays trusted for the sake of pods that do not follow.
_IMPATIENCE = timedelta(minutes=1)


def rotate_root(asked: Asked, wish: Wish) -> Intent | Outcome | Drained:
    """Rotate the root, or go on, or go back; raises the refusal, or the error of the stage that failed."""
    known(wish)
    cluster, settings = opened(asked)
    before = mesh_state(cluster)
    here = journey.standing(cluster, settings)
    agrees(here, wish)
    open_still = None if here else compromise.owed(cluster, settings)
    if open_still is not None:
        return drained(cluster, settings, asked, open_still)
    wish = replace(wish, compromised=wish.compromised or bool(here and here.compromised))
    wish = _of_an_expired_root(cluster, wish)
    intent = _intent(cluster, settings, here, wish)
    if asked.dry_run:
        return intent
    announce(cluster, intent.lines(), asked)
    with one_run(cluster, before) as leased:
        return _Run(leased, settings, wish, Limits(asked.timeout), intent).carried_out()


def _of_an_expired_root(cluster: KubernetesCluster, wish: Wish) -> Wish:
    """Nothing accepts anything under a root that has ended: what a probe would count has failed already."""
    old = journey.required_pin(cluster).roots[-1]
    if wish.back or old.not_after > datetime.now(UTC):
        return wish
    output.progress(output.plain(f"{old.subject} is expired: no probe, and pods that do not follow are left behind"))
    return replace(wish, expired=True, probe=False)


def _intent(cluster: KubernetesCluster, settings: Settings, here: Standing | None, wish: Wish) -> Intent:
    """What is to be done; raises everything for which beginning it would not be safe."""
    nodes, at = len(cluster.list(Query("v1", "Node"))), datetime.now(UTC)
    first = here.stage.name if here else goals.NEW_ROOT
    planned = journey.estimate(first, nodes, wish.soak)
    if here is None:
        _examine(preflight.look(cluster, settings, at, planned * _ROOM, wish.excepted), settings, wish)
    pin, due = journey.required_pin(cluster), _deadlines(cluster, settings)
    exposed = of_root(at + planned) if wish.compromised else None
    return Intent(cluster.context, pin, here, first, planned, due, wish.back, wish.until, cluster.host, exposed)


def _examine(seen: preflight.Seen, settings: Settings, wish: Wish) -> None:
    found = preflight.examine(seen, settings)
    borne = [one for one in found if wish.urgent and preflight.bearable(one)]
    for one in borne:
        output.progress(output.plain(f"all the same: {one.what} ({one.code})"))
    refuse([one for one in found if one not in borne])


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
        gone = retire.retire(leased, certificate, SystemClock())
    return output.plain("\n".join(f"deleted {ref}" for ref in gone))


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
        self._left_behind: set[str] = set()

    def carried_out(self) -> Outcome:
        """Go as far as was asked; back where a guard tripped. Raises the error of the stage that failed."""
        if self._wish.compromised:
            compromise.note(self._cluster, self._settings, self._leaving())
        try:
            with self._probed():
                turn, error = self._travelled()
        except (MeshpkiError, KeyboardInterrupt, SystemExit) as ended:
            self._keep_evidence(ended)
            raise
        return self._outcome(turn, self._verified(), error or self._drained())

    def _leaving(self) -> int:
        here = self._intent.standing
        return here.turn.leaving.number if here else self._intent.pin.generation

    def _drained(self) -> MeshpkiError | None:
        """Close what was accepted under a compromised root; its pods are replaced, so that no probe counts it."""
        left = compromise.owed(self._cluster, self._settings) if self._wish.compromised else None
        if left is None:
            return None
        try:
            self._follow((compromise.drain(self._settings, left, self._clock),))
        except MeshpkiError as failed:
            output.failure(failed)
            return failed
        return None

    def _keep_evidence(self, ended: BaseException) -> None:
        """Write the page of a run that ended once its way was known; what hinders that is told besides.

        Nothing is asked of the cluster after Ctrl-C, and nothing that it answers is needed.
        """
        if self._wish.report is None or self._turn is None:
            return
        failed = ended if isinstance(ended, MeshpkiError) else StepError("MPK-447", "the run was interrupted")
        try:
            found = self._verified() if failed is ended else None
        except MeshpkiError as silent:
            output.failure(silent)
            found = None
        try:
            write_page(self._outcome(self._turn, found, failed), self._wish.report)
        except MeshpkiError as unwritten:
            output.failure(unwritten)

    def _verified(self) -> Report:
        return verify(self._cluster, self._settings, datetime.now(UTC), authorities=True)

    @contextmanager
    def _probed(self) -> Iterator[None]:
        """While open, requests are sent and counted; the probe is gone again afterwards, however it ends."""
        if not self._wish.probe:
            yield
            return
        nodes = sorted(schedulable(self._cluster.list(Query("v1", "Node"))))
        if not nodes:
            what = "no node takes a pod: all are cordoned, or not ready"
            raise PreconditionError("MPK-450", what, remedy="uncordon one, or go without: --no-probe")
        probe.make_way(self._cluster, self._clock, self._settings, len(nodes))
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
                except (KeyboardInterrupt, SystemExit):
                    self._evidence.cut_off()
                    raise
                self._evidence.conclude()
        except BaseException:
            probe.discard(self._cluster)  # its end is not waited for: the error is worth more
            raise
        probe.remove(self._cluster, self._clock)

    def _travelled(self) -> tuple[Turn, MeshpkiError | None]:
        try:
            return (self._back() if self._wish.back else self._forth()), None
        except MeshpkiError as error:
            # whatever ended it: where requests failed meanwhile, the way that they came from is the safe one
            lost = self._evidence and self._evidence.guard(self._cluster)
            if self._wish.back or self._wish.urgent or not lost:
                raise
            return self._turned_round(error), error

    def _forth(self) -> Turn:
        if self._intent.standing is None:
            self._follow((journey.first_step(self._cluster, self._settings, self._clock),))
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
        # on the way back nothing is to stop: what failed has failed; nor may anything where it is urgent
        watched = self._evidence if not (self._wish.back or self._wish.urgent) else None
        rotation = Rotation(
            self._settings,
            turn,
            self._clock,
            self._wish.soak,
            self._wish.excepted,
            (watched.guard,) if watched else (),
            witness,
            (watched.doubts,) if watched else (),
            _IMPATIENCE if self._wish.urgent else None,
            self._left_behind,
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

    def _outcome(self, turn: Turn, report: Report | None, error: MeshpkiError | None) -> Outcome:
        finished = report is not None and len(journey.required_pin(self._cluster).roots) == 1
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
        return Outcome(self._intent, self._board, proof, report, error, self._closing(proof))

    def _closing(self, proof: Proof) -> Closing | None:
        if not self._wish.compromised:
            return None
        took = {one.stage: round((one.ended - proof.began).total_seconds(), 1) for one in proof.spans if one.done}
        left = tuple(sorted(self._left_behind)), compromise.beyond_reach(self._cluster)
        return Closing(took.get(goals.FORGET), took.get(compromise.DRAIN), *left)


def _spans(board: Board) -> tuple[Span, ...]:
    return tuple(
        Span(line.name, line.started, line.started + timedelta(seconds=line.seconds), line.state is State.DONE)
        for line in board.lines.values()
        if line.started
    )
