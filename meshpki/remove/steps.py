"""The removal as steps of the engine: what goes is deleted in waves, and a gate opens when all of it is gone."""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import groupby

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import Clock, Cluster, ClusterError, Deletion, Reader
from meshpki.cluster.manifest import Object, Query, Ref, ref_of
from meshpki.components.serving import pod_ref
from meshpki.install import APPROVAL, EVERY
from meshpki.remove.removal import ROTATION, SETTINGS, Part, Removal, rank
from meshpki.remove.seen import NAMESPACE
from meshpki.remove.stuck import heal, stuck_now
from meshpki.remove.whose import mounts
from meshpki.workflow.plan import Plan
from meshpki.workflow.step import Gate, Program, Readiness, Ready, Step, Waiting

_IN_FLIGHT = 16
_LOOK = timedelta(seconds=0.5)
_HEAL_EVERY = timedelta(seconds=5)
_SHOWN = 3
_RUNS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
_SUMMARIES = {ROTATION: "what a rotation left behind", SETTINGS: "the kept settings"}
# Besides the reverse of what they need: the gateway's pods have volumes of SPIRE's CSI driver, too, and the root needs
# approval only where there are policies.
_ALSO = {"spire": ("istio",), APPROVAL.name: ("root-ca",)}


@dataclass
class Log:
    """What was done on the way that the user should know of; safe to add to from many threads."""

    forced: list[Ref] = field(default_factory=list)


def removal_plan(removal: Removal, owners: Mapping[str, Object], clock: Clock, log: Log) -> Plan:
    """A step for each part; a part goes once those that stand on it are gone."""
    there = [part.step for part in removal.parts]
    spaces = frozenset(ref.name for part in removal.parts for ref in part.refs if ref.kind == NAMESPACE)
    sweep = _Sweep(owners, spaces, clock, log)
    return Plan(tuple(_step(part, _needs(part.step, there), removal, sweep) for part in removal.parts))


def _needs(step: str, there: Sequence[str]) -> tuple[str, ...]:
    """The steps to be gone before: those that need this one, directly or over others that are not there."""
    if step == SETTINGS:
        return tuple(one for one in there if one != step)
    above = {row.name for row in EVERY if step in {need.partition("/")[0] for need in row.needs}}
    above |= {*_ALSO.get(step, ()), ROTATION} - {step}
    needed = {*above} if step != ROTATION else set[str]()
    for missing in above - {*there}:
        needed |= {*_needs(missing, there)} if missing != ROTATION else set()
    return tuple(one for one in there if one in needed)


@dataclass(frozen=True)
class _Sweep:
    """What the deletion of every part needs besides its objects."""

    owners: Mapping[str, Object]
    namespaces: frozenset[str]
    clock: Clock
    log: Log

    def heal(self, cluster: Cluster) -> None:
        """Take pods of ours that hang without their CSI driver out of the API."""
        at = cluster.date() or self.clock.now()
        self.log.forced.extend(heal(cluster, self.owners, self.namespaces, at))

    def heal_until_free(self, cluster: Cluster, stop: threading.Event) -> None:
        """The same again and again, until no pod has a volume of that driver any more."""
        while not stop.is_set():
            with _patience():
                if not _users(cluster):
                    return
                self.heal(cluster)
            self.clock.wait(stop, _HEAL_EVERY)


def _step(part: Part, needs: tuple[str, ...], removal: Removal, sweep: _Sweep) -> Step:
    given_back = removal.released if part is removal.parts[-1] else ()
    gone = _Gone(part.objects)
    spire = part.step == "spire"

    def delete(cluster: Cluster, stop: threading.Event) -> None:
        for _, wave in groupby(sorted(part.objects, key=_order), key=_order):
            _delete_wave(cluster, [ref_of(one) for one in wave], gone, sweep, stop)
        for ref in () if stop.is_set() else given_back:
            # applying nothing gives up the fields that were ours: labels and annotations
            cluster.apply({"apiVersion": ref.api_version, "kind": ref.kind, "metadata": {"name": ref.name}})

    programs = [Program("delete", _never_settled, delete, after="users" if spire else "")]
    if spire:
        programs.append(Program("heal", _never_settled, sweep.heal_until_free))
    return Step(
        name=part.step,
        summary=f"{_SUMMARIES.get(part.step, 'remove')}: {len(part.objects)} objects",
        needs=needs,
        programs=tuple(programs),
        gates=(*((_no_users(),) if spire else ()), _gate(gone)),
    )


def _never_settled(_reader: Reader) -> bool:
    """Each looks for itself, patiently; where nothing is left to do it ends at once."""
    return False


def _order(one: Object) -> int:
    return rank(ref_of(one))


