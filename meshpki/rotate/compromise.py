"""A root whose key somebody else knows: remembered on its Certificate, and what stays open when it is trusted nowhere.

A new secret closes no connection (envoyproxy/envoy#28386), so that whoever was let in under the old root stays in until
the pod at the other end is replaced.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.probe_flow import NAMESPACE as PROBE
from meshpki.components.rollout import Note, deployment, judge_rollout, restart, restarted
from meshpki.components.spire_authorities import server_set
from meshpki.components.trust import root_certificate, root_name
from meshpki.errors import StepError
from meshpki.rotate import MANAGER
from meshpki.rotate.acts import RETIRED
from meshpki.rotate.generations import listed, numbered
from meshpki.rotate.patience import Patience
from meshpki.settings import Settings
from meshpki.verify.pods import Workload, mesh_pods
from meshpki.workflow.step import Gate, Program, Readiness, Ready, Step, Waiting

DRAIN = "drain"
COMPROMISED = "meshpki.dev/compromised"
DRAINED = "rotate.meshpki.dev/drained"
# On the Certificate: connections may be open that were accepted under it; and none is.
_OPEN, _CLOSED = "true", "drained"
_AT_ONCE = 8
_WAVE_WITHIN = timedelta(minutes=2)
_LOOK = timedelta(seconds=1)
_RESTARTABLE = ("Deployment", "StatefulSet", "DaemonSet")


def note(cluster: Cluster, settings: Settings, generation: int) -> None:
    """Remember that the key of a generation is known to somebody else, whoever goes on with its rotation."""
    _label(cluster, root_certificate(settings, generation), _OPEN)


def noted(certificates: Iterable[Object]) -> frozenset[int]:
    """The generations whose key is known to somebody else."""
    return frozenset(number for number, one in numbered(certificates) if COMPROMISED in _labels(one))


def owed(reader: Reader, settings: Settings) -> int | None:
    """The compromised generation that the mesh has left, but for the connections it accepted; None where there is none.

    The last one, where a run was killed each time.
    """
    found = (
        number
        for number, one in numbered(listed(reader, settings))
        if RETIRED in _labels(one) and _labels(one).get(COMPROMISED) == _OPEN
    )
    return max(found, default=None)


def drain(settings: Settings, generation: int, clock: Clock) -> Step:
    """Replace every pod that may hold a connection from before: istiod, spire-server, then all with a proxy, in waves.

    Each workload is restarted by a note on its template, once for this generation, and goes its own rolling way.
    """
    note = _note(generation)

    def settled(reader: Reader) -> bool:
        return all(restarted(reader, ref, note) for ref in workloads(reader, settings))

    def replace(cluster: Cluster, stop: threading.Event) -> None:
        for wave in _waves(workloads(cluster, settings), len(_control_plane(settings))):
            _restart(cluster, wave, note, Patience(clock, stop))

    def close(cluster: Cluster, _stop: threading.Event) -> None:
        _label(cluster, root_certificate(settings, generation), _CLOSED)

    return Step(
        name=DRAIN,
        summary=f"every pod is replaced that may hold a connection accepted under {note.value}",
        programs=(
            Program("restart", settled, replace),
            Program("close", lambda reader: owed(reader, settings) is None, close, after="replaced"),
        ),
        gates=(
            Gate(
                name="replaced",
                proves=f"no pod of the mesh is older than the end of {note.value}",
                check=lambda reader: _judge(reader, settings, note),
                hint="look at the workloads that do not roll out, then run it again",
                code="MPK-445",
                watches=(Query("v1", "Pod"),),
                every=_LOOK,
            ),
        ),
    )


def remaining(reader: Reader, settings: Settings, generation: int) -> tuple[str, ...]:
    """Which workloads are still to be replaced, and why those that were are not there yet."""
    return _remaining(reader, settings, _note(generation))


def workloads(reader: Reader, settings: Settings) -> tuple[Ref, ...]:
    """What is restarted, in this order: istiod, spire-server, and every workload whose pods have a proxy."""
    owners = {(one.namespace, one.kind, one.name) for one in _owners(reader) if one.kind in _RESTARTABLE}
    proxied = (Ref("apps/v1", kind, namespace, name) for namespace, kind, name in sorted(owners))
    return (*_control_plane(settings), *proxied)


def _note(generation: int) -> Note:
    return Note(DRAINED, root_name(generation))


def _waves(refs: Sequence[Ref], alone: int) -> Iterator[Sequence[Ref]]:
    """The first ones alone, then some at a time."""
    yield from ((one,) for one in refs[:alone])
    yield from (refs[begin : begin + _AT_ONCE] for begin in range(alone, len(refs), _AT_ONCE))


def beyond_reach(reader: Reader) -> tuple[str, ...]:
    """The workloads of the mesh that nobody but their owner can replace: bare pods, jobs, kinds of somebody else's."""
    return tuple(
        sorted({f"{one.namespace}/{one.kind}/{one.name}" for one in _owners(reader) if one.kind not in _RESTARTABLE})
    )


def _owners(reader: Reader) -> Iterator[Workload]:
    pods = mesh_pods(reader.list(Query("v1", "Pod")))
    return (pod.workload for pod in pods if pod.has_proxy and pod.ref.namespace != PROBE)


def _control_plane(settings: Settings) -> tuple[Ref, ...]:
    return deployment(settings.namespaces.istio, "istiod"), server_set(settings)


def _restart(cluster: Cluster, wave: Sequence[Ref], note: Note, patience: Patience) -> None:
    """One that hangs does not hold up the next wave: the gate tells of it."""
    for ref in wave:
        if not (patience.stopped or restarted(cluster, ref, note)):
            restart(cluster, ref, note, MANAGER)
    with contextlib.suppress(StepError):
        patience.until(lambda: not any(_late(cluster, ref, note) for ref in wave), _WAVE_WITHIN, "a workload", _LOOK)


def _judge(reader: Reader, settings: Settings, note: Note) -> Readiness:
    late = _remaining(reader, settings, note)
    if late:
        return Waiting(f"{len(late)} left: {'; '.join(late)}")
    left = ", ".join(beyond_reach(reader))
    return Ready("every workload is replaced" + (f"; left to their owners: {left}" if left else ""))


def _remaining(reader: Reader, settings: Settings, note: Note) -> tuple[str, ...]:
    return tuple(filter(None, (_late(reader, ref, note) for ref in workloads(reader, settings))))


def _late(reader: Reader, ref: Ref, note: Note) -> str:
    if not restarted(reader, ref, note):
        return f"{ref} runs pods from before"
    match judge_rollout(reader, ref):
        case Ready():
            return ""
        case found:
            return found.why


def _label(cluster: Cluster, certificate: Ref, value: str) -> None:
    live = cluster.metadata(certificate)
    if live is not None and _labels(live).get(COMPROMISED) != value:
        cluster.merge(certificate, {"metadata": {"labels": {COMPROMISED: value}}}, MANAGER)


def _labels(one: Object) -> dict[str, str]:
    return one["metadata"].get("labels") or {}
