"""What a root rotation will do and has done, as text and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from meshpki.cli import output
from meshpki.cli.board import Board
from meshpki.cli.format import Format
from meshpki.cli.root_json import KIND, closing, evidence, serial
from meshpki.cli.verdicts.words import aligned
from meshpki.components.trust import Pin, root_name
from meshpki.errors import FAILED, OK, MeshpkiError
from meshpki.rotate import goals
from meshpki.rotate.clocks import Deadline
from meshpki.rotate.exposure import Closing, Exposure
from meshpki.rotate.facts import Turn
from meshpki.rotate.goals import STAGES, Stage
from meshpki.rotate.journey import Standing
from meshpki.rotate.proof import Proof
from meshpki.rotate.witness import Move
from meshpki.settings.durations import moment
from meshpki.verify import Report


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What is to be done, as it is shown before anybody is asked; alone it is a dry run.

    `ahead` is how many targets each stage has before the first one; `probe` is what is made to send requests meanwhile.
    """

    context: str
    pin: Pin
    standing: Standing | None
    first: str
    planned: timedelta
    deadlines: tuple[Deadline, ...] = ()
    back: bool = False
    until: str = ""
    server: str = ""
    exposed: Exposure | None = None
    ahead: Mapping[str, int] = field(default_factory=dict)
    probe: str = ""
    stages: tuple[Stage, ...] = STAGES
    ends: datetime | None = None

    def lines(self) -> list[str]:
        """From where to where, each stage with what is left of it, and what happens by itself meanwhile."""
        ends = self.until or goals.NAMES[-1]
        said = [*self._way(), *self._stages(), f"  to {ends}, in about {self.planned.total_seconds():.0f} s"]
        exposed = self.exposed.lines() if self.exposed else ()
        probe = (f"  beside it a probe, which is deleted at the end: {self.probe}",) if self.probe else ()
        return [*said, *probe, *(f"  {one}" for one in self.deadlines[:2]), *exposed]

    def _way(self) -> list[str]:
        if self.standing is None:
            root = self.pin.root
            return [
                f"from  {root.subject}  sha256 {root.sha256}  until {moment(root.not_after)}",
                f"to    generation {self.pin.generation + 1} or higher, with a key and a name of its own",
            ]
        turn = self.standing.turn if self.back == self.standing.backward else self.standing.turn.back
        word = "back to" if self.back else "to"
        return [
            f"from  {turn.leaving.root.subject}  sha256 {turn.leaving.root.sha256}",
            f"{word:<5} {turn.entering.root.subject}  sha256 {turn.entering.root.sha256}",
            f"a rotation is under way: it stands at {self.standing.stage.name}",
        ]

    def _stages(self) -> list[str]:
        rows = [("  STAGE", "LEFT", "GOAL", "WAY BACK")]
        if self.standing is None:
            rows.append(
                (f"  {goals.NEW_ROOT}", "1", "another root is issued and pinned beside", "it is pinned no more")
            )
        rows += [self._row(stage) for stage in self.stages]
        return [*aligned(rows)]

    def _row(self, stage: Stage) -> tuple[str, str, str, str]:
        if self.standing is None:
            words = {"leaving": "the old root", "entering": "the new root"}
            left = str(self.ahead.get(stage.name, "-"))
            return f"  {stage.name}", left, stage.goal.format(**words), stage.way_back.format(**words)
        turn = self.standing.turn if self.back == self.standing.backward else self.standing.turn.back
        left = str(len(stage.left(self.standing.facts, turn)))
        return f"  {stage.name}", left, stage.says(stage.goal, turn), stage.says(stage.way_back, turn)

    exit_code = OK

    def told(self, form: Format) -> str:
        """See Told."""
        if form is Format.TEXT:
            return output.plain("\n".join([*self.lines(), output.DRY_RUN]))
        stages = [self._row(stage) for stage in self.stages]
        rows = [
            {"name": name.strip(), "left": left, "goal": goal, "wayBack": back} for name, left, goal, back in stages
        ]
        return json.dumps(
            {**KIND, "context": self.context, "dryRun": True, "first": self.first, "stages": rows}, indent=2
        )