class _Gone:
    """Which of some objects are still there, by uid: one that came back under its name is another."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._uids = {ref_of(one): str(one["metadata"].get("uid", "")) for one in objects}
        self._gone: set[Ref] = set()

    def left(self, reader: Reader, among: Iterable[Ref] | None = None) -> list[Object]:
        """Headers of those left, in the order given; what was gone once is not asked for again."""
        refs = [ref for ref in (self._uids if among is None else among) if ref not in self._gone]
        if not refs:
            return []
        with abreast(min(_IN_FLIGHT, len(refs)), "gone") as pool:
            found = dict(zip(refs, pool.map(reader.metadata, refs), strict=True))
        there = {ref: one for ref, one in found.items() if one and one["metadata"].get("uid") == self._uids[ref]}
        self._gone |= {*refs} - {*there}
        # what comes back calls itself PartialObjectMetadata
        return [{**one, "apiVersion": ref.api_version, "kind": ref.kind} for ref, one in there.items()]


def _delete_wave(cluster: Cluster, refs: Sequence[Ref], gone: _Gone, sweep: _Sweep, stop: threading.Event) -> None:
    """Delete a wave and wait until it is gone; a server that does not answer for a moment is asked again."""
    healed = sweep.clock.now()
    while not stop.is_set():
        asked = 0
        with _patience():
            remaining = gone.left(cluster, refs)
            if not remaining:
                return
            with abreast(_IN_FLIGHT, "delete") as pool:
                asked = sum(pool.map(lambda one: _delete(cluster, one, stop), remaining))
            if sweep.clock.now() - healed >= _HEAL_EVERY:
                sweep.heal(cluster)
                healed = sweep.clock.now()
        if not asked:
            sweep.clock.wait(stop, _LOOK)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """What may succeed a moment later is tried again by the loop around; the gate's time is what ends it."""
    try:
        yield
    except ClusterError as error:
        if not error.transient:
            raise


def _delete(cluster: Cluster, one: Object, stop: threading.Event) -> bool:
    """Ask once, and whether that was done; an object that is on its way out is only waited for."""
    if "deletionTimestamp" in one["metadata"] or stop.is_set():
        return False
    ref = ref_of(one)
    how = Deletion(uid=one["metadata"].get("uid", ""), foreground=ref.kind in _RUNS)
    try:
        return cluster.delete(ref, how)
    except ClusterError as error:
        if not (error.transient or error.status == HTTPStatus.CONFLICT):
            raise
        return False


def _gate(gone: _Gone) -> Gate:
    def check(reader: Reader) -> Readiness:
        left = gone.left(reader)
        if not left:
            return Ready("gone")
        more = f" (and {len(left) - _SHOWN} more)" if len(left) > _SHOWN else ""
        return Waiting("; ".join(f"{ref_of(one)}: {_why(reader, one)}" for one in left[:_SHOWN]) + more)

    return Gate(
        name="gone",
        proves="all of it is gone",
        check=check,
        hint="look at its finalizers: whoever set one has to end its work, or be asked why it does not",
        code="MPK-234",
        every=timedelta(seconds=1),
    )


def _why(reader: Reader, one: Object) -> str:
    """What holds an object: its finalizers, for a namespace what the API server says is left in it."""
    ref, metadata = ref_of(one), one["metadata"]
    if "deletionTimestamp" not in metadata:
        return "to be deleted"
    if ref.kind == NAMESPACE:
        with contextlib.suppress(ClusterError):
            return _in_namespace(reader, ref)
    if ref.kind in _RUNS:
        return "its pods end"
    return f"finalizers {', '.join(metadata.get('finalizers') or ['none'])}"


def _in_namespace(reader: Reader, ref: Ref) -> str:
    conditions = (reader.get(ref) or {}).get("status", {}).get("conditions") or []
    said = [str(one.get("message", "")) for one in conditions if one.get("status") == "True"]
    stuck = (pod_ref(pod) for pod in stuck_now(reader, reader.date() or datetime.now(UTC)))
    mine = [str(pod) for pod in stuck if pod.namespace == ref.name]
    hung = f"; {', '.join(mine)} hangs: no CSI driver runs on its node" if mine else ""
    return f"{' '.join(said) or 'being emptied'}{hung}"


def _users(reader: Reader) -> list[str]:
    """The pods that have a volume of SPIFFE's CSI driver."""
    return [str(pod_ref(pod)) for pod in reader.scan(Query("v1", "Pod")) if mounts(pod)]


def _no_users() -> Gate:
    """The driver has to unmount their volumes, so it goes after the last of them."""

    def check(reader: Reader) -> Readiness:
        users = _users(reader)
        if not users:
            return Ready("no pod has a volume of the CSI driver any more")
        return Waiting(f"{len(users)} pods still have a volume of the CSI driver: {', '.join(users[:_SHOWN])}")

    return Gate(
        name="users",
        proves="no pod has a volume of SPIFFE's CSI driver any more",
        check=check,
        hint="look why these pods do not end: kubectl describe pod",
        code="MPK-235",
        watches=(Query("v1", "Pod"),),
        every=timedelta(seconds=1),
    )
