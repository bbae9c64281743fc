"""`down` from the open cluster to its last word: look, decide, refuse or ask, delete, look again."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from meshpki.cli import output
from meshpki.cli.board import Board
from meshpki.cli.ca_rotation import Named, refuse
from meshpki.cli.consent import consent, consent_by_name
from meshpki.cli.down_forms import Outcome, intent
from meshpki.cli.follow import followed
from meshpki.cli.holding import mesh_state, one_run
from meshpki.cli.session import SystemClock, open_cluster, settings_of
from meshpki.cluster.client import Cluster
from meshpki.components.trust import pinned
from meshpki.errors import PreconditionError, StepError
from meshpki.install import kept_wish
from meshpki.remove.refusals import named, refusals
from meshpki.remove.removal import Removal, decide, intruders
from meshpki.remove.seen import Seen, left, look
from meshpki.remove.steps import Log, removal_plan
from meshpki.settings import Settings, read
from meshpki.words import first_of
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.work import Limits

_SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """What one `down` was asked for: which cluster, whether the root goes too and under which name, and how."""

    context: str = ""
    kubeconfig: Path | None = None
    purge: bool = False
    root: str = ""
    files: tuple[Path, ...] = ()
    dry_run: bool = False
    ask: bool = True
    timeout: timedelta = timedelta(minutes=5)


def remove(asked: Asked) -> Outcome:
    """Remove the mesh; raises the refusal, or the error of the step that failed."""
    meant = read(asked.files) if asked.files else None  # wrong files are told before a cluster is asked
    cluster = open_cluster(asked.context, asked.kubeconfig)
    if meant:
        _is_meant(cluster, meant)
    return remove_from(cluster, asked)


def _is_meant(cluster: Named, meant: Settings) -> None:
    """Whether pin and kept settings are those of the mesh that is meant; raises PreconditionError (MPK-240)."""
    pin, wanted_root = pinned(cluster), meant.root.fingerprint
    if pin and wanted_root and wanted_root not in pin.fingerprints:
        what = f"another mesh runs here: its root is {pin.root.sha256}, the settings given say {wanted_root}"
        raise PreconditionError("MPK-240", what, where=cluster.context, remedy="name another --context, or no -f")
    if not kept_wish(cluster):
        return
    kept = settings_of(cluster, ())
    for name in ("trust_domain", "cluster_name", "namespaces"):
        wanted, found = getattr(meant, name), getattr(kept, name)
        if wanted != found:
            what = f"another mesh runs here: its {name} is {found}, the settings given say {wanted}"
            raise PreconditionError("MPK-240", what, where=cluster.context, remedy="name another --context, or no -f")


def remove_from(cluster: Named, asked: Asked) -> Outcome:
    """The same of an open cluster."""
    before, seen = mesh_state(cluster), look(cluster)
    removal, log = decide(seen, purge=asked.purge), Log()
    plan = removal_plan(removal, seen.owners, SystemClock(), log)
    board = Board([(step.name, step.summary) for step in plan.steps])
    _warn(seen)
    forbidden = refusals(seen, purge=asked.purge)
    if asked.dry_run:
        for reason in forbidden:
            output.failure(reason)
        return Outcome(cluster.context, removal, board, dry_run=True, refusals=forbidden)
    refuse(forbidden)
    if not removal.nothing:
        _confirmed(cluster, removal, asked)
        with one_run(cluster, before) as leased:
            _follow(plan, leased, Limits(asked.timeout), board)
            _nothing_came(leased, removal)
    return Outcome(cluster.context, removal, board, tuple(log.forced))


def _warn(seen: Seen) -> None:
    others = intruders(seen)
    if others:
        said = f"nobody will act upon these objects of others any more: {first_of(others, _SHOWN)}"
        output.progress(output.plain(f"warning: {said}"))
    for name in seen.volumes:
        said = f"PersistentVolume {name} outlives its claim (it is to be retained): SPIRE's keys stay on it"
        output.progress(output.plain(f"warning: {said}"))
    for one in seen.unseen:
        output.progress(output.plain(f"warning: not looked at: {one}"))


def _confirmed(cluster: Named, removal: Removal, asked: Asked) -> None:
    first = f"context {cluster.context}   server {cluster.version()} at {cluster.host}"
    output.progress(output.plain("\n".join([first, *intent(removal, purge=asked.purge)])))
    typed = ""
    if asked.purge and removal.root:
        typed = consent_by_name(cluster.context, removal.root) if asked.ask and not asked.root else ""
        named(removal, typed or asked.root)
    if asked.ask and not typed:
        consent(cluster.context)


def _follow(plan: Plan, cluster: Cluster, limits: Limits, board: Board) -> None:
    clock = SystemClock()
    followed(board, run(plan, cluster, clock, limits), clock)
    output.progress(f"seconds: {board.seconds()}")


def _nothing_came(cluster: Cluster, removal: Removal) -> None:
    """Whether nothing that bears our labels is there but what was to stay; raises StepError (MPK-238)."""
    stays = {one.ref for one in removal.kept}
    there = [str(ref) for ref in left(cluster) if ref not in stays]
    if there:
        what = f"{len(there)} objects of ours are there again: {', '.join(there[:_SHOWN])}"
        raise StepError("MPK-238", what, remedy="stop whoever makes them, then run the same command again")
