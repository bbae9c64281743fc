"""Gates on workloads: really rolled out, or the newest pod's own reason why not."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref, only
from meshpki.cluster.readiness import living, newest_warning, observed, refused_pods, rolled_out, trouble
from meshpki.workflow.step import Failed, Gate, Readiness, Ready, Waiting

# Admission that only somebody's change turns round; a ServiceAccount that is still to come is waited for.
_FOR_GOOD = ("violates PodSecurity", "exceeded quota", "denied the request")


@dataclass(frozen=True)
class Note:
    """An annotation that tells one restart of a workload from any other."""

    key: str
    value: str


def deployment(namespace: str, name: str) -> Ref:
    """A Deployment by name."""
    return Ref("apps/v1", "Deployment", namespace, name)


def rollout(name: str, workloads: Iterable[Ref], code: str, hint: str) -> Gate:
    """The gate that opens when every workload is rolled out."""
    refs = tuple(workloads)
    return Gate(
        name=name,
        proves=f"{', '.join(map(str, refs))} rolled out",
        check=_all_rolled_out(refs),
        hint=hint,
        code=code,
        watches=tuple(only(ref) for ref in refs),
    )


def _all_rolled_out(refs: tuple[Ref, ...]) -> Callable[[Reader], Readiness]:
    def check(reader: Reader) -> Readiness:
        waits = []
        for ref in refs:
            match judge_rollout(reader, ref):
                case Failed() as failed:
                    return failed
                case Waiting(why):
                    waits.append(why)
                case Ready():
                    pass
        return Waiting("; ".join(waits)) if waits else Ready(f"{len(refs)} rolled out")

    return check


def judge_rollout(reader: Reader, ref: Ref) -> Readiness:
    """Whether one workload is rolled out; if not, what its newest pod or the API server says about it."""
    live = reader.get(ref)
    if live is None:
        return Waiting(f"{ref} is not there yet")
    why = rolled_out(live)
    if not why:
        return Ready()
    refused = refused_pods(live)
    if refused:
        told = f"{ref}: {why}: its pods are refused: {refused}"
        return _failed(live, told) if any(word in refused for word in _FOR_GOOD) else Waiting(told)
    pods = _selected(reader, live)
    reason, final = trouble(pods)
    # one that still leaves will be followed, whatever was refused before it
    if not pods:
        reason = newest_warning(_events(reader, ref))
        final = any(word in reason for word in _FOR_GOOD)
    told = f"{ref}: {why}" + (f": {reason}" if reason else "")
    return _failed(live, told) if final else Waiting(told)


def _failed(workload: Object, told: str) -> Readiness:
    """What its controller has not changed yet may be what the newest generation mends."""
    return Failed(told) if observed(workload) else Waiting(told)


def restart(cluster: Cluster, workload: Ref, note: Note, manager: str) -> None:
    """Have a workload replace its pods in its own rolling way, by a note on its template.

    The note is the `manager`'s own, so that `up` leaves it.
    """
    template = {"metadata": {"annotations": {note.key: note.value}}}
    cluster.merge(workload, {"spec": {"template": template}}, manager)


def restarted(reader: Reader, workload: Ref, note: Note) -> bool:
    """Whether a workload was restarted by this note; one that is not there has no pods from before."""
    live = reader.get(workload)
    template = (live or {}).get("spec", {}).get("template", {})
    return live is None or (template.get("metadata", {}).get("annotations") or {}).get(note.key) == note.value


def pods_of(reader: Reader, workload: Ref) -> list[Object]:
    """The living pods that a workload's selector finds; none where there is no such workload."""
    live = reader.get(workload)
    return [pod for pod in _selected(reader, live) if living(pod)] if live else []


def _selected(reader: Reader, workload: Object) -> list[Object]:
    labels = workload["spec"]["selector"].get("matchLabels", {})
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return reader.list(Query("v1", "Pod", workload["metadata"]["namespace"], labels=selector))


def living_pods(reader: Reader, namespace: str, labels: str) -> list[Object]:
    """The living pods of a namespace that a label selector finds."""
    return [pod for pod in reader.list(Query("v1", "Pod", namespace, labels=labels)) if living(pod)]


def _events(reader: Reader, ref: Ref) -> list[Object]:
    fields = f"involvedObject.kind={ref.kind},involvedObject.name={ref.name}"
    return reader.list(Query("v1", "Event", ref.namespace, fields=fields))
