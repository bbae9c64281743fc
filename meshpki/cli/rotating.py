"""A rotation from the open cluster to its last word: look, refuse or say what is to be done, ask, run, show."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from meshpki.cli import output, rotate_forms, rotate_spire_forms
from meshpki.cli.board import Board
from meshpki.cli.consent import consent
from meshpki.cli.follow import following
from meshpki.cli.format import Format
from meshpki.cli.moments import Moment, Run, moment
from meshpki.cli.session import SystemClock, open_cluster, settings_of
from meshpki.cluster.client import Clock, Cluster
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.install import kept_wish
from meshpki.rotate import istiod_ca, spire_ca, spire_steps
from meshpki.rotate.lifetime import RenewBefore, lifetimes
from meshpki.rotate.refusals import refusals
from meshpki.settings import Settings
from meshpki.workflow.event import Event
from meshpki.workflow.plan import Plan
from meshpki.workflow.work import Limits


@dataclass(frozen=True)
class Asked:
    """How a rotation is to be done: whether a key is known to somebody else, and what is asked and waited for."""

    compromised: bool = False
    dry_run: bool = False
    ask: bool = True
    timeout: timedelta = timedelta(minutes=3)


@dataclass(frozen=True)
class Place:
    """Where: the cluster with the name and address that people know it by, and the settings that are kept in it."""

    cluster: Cluster
    context: str
    host: str
    settings: Settings


class Told(Protocol):
    """What there is to say at the end."""

    def told(self, form: Format) -> str:
        """As text, or as one document."""


def opened(context: str, kubeconfig: Path | None) -> Place:
    """The cluster, and the settings that the last `up` or rotation kept in it; raises PreconditionError (MPK-400)."""
    cluster = open_cluster(context, kubeconfig)
    return place(cluster, cluster.context, cluster.host)


def place(cluster: Cluster, context: str, host: str) -> Place:
    """The same of a cluster that is open."""
    if not kept_wish(cluster):
        what = "no settings are kept in this cluster: meshpki has installed no mesh on it"
        raise PreconditionError("MPK-400", what, where=context, remedy="meshpki up, or name another --context")
    return Place(cluster, context, host, settings_of(cluster, ()))


def rotate_istiod_ca(
    where: Place, asked: Asked, duration: timedelta | None = None, renewal: RenewBefore | None = None
) -> Told:
    """Rotate istiod's CA; raises the refusal or the error of the step that failed."""
    cluster, settings, at, clock = where.cluster, where.settings, datetime.now(UTC), SystemClock()
    facts = istiod_ca.look(cluster, settings)
    wish = lifetimes(settings.istiod_ca, duration, renewal)
    todo = istiod_ca.rotation(facts, settings, wish, compromised=asked.compromised)
    _refuse(refusals(facts, todo, at))
    intent = rotate_forms.Intent(where.context, facts, todo, at, scaled=renewal is None)
    if asked.dry_run:
        return intent
    _announce(where, intent.lines(), asked)
    events = istiod_ca.rotate(cluster, todo, clock, Limits(asked.timeout))
    followed = _follow(istiod_ca.plan(todo), clock, events)
    return rotate_forms.Outcome(intent, followed, istiod_ca.done(cluster, todo))


def rotate_spire_ca(where: Place, asked: Asked, *, restart_agents: bool = False, wait: bool = False) -> Told:
    """Rotate SPIRE's own CA; raises the refusal or the error of the step that failed."""
    cluster, settings, clock = where.cluster, where.settings, SystemClock()
    facts = spire_ca.look(cluster, settings)
    _refuse(spire_ca.refusals(facts))
    todo = spire_ca.rotation(facts, settings, compromised=asked.compromised, restart_agents=restart_agents, wait=wait)
    intent = rotate_spire_forms.Intent(where.context, facts, todo)
    if asked.dry_run:
        return intent
    _announce(where, intent.lines(), asked)
    followed = _follow(spire_steps.plan(todo), clock, spire_steps.rotate(cluster, todo, clock, Limits(asked.timeout)))
    return rotate_spire_forms.Outcome(intent, followed, spire_steps.done(cluster, todo))


def _refuse(reasons: Sequence[MeshpkiError]) -> None:
    """Tell every reason, the first of them as the error."""
    for reason in reasons[1:]:
        output.failure(reason)
    if reasons:
        raise reasons[0]


def _announce(where: Place, lines: Sequence[str], asked: Asked) -> None:
    """Say what is to be done and where, and have it confirmed."""
    first = f"context {where.context}   server {where.cluster.version()} at {where.host}"
    output.progress(output.plain("\n".join([first, *lines])))
    if asked.ask:
        consent(where.context)


def _follow(plan: Plan, clock: Clock, events: Generator[Event]) -> Run:
    """Run a rotation as a person or a log follows it."""
    board, began = Board([(step.name, step.summary) for step in plan.steps]), clock.now()
    moments: list[Moment] = []
    with following(board) as follower, closing(events):
        for event in events:
            now = clock.now()
            follower.show(event, board.note(event, now))
            moments.extend(moment(event, now - began))
    return Run(board, tuple(moments))
