"""`up` from the open cluster to its last word: check, plan, ask, run, verify."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from meshpki import artifacts, install_rights, preflight
from meshpki.cli import output, verdicts
from meshpki.cli.board import Board
from meshpki.cli.consent import consent
from meshpki.cli.counting import counting
from meshpki.cli.follow import followed
from meshpki.cli.holding import MeshState, mesh_state, one_run
from meshpki.cli.session import SystemClock, open_cluster, settings_of
from meshpki.cluster.client import Cluster, NoAccessError, Reader
from meshpki.cluster.kubernetes import KubernetesCluster
from meshpki.errors import OK, MeshpkiError
from meshpki.install import EVERY, Target, generation, install, steps, wish_manifest
from meshpki.planning import Action, ObjectPlan, glance
from meshpki.settings import Settings, read
from meshpki.settings.model import API_VERSION
from meshpki.verify import Report, verify
from meshpki.workflow.event import Outcome
from meshpki.workflow.plan import Plan, Selection, check_names, narrowed
from meshpki.workflow.work import Limits

_WOULD_BE = {Action.CREATE: Outcome.CREATED, Action.CHANGE: Outcome.CONFIGURED}


@dataclass(frozen=True)
class Wanted:
    """What one `up` was asked for: which cluster, which settings, which steps, and how."""

    context: str
    kubeconfig: Path | None
    overlay: tuple[Path, ...] = ()
    lab: bool = False
    files: tuple[Path, ...] = ()
    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=Limits)
    artifact_dir: Path | None = None
    ignore: tuple[str, ...] = ()
    force_conflicts: bool = False
    ask: bool = True
    dry_run: bool = False


@dataclass(frozen=True)
class Result:
    """What `up` did, step by step, and what verify says of it, or the error that it ended with.

    `preview` instead where it was a dry run.
    """

    board: Board
    report: Report | None
    preview: tuple[ObjectPlan, ...] = ()
    programs: tuple[str, ...] = ()
    lab: bool = False
    context: str = ""
    error: MeshpkiError | None = None

    @property
    def exit_code(self) -> int:
        """0, or what verify says; a dry run is always 0."""
        return self.report.exit_code(strict=False) if self.report else OK

    def as_text(self) -> str:
        """The table of identities and the next commands; of a dry run, an object a line."""
        if self.report is None:
            lines = [f"{_WOULD_BE[one.action]:<10} {output.plain(str(one.ref))}" for one in self.preview]
            return "\n".join([*lines, *(f"run        {name}" for name in self.programs)]) or "no change"
        return f"{verdicts.table(self.report, output.width())}\n\n{_next_commands(self)}"

    def as_json(self) -> str:
        """The whole result as one document."""
        changes = [{"change": str(_WOULD_BE[one.action]), "object": str(one.ref)} for one in self.preview]
        changes += [{"change": "run", "object": name} for name in self.programs]
        verified = json.loads(verdicts.as_json(self.report)) if self.report else None
        kind = {"apiVersion": API_VERSION, "kind": "UpReport"}
        content = {**kind, "steps": self.board.rows(), "changes": changes, "verify": verified, "error": self._error()}
        return json.dumps(content, indent=2)

    def _error(self) -> dict[str, str] | None:
        """What it ended with, and the step that failed of it; none did where the whole took too long."""
        if self.error is None:
            return None
        step = next((name for name, line in self.board.lines.items() if line.error is self.error), "")
        return {"code": self.error.code, "step": step, "message": self.error.what}


def bring_up(wanted: Wanted) -> Result:
    """Do it; an error before the first step is raised, and one after that is told in the result."""
    cluster, before, settings, plan = opened(wanted)
    board = Board([(step.name, step.summary) for step in plan.steps])
    # Its dry runs also find what the API server would refuse, before anything is written.
    planned = glance(plan, wish_manifest(settings), cluster)
    output.progress(output.plain(f"{headline(cluster)}   plan: {planned.summary()}"))
    if wanted.dry_run:
        changes = tuple(one for one in planned.objects if one.action is not Action.SAME)
        return Result(board, None, changes, tuple(one.name for one in planned.programs))
    if wanted.ask and planned.pending:
        consent(cluster.context)
    report, ended = None, None
    try:
        # Where nothing is to do nothing is written, the Lease included; if something comes up, it is taken first.
        with one_run(cluster, before, at_once=planned.pending) as leased:
            _follow(plan, settings, leased, wanted.limits, board)
        clock = SystemClock()
        if _meshed(plan):
            with counting() as progress:
                report = verify(cluster, settings, clock.now(), progress=progress, now=clock.now)
    except MeshpkiError as error:
        ended = error
    return Result(board, report, lab=wanted.lab, context=wanted.context, error=ended)


def opened(wanted: Wanted) -> tuple[KubernetesCluster, MeshState, Settings, Plan]:
    """The cluster, the settings that hold for it and the steps to take, all checked; nothing is written."""
    cluster, before, settings, plan = prepared(wanted)
    output.told(f"looking at {cluster.context}: rights, versions, what is there, and what would change ...")
    _check(cluster, settings, plan, wanted)
    return cluster, before, settings, plan


def prepared(wanted: Wanted) -> tuple[KubernetesCluster, MeshState, Settings, Plan]:
    """The same, before the cluster was checked; the settings and the release files were."""
    given, cluster = _named(wanted)
    before = mesh_state(cluster)
    settings = given or settings_of(cluster, (), wanted.overlay)
    return cluster, before, settings, _planned(wanted, settings, cluster, generation(cluster, settings))


def looked_over(wanted: Wanted) -> preflight.Outcome:
    """Every check of the preflight by itself, whatever the user may not read of the mesh, or where nobody answers."""
    given, cluster = _named(wanted)
    try:
        output.progress(output.plain(headline(cluster)))
    except NoAccessError as error:
        return preflight.unanswered(error)
    settings = given or settings_of(cluster, (), wanted.overlay)
    plan = _planned(wanted, settings, cluster, _generation_if_seen(cluster, settings))
    return examined(cluster, settings, plan, wanted.ignore)


def _named(wanted: Wanted) -> tuple[Settings | None, KubernetesCluster]:
    """The settings of the files, if any, and the cluster; what is wrong with the words alone is told before both."""
    refuse_unknown(wanted.selection, wanted.ignore)
    given = read([*wanted.overlay, *wanted.files]) if wanted.files else None  # wrong files need no cluster to be told
    return given, open_cluster(wanted.context, wanted.kubeconfig, force_conflicts=wanted.force_conflicts)


def _planned(wanted: Wanted, settings: Settings, cluster: KubernetesCluster, number: int) -> Plan:
    releases = artifacts.obtain(settings, wanted.artifact_dir, told=output.told)
    target = Target(wanted.kubeconfig, cluster.handed_on)
    return narrowed(steps(settings, releases, target, number), wanted.selection)


def _generation_if_seen(cluster: Reader, settings: Settings) -> int:
    """The first where the pin may not be read, which is a missing right; whoever writes has to know it."""
    try:
        return generation(cluster, settings)
    except NoAccessError:
        return 1


def refuse_unknown(selection: Selection, ignore: Sequence[str]) -> None:
    """Raise UsageError for a step (MPK-205) or a check (MPK-116) that there never is: that takes no cluster to know."""
    check_names(selection, [row.name for row in EVERY])
    preflight.known(ignore)


def examined(cluster: Reader, settings: Settings, plan: Plan, ignore: Sequence[str]) -> preflight.Outcome:
    """Every check of the preflight, for what this plan applies."""
    programs = [program for step in plan.steps for program in step.programs]
    lacking = install_rights.lacking(cluster, settings, plan.steps)
    seen = preflight.look(cluster, settings, datetime.now(UTC), programs, lacking)
    return preflight.examine(seen, settings, ignore)


def _check(cluster: Reader, settings: Settings, plan: Plan, wanted: Wanted) -> None:
    outcome = examined(cluster, settings, plan, wanted.ignore)
    for found in outcome.ignored:
        risk = "" if found.check.can_wait else " (ignored although going on may break what is there)"
        output.progress(f"warning {found.error.code} {found.check.name}: {output.plain(found.error.what)}{risk}")
    if outcome.unseen:
        output.progress(f"warning: not looked at, for want of a right: {', '.join(one.name for one in outcome.unseen)}")
    if outcome.refused:
        for found in outcome.refused[1:]:
            output.failure(found.error)
        raise preflight.PreflightError(outcome.refused)


def headline(cluster: KubernetesCluster) -> str:
    """Which cluster it is."""
    return f"context {cluster.context}   server {cluster.version()} at {cluster.host}"


def _follow(plan: Plan, settings: Settings, cluster: Cluster, limits: Limits, board: Board) -> None:
    clock = SystemClock()
    followed(board, install(plan, settings, cluster, clock, limits), clock)
    counts = ", ".join(f"{board.counts[outcome]} {outcome}" for outcome in Outcome)
    output.progress(f"objects: {counts}\nseconds: {board.seconds()}")


def _meshed(plan: Plan) -> bool:
    return any(step.name in ("istio", "workloads") for step in plan.steps)


def _next_commands(result: Result) -> str:
    where = f" --context {result.context}" if result.context and not result.lab else ""
    first = ["  export KUBECONFIG=$(meshpki lab kubeconfig)"] if result.lab else []
    looks = [f"  meshpki {look}{where}" for look in ("verify -o wide", "status", "graph")]
    again = f"  meshpki up{' --lab' if result.lab else where}      (changes nothing now)"
    last = ["  meshpki lab status", "  meshpki lab down"] if result.lab else []
    return "\n".join(["next:", *first, *looks, again, *last])