@dataclass(frozen=True)
class Outcome:
    """What was done: the stages of this run, who moved, the proof, and what verify says of the mesh now."""

    intent: Intent
    board: Board
    proof: Proof
    report: Report | None
    error: MeshpkiError | None = None
    closing: Closing | None = None

    @property
    def exit_code(self) -> int:
        """What the error says that ended the run, 1 where it went back or lost a request, else what verify says."""
        if self.error is not None and not self._went_back:
            return self.error.exit_code
        if self.error is not None or self.report is None or self.proof.verdict == "failed":
            return FAILED
        return self.report.exit_code(strict=False)

    def told(self, form: Format) -> str:
        """See Told."""
        return json.dumps(self.document(), indent=2) if form is Format.JSON else output.plain("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        turn, proof = self.proof.turn, self.proof
        rows = [("POD", "BEFORE", "AFTER", "SEEN AT"), *map(_moved, proof.moves)]
        return [
            f"from  {turn.leaving.root.subject}  sha256 {turn.leaving.root.sha256}",
            f"to    {turn.entering.root.subject}  sha256 {turn.entering.root.sha256}",
            *aligned(rows),
            f"seconds: {self.board.seconds()}",
            f"requests: {proof.sentence}",
            *self._covered(),
            self._judged(),
            *(self.closing.lines() if self.closing else ()),
            *self._next(),
        ]

    def _covered(self) -> list[str]:
        """What of the rotation the verdict is of: what an earlier run counted went with it."""
        here = self.intent.standing
        return [f"the verdict is of this run alone, which went on at {here.stage.name}"] if here else []

    def _judged(self) -> str:
        if self.report is None:
            return "the mesh could not be looked at in the end: meshpki verify --authorities"
        counts = self.report.counts
        proven = f"{counts['proven']} of {len(self.report.pods)} pods proven"
        return f"{proven}, {counts['broken']} broken, {counts['unknown']} unknown"

    @property
    def _went_back(self) -> bool:
        return not self.intent.back and _backward(self.proof.turn)

    @property
    def _ways(self) -> tuple[str, ...]:
        """Which ways are left to a rotation that is not finished."""
        if _backward(self.proof.turn):
            return (" --abort",)
        here, begun = self.intent.standing, {span.stage for span in self.proof.spans}
        of_an_ended_root = self.intent.stages == goals.FROM_AN_ENDED_ROOT
        past_return = (here and here.past_return) or begun & {goals.TAINT, goals.FORGET}
        forward = self.closing or of_an_ended_root or past_return
        return ("",) if forward else ("", " --abort")

    def _next(self) -> list[str]:
        where = f" --context {self.intent.context}"
        if not self.proof.finished:
            return ["next:", *(f"  meshpki rotate root{way}{where}" for way in self._ways)]
        old = root_name(self.proof.turn.leaving.number)
        return [
            "next:",
            f"  meshpki verify --authorities{where}",
            f"  meshpki rotate root --retire {old}{where}      (destroys its key; it is kept until then)",
        ]

    def document(self) -> dict[str, object]:
        """Everything, versioned; times in RFC 3339 UTC. Schema: schemas/rotate-root-report.json in the package."""
        seen = self.report
        counts = {"proven": seen and seen.counts["proven"], "broken": seen and seen.results["broken"]}
        error = str(self.error) if self.error else None
        head = {**KIND, "context": self.intent.context, "dryRun": False}
        said = {**head, **evidence(self.proof), "steps": self.board.rows(), **counts, "error": error}
        return {**said, "compromise": closing(self.closing)}


def _backward(turn: Turn) -> bool:
    return turn.entering.number < turn.leaving.number


def _moved(move: Move) -> tuple[str, str, str, str]:
    at = f"{move.at:%H:%M:%S}" if move.at else "at the first look" if move.after else "-"
    return move.pod, serial(move.before) or "-", serial(move.after) or "-", at
