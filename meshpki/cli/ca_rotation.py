"""A rotation from the open cluster to its last word: look, refuse or say what is to be done, ask, run, show."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from meshpki.cli import istiod_ca_forms, output, spire_ca_forms
from meshpki.cli.board import Board
from meshpki.cli.consent import consent
from meshpki.cli.follow import followed
from meshpki.cli.format import Format
from meshpki.cli.holding import mesh_state, one_run
from meshpki.cli.moments import Moment, Run, moment
from meshpki.cli.session import SystemClock, open_cluster, settings_of
from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.cluster.kubernetes import KubernetesCluster
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
    """What every rotation was asked for: which cluster, and how."""

    context: str = ""
    kubeconfig: Path | None = None
    compromised: bool = False
    dry_run: bool = False
    ask: bool = True
    timeout: timedelta = timedelta(minutes=3)


class Named(Cluster, Protocol):
    """A cluster with the name and the address that people know it by."""

    context: str

    @property
    def host(self) -> str:
        """The URL of its API server."""


class Told(Protocol):
    """What there is to say at the end."""

    def told(self, form: Format) -> str:
        """As text, or as one document."""


def rotate_istiod_ca(
    cluster: Named,
    settings: Settings,
    asked: Asked,
    duration: timedelta | None = None,
    renewal: RenewBefore | None = None,
) -> Told:
    """Rotate istiod's CA; raises the refusal or the error of the step that failed."""
    before, at, clock = mesh_state(cluster), datetime.now(UTC), SystemClock()
    facts = istiod_ca.look(cluster, settings)
    wish = lifetimes(settings.istiod_ca, duration, renewal)
    rotation = istiod_ca.intended(facts, settings, wish, compromised=asked.compromised)
    refuse(refusals(facts, rotation, at))
    intent = istiod_ca_forms.Intent(cluster.context, facts, rotation, at, scaled=renewal is None)
    if asked.dry_run:
        return intent
    announce(cluster, intent.lines(), asked)
    with one_run(cluster, before) as leased:
        events = istiod_ca.rotate(leased, rotation, clock, Limits(asked.timeout), output.failure)
        followed = follow(istiod_ca.plan(rotation), clock, events)
    return istiod_ca_forms.Outcome(intent, followed, istiod_ca.done(cluster, rotation))


def rotate_spire_ca(
    cluster: Named, settings: Settings, asked: Asked, *, restart_agents: bool = False, wait: bool = False
) -> Told:
    """Rotate SPIRE's own CA; raises the refusal or the error of the step that failed."""
    before, clock = mesh_state(cluster), SystemClock()
    facts = spire_ca.look(cluster, settings)
    rotation = spire_ca.intended(
        facts, settings, compromised=asked.compromised, restart_agents=restart_agents, wait=wait
    )
    refuse(spire_ca.refusals(facts, rotation))
    intent = spire_ca_forms.Intent(cluster.context, facts, rotation)
    if asked.dry_run:
        return intent
    announce(cluster, intent.lines(), asked)
    with one_run(cluster, before) as leased:
        events = spire_steps.rotate(leased, rotation, clock, Limits(asked.timeout))
        followed = follow(spire_steps.plan(rotation), clock, events)
    return spire_ca_forms.Outcome(intent, followed, spire_steps.done(cluster, rotation))


def opened(asked: Asked) -> tuple[KubernetesCluster, Settings]:
    """The cluster, and the settings that the last `up` or rotation kept in it; raises PreconditionError (MPK-400)."""
    cluster = open_cluster(asked.context, asked.kubeconfig)
    return cluster, kept(cluster, cluster.context)


def kept(reader: Reader, context: str) -> Settings:
    """The settings that are kept in a cluster; raises PreconditionError (MPK-400) where there are none."""
    if not kept_wish(reader):
        what = "no settings are kept in this cluster: meshpki has installed no mesh on it"
        raise PreconditionError("MPK-400", what, where=context, remedy="meshpki up, or name another --context")
    return settings_of(reader, ())


def refuse(reasons: Sequence[MeshpkiError]) -> None:
    """Tell every reason, the first of them as the error."""
    for reason in reasons[1:]:
        output.failure(reason)
    if reasons:
        raise reasons[0]


def announce(cluster: Named, lines: Sequence[str], asked: Asked) -> None:
    """Say what is to be done and where, and have it confirmed."""
    first = f"context {cluster.context}   server {cluster.version()} at {cluster.host}"
    output.progress(output.plain("\n".join([first, *lines])))
    if asked.ask:
        consent(cluster.context)


def follow(plan: Plan, clock: Clock, events: Generator[Event]) -> Run:
    """Run a rotation as a person or a log follows it."""
    board, began = Board([(step.name, step.summary) for step in plan.steps]), clock.now()
    moments: list[Moment] = []
    followed(board, events, clock, lambda event, now: moments.extend(moment(event, now - began)))
    return Run(board, tuple(moments))
