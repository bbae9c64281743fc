"""The steps of SPIRE's rotation: mark, prepare and activate on every server, restart the agents, wait for workloads."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from meshpki.cluster.client import Clock, Cluster, ClusterError, Reader
from meshpki.cluster.manifest import Object, Query, Ref, only
from meshpki.components.rollout import Note, judge_rollout, restart, restarted
from meshpki.components.spire_authorities import (
    Authority,
    activate,
    agent_set,
    prepare,
    server_set,
    servers,
    slots,
    trusted,
)
from meshpki.errors import StepError
from meshpki.rotate import MANAGER, mark
from meshpki.rotate.mark import Mark
from meshpki.rotate.spire_ca import Rotation, mark_key
from meshpki.rotate.svids import Moving, moving
from meshpki.settings.durations import moment
from meshpki.workflow.event import Event
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Gate, Program, Readiness, Ready, Step, Waiting
from meshpki.workflow.work import Limits

STEP = "spire-ca"
RESTARTED = "rotate.meshpki.dev/restarted"
_LOOK = timedelta(seconds=1)
_TRIES, _AGAIN = 6, 3.0


@dataclass(frozen=True)
class Done:
    """What came of it: the active CA of each spire-server, and where the workloads stand."""

    rotation: Rotation
    active: dict[str, Authority]
    moving: Moving


def plan(rotation: Rotation) -> Plan:
    """The steps: the start marked, a new CA on every server, and the workloads on it."""
    ref = server_set(rotation.settings)
    begin = Step(
        name="start", summary="where it begins", programs=tuple(_mark(ref, *one) for one in rotation.start.items())
    )
    change = Step(
        name=STEP,
        summary=f"a new CA on {len(rotation.start)} spire-server",
        needs=("start",),
        programs=(
            Program(
                "prepare and activate",
                lambda reader: not _waiting(reader, rotation),
                partial(_change, rotation=rotation),
            ),
        ),
        gates=(
            Gate(
                name="activated",
                proves="every spire-server signs with another CA than before, under the pinned root",
                check=lambda reader: judge_activated(reader, rotation),
                hint=f"look at `kubectl -n {ref.namespace} logs spire-server-0`",
                code="MPK-423",
                every=_LOOK,
            ),
            Gate(
                name="bundle",
                proves="the trust bundle of every spire-server is what it was: the pinned root alone",
                check=lambda reader: judge_bundles(reader, rotation),
                hint="look at `spire-server bundle show`",
                code="MPK-423",
                every=_LOOK,
            ),
        ),
    )
    agents = agent_set(rotation.settings)
    restarts = (_restart("servers", ref, STEP, rotation), _restart("agents", agents, "servers", rotation))
    return Plan((begin, change, *(restarts if rotation.restart_agents else ()), _svids(rotation)))


def rotate(cluster: Cluster, rotation: Rotation, clock: Clock, limits: Limits) -> Generator[Event]:
    """Run the rotation; events and errors as `workflow.run.run`."""
    yield from run(plan(rotation), cluster, clock, limits)
    for server in rotation.start:
        mark.clear(cluster, server_set(rotation.settings), mark_key(server))


def done(reader: Reader, rotation: Rotation) -> Done:
    """What there is to show after the run."""
    active = dict(_active(reader, rotation))
    return Done(
        rotation, active, moving(reader, rotation.settings, frozenset(one.authority_id for one in active.values()))
    )


def judge_activated(reader: Reader, rotation: Rotation) -> Readiness:
    """Open when no server signs with the CA it began with, and all sign under the pinned root."""
    active = dict(_active(reader, rotation))
    for server, start in rotation.start.items():
        one = active.get(server)
        if one is None or one.authority_id == start.name:
            return Waiting(f"{server} still signs with {start.name}" if one else f"{server} is not there")
        if one.upstream != rotation.pin.signer.ski:
            return Waiting(f"{server} signs under the root {one.upstream}, expected {rotation.pin.signer.ski}")
    return Ready("; ".join(f"{name}: {one.authority_id}, until {moment(one.expires)}" for name, one in active.items()))


def judge_bundles(reader: Reader, rotation: Rotation) -> Readiness:
    """Open while each server's bundle is exactly the pinned root, with no taint."""
    for pod in servers(reader, rotation.settings):
        name, bundle = pod["metadata"]["name"], trusted(reader, pod)
        if {one.root.sha256 for one in bundle} != rotation.pin.fingerprints or any(one.tainted for one in bundle):
            roots = ", ".join(one.root.sha256[:16] + (" tainted" if one.tainted else "") for one in bundle)
            return Waiting(f"the bundle of {name} holds {roots}")
    return Ready("the pinned root alone, as before")


