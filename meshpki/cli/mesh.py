"""`up` from the open cluster to its last word: check, plan, ask, run, verify."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meshpki import artifacts, preflight
from meshpki.cli import output, verdicts
from meshpki.cli.board import Board
from meshpki.cli.consent import consent
from meshpki.cli.follow import following
from meshpki.cli.holding import MeshState, mesh_state, one_run
from meshpki.cli.session import SystemClock, open_cluster, settings_of
from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.kubernetes import KubernetesCluster
from meshpki.cluster.manifest import Object, Ref, owned, ref_of
from meshpki.errors import OK
from meshpki.install import Target, generation, install, steps, wish_manifest
from meshpki.settings import Settings, read
from meshpki.verify import Report, verify
from meshpki.workflow.apply import wanted as outcome_of
from meshpki.workflow.event import Outcome
from meshpki.workflow.plan import Plan, Selection, narrowed
from meshpki.workflow.work import Limits

_LOOKS_IN_FLIGHT = 32
_TO_DO = {Outcome.CREATED: "to create", Outcome.CONFIGURED: "to change", Outcome.UNCHANGED: "as they are"}


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

    def with_options(self, **options: Any) -> "Wanted":
        """The same cluster with the command line's options."""
        return replace(self, **options)


@dataclass(frozen=True)
class Result:
    """What `up` did, step by step, and what verify says of it; `preview` instead where it was a dry run."""

    board: Board
    report: Report | None
    preview: tuple[tuple[Outcome, Ref], ...] = ()
    programs: tuple[str, ...] = ()
    lab: bool = False
    context: str = ""

    @property
    def exit_code(self) -> int:
        """0, or what verify says; a dry run is always 0."""
        return self.report.exit_code(strict=False) if self.report else OK

    def as_text(self) -> str:
        """The table of identities and the next commands; of a dry run, an object a line."""
        if self.report is None:
            lines = [f"{outcome:<10} {output.plain(str(ref))}" for outcome, ref in self.preview]
            return "\n".join([*lines, *(f"run        {name}" for name in self.programs)]) or "no change"
        return f"{verdicts.table(self.report, output.width())}\n\n{_next_commands(self)}"

    def as_json(self) -> str:
        """The whole result as one document."""
        changes = [{"change": str(outcome), "object": str(ref)} for outcome, ref in self.preview]
        changes += [{"change": "run", "object": name} for name in self.programs]
        verified = json.loads(verdicts.as_json(self.report)) if self.report else None
        kind = {"apiVersion": "meshpki.dev/v1alpha1", "kind": "UpReport"}
        return json.dumps({**kind, "steps": self.board.rows(), "changes": changes, "verify": verified}, indent=2)


def bring_up(wanted: Wanted) -> Result:
    """Do it; raises the error of the first step that failed, PreconditionError before any write."""
    cluster, before, settings, plan = _opened(wanted)
    board = Board([(step.name, step.summary) for step in plan.steps])
    # Its dry runs also find what the API server would refuse, before anything is written.
    looked = preview(plan, settings, cluster)
    programs = tuple(one.name for step in plan.steps for one in step.programs if not one.settled(cluster))
    _announce(cluster, looked, programs)
    changes = tuple(change for change in looked if change[0] is not Outcome.UNCHANGED)
    if wanted.dry_run:
        return Result(board, None, changes, programs)
    if wanted.ask and (programs or changes):
        consent(cluster.context)
    # Where nothing is to do nothing is written, the Lease included; if something comes up, it is taken first.
    with one_run(cluster, before, at_once=bool(programs or changes)) as leased:
        _follow(plan, settings, leased, wanted.limits, board)
    report = verify(cluster, settings, datetime.now(UTC)) if _meshed(plan) else None
    return Result(board, report, lab=wanted.lab, context=wanted.context)


def _opened(wanted: Wanted) -> tuple[KubernetesCluster, MeshState, Settings, Plan]:
    """The cluster, the settings that hold for it and the steps to take, all checked; nothing is written."""
    given = read([*wanted.overlay, *wanted.files]) if wanted.files else None  # wrong files need no cluster to be told
    cluster = open_cluster(wanted.context, wanted.kubeconfig, force_conflicts=wanted.force_conflicts)
    before = mesh_state(cluster)
    settings = given or settings_of(cluster, (), wanted.overlay)
    releases = artifacts.obtain(settings, wanted.artifact_dir)
    _check(cluster, settings, wanted)
    target = Target(wanted.kubeconfig, cluster.context)
    known = steps(settings, releases, target, generation(cluster))
    return cluster, before, settings, narrowed(known, wanted.selection)


def preview(plan: Plan, settings: Settings, reader: Reader) -> tuple[tuple[Outcome, Ref], ...]:
    """What applying would do to each object; one whose kind or namespace is still to come reads as created."""
    manifests = [owned(wish_manifest(settings), "settings")]
    manifests += [owned(manifest, step.name) for step in plan.steps for manifest in step.objects]

    def judged(manifest: Object) -> tuple[Outcome, Ref]:
        ref = ref_of(manifest)
        return outcome_of(reader, manifest, reader.get(ref)), ref

    with ThreadPoolExecutor(_LOOKS_IN_FLIGHT) as pool:
        return tuple(pool.map(judged, manifests))


def _check(cluster: Reader, settings: Settings, wanted: Wanted) -> None:
    outcome = preflight.examine(preflight.look(cluster, settings), settings, (*settings.ignore, *wanted.ignore))
    for found in outcome.ignored:
        output.progress(f"warning {found.error.code} {found.check.name}: {output.plain(found.error.what)}")
    if outcome.refused:
        for found in outcome.refused[1:]:
            output.failure(found.error)
        raise preflight.PreflightError(outcome.refused)


def _announce(cluster: KubernetesCluster, changes: Iterable[tuple[Outcome, Ref]], programs: Sequence[str]) -> None:
    counts = Counter(outcome for outcome, _ in changes)
    plan = [f"{counts[outcome]} {_TO_DO[outcome]}" for outcome in Outcome if counts[outcome]]
    said = f"context {cluster.context}   server {cluster.version()} at {cluster.host}"
    output.progress(output.plain(f"{said}   plan: {', '.join([*plan, *programs])}"))


def _follow(plan: Plan, settings: Settings, cluster: Cluster, limits: Limits, board: Board) -> None:
    clock = SystemClock()
    with following(board) as follower, closing(install(plan, settings, cluster, clock, limits)) as events:
        for event in events:
            follower.show(event, board.note(event, clock.now()))
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
