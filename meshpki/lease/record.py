"""The Lease as it is written, and what is decided from one that is found: free, held, or left behind."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from meshpki.cluster.manifest import MANAGED_BY, Object, Ref
from meshpki.errors import INTERRUPTED, PreconditionError, StepError
from meshpki.lease.holder import Holder
from meshpki.settings.durations import moment

LEASE = Ref("coordination.k8s.io/v1", "Lease", "kube-system", "meshpki")
DURATION = timedelta(seconds=60)
RENEWED_EVERY = timedelta(seconds=15)
_COMMAND, _PROCESS = "meshpki.dev/command", "meshpki.dev/process"


class LeaseError(PreconditionError):
    """Another run changes the mesh; this one has written nothing."""


class LeaseLostError(StepError):
    """Another run may change the mesh now; this one stopped at a safe point, and goes on when it is run again."""


class HalfDoneError(StepError):
    """The run was stopped in the middle of changes that belong together, and they did not come to their end."""

    exit_code = INTERRUPTED


@dataclass(frozen=True)
class Held:
    """Somebody's Lease, as it was read; times are the API server's (UTC)."""

    holder: Holder
    since: datetime
    stale_at: datetime
    live: Object

    def left_behind(self, at: datetime, *, ended: bool) -> str:
        """Why the holder is taken to be gone: its process ended, or it did not renew in time. Empty where it lives."""
        if ended:
            return "its process has ended"
        return f"it was last renewed before {moment(self.stale_at)}" if at > self.stale_at else ""


def read(live: Object) -> Held:
    """A Lease that was found; what is missing in it reads as long ago, so that it holds nobody up."""
    spec, notes = live.get("spec") or {}, live["metadata"].get("annotations") or {}
    since = _time(spec.get("acquireTime"))
    renewed = _time(spec.get("renewTime"))
    holder = Holder(str(spec.get("holderIdentity") or ""), str(notes.get(_COMMAND, "")), str(notes.get(_PROCESS, "")))
    return Held(holder, since, renewed + timedelta(seconds=int(spec.get("leaseDurationSeconds") or 0)), live)


def written(holder: Holder, at: datetime, *, since: datetime, before: Object | None = None) -> Object:
    """The Lease of a holder at a moment (UTC); in the place of `before`, which it must not have changed meanwhile."""
    old = before or {}
    taken_over = bool(before) and read(old).holder.identity != holder.identity
    transitions = int((old.get("spec") or {}).get("leaseTransitions") or 0) + int(taken_over)
    version = {"resourceVersion": old["metadata"]["resourceVersion"]} if before else {}
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {
            "name": LEASE.name,
            "namespace": LEASE.namespace,
            "labels": MANAGED_BY,
            "annotations": {_COMMAND: holder.command, _PROCESS: holder.process},
            **version,
        },
        "spec": {
            "holderIdentity": holder.identity,
            "leaseDurationSeconds": int(DURATION.total_seconds()),
            "acquireTime": _micro(since),
            "renewTime": _micro(at),
            "leaseTransitions": transitions,
        },
    }


def busy(held: Held, at: datetime) -> LeaseError:
    """The refusal where another run lives: who, with which command, since when, and when it would count as gone."""
    one, left = held.holder, max(0, round((held.stale_at - at).total_seconds()))
    what = f"another run changes this mesh: `{one.command or 'unknown'}` of {one.identity or 'unknown'}"
    times = (
        f"since {moment(held.since)}; unless it renews, it is taken for gone at {moment(held.stale_at)} (in {left} s)"
    )
    remedy = "wait until it has ended, or stop it; then run the same command again"
    return LeaseError("MPK-230", f"{what}, {times}", where=str(LEASE), remedy=remedy)


def lost(why: str) -> LeaseLostError:
    """The refusal where this run may write no more."""
    remedy = "look who holds it: kubectl -n kube-system get lease meshpki -o yaml; then run the same command again"
    return LeaseLostError("MPK-231", f"this run holds the mesh's Lease no more: {why}", where=str(LEASE), remedy=remedy)


def _time(text: object) -> datetime:
    """A MicroTime of the Kubernetes API; the beginning of time where there is none that can be read."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime(1970, 1, 1, tzinfo=UTC)


def _micro(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