def judge_moved(reader: Reader, rotation: Rotation) -> Readiness:
    """Open when every X.509-SVID is from a CA of now; where nobody waits, whatever is seen is told."""
    seen = moving(reader, rotation.settings, frozenset(one.authority_id for _, one in _active(reader, rotation)))
    if not (seen.staying or seen.silent):
        return Ready(str(seen))
    if rotation.wait:
        return Waiting(str(seen))
    rest = f"; the others by themselves until {moment(seen.until)}" if seen.until else ""
    return Ready(f"{seen}{rest}")


def _active(reader: Reader, rotation: Rotation) -> Iterator[tuple[str, Authority]]:
    for pod in servers(reader, rotation.settings):
        active = slots(reader, pod).active
        if active:
            yield pod["metadata"]["name"], active


def _mark(ref: Ref, server: str, start: Mark) -> Program:
    key = mark_key(server)

    def settled(reader: Reader) -> bool:
        live = reader.get(ref)
        return live is not None and mark.read(live, key) == start

    def write(cluster: Cluster, _stop: threading.Event) -> None:
        mark.write(cluster, ref, start, key)

    return Program(f"mark {server}", settled, write, resumes=True)


def _waiting(reader: Reader, rotation: Rotation) -> list[Object]:
    """The servers that still sign with the CA they began with, in their order."""
    active = {name: one.authority_id for name, one in _active(reader, rotation)}
    begun = {name for name, start in rotation.start.items() if active.get(name) == start.name}
    return [pod for pod in servers(reader, rotation.settings) if pod["metadata"]["name"] in begun]


def _change(cluster: Cluster, stop: threading.Event, rotation: Rotation) -> None:
    """Prepare and activate, one server after the other; never activate what lies under another root."""
    for pod in _waiting(cluster, rotation):
        if stop.is_set():
            return
        made, name = _prepared(cluster, pod, stop), pod["metadata"]["name"]
        if made.upstream != rotation.pin.signer.ski:
            what = f"{name} prepared a CA under the root {made.upstream}, which is not the pinned one"
            remedy = "nothing signs with it yet; find out who changed the root, or: meshpki rotate root"
            raise StepError("MPK-422", what, remedy=remedy)
        activate(cluster, pod, made.authority_id)


def _prepared(cluster: Cluster, pod: Object, stop: threading.Event) -> Authority:
    """Minting goes through cert-manager and its webhook: what may succeed a moment later is tried again."""
    for _ in range(_TRIES - 1):
        try:
            return prepare(cluster, pod)
        except ClusterError as error:
            if not error.transient or stop.wait(_AGAIN):
                raise
    return prepare(cluster, pod)


def _restart(name: str, workload: Ref, needs: str, rotation: Rotation) -> Step:
    note = Note(RESTARTED, "-".join(sorted(start.name[:12] for start in rotation.start.values())))

    def settled(reader: Reader) -> bool:
        return restarted(reader, workload, note)

    def act(cluster: Cluster, _stop: threading.Event) -> None:
        restart(cluster, workload, note, MANAGER)

    return Step(
        name=name,
        summary=f"{workload.name} restarted, one at a time",
        needs=(needs,),
        programs=(Program(f"restart {workload.name}", settled, act),),
        gates=(
            Gate(
                name="restarted",
                proves=f"every {workload.name} runs again",
                check=lambda reader: judge_rollout(reader, workload),
                hint=f"look at `kubectl -n {workload.namespace} logs {workload.kind.lower()}/{workload.name}`",
                code="MPK-424",
                watches=(only(workload),),
                every=_LOOK,
            ),
        ),
    )


def _svids(rotation: Rotation) -> Step:
    return Step(
        name="svids",
        summary="every certificate from the new CA",
        needs=("agents" if rotation.restart_agents else STEP,),
        gates=(
            Gate(
                name="moved",
                proves="every X.509-SVID, of workloads and of spire-server, is signed by the new CA",
                check=lambda reader: judge_moved(reader, rotation),
                hint="agents renew at half of an SVID's life: wait, or --restart-agents",
                code="MPK-424",
                watches=(Query("v1", "Pod"),),
                every=timedelta(seconds=2),
            ),
        ),
    )
