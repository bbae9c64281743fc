"""When an object does what it is there for, judged from its status alone; one pure rule a kind."""

import re
from collections.abc import Iterable, Sequence

from meshpki.cluster.manifest import Object, ref_of

# The kubelet's waiting reasons that no amount of waiting ends; at all others it tries again, and may succeed.
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
# Of a pull only what the registry says of the image is final, in the words of containerd, CRI-O and the registries;
# a back-off repeats them (kubelet pkg/kubelet/images/image_manager.go at 1.35). A registry that is down or throttles,
# and a name that does not resolve, may pass.
_PULLS = ("ErrImagePull", "ImagePullBackOff")
_NO_IMAGE = re.compile(
    r": not found|(manifest|name) unknown|unauthorized|authorization failed|denied|403 forbidden|invalid reference",
    re.IGNORECASE,
)
# The labels by which a controller tells the pods of one template from those of another.
_TEMPLATES = ("pod-template-hash", "controller-revision-hash")
# The kubelet waits longer before each restart, from 10 s on: so many take about a minute (on the lab an `up` of a pod
# that crashes at once ended within 70 s). What only began too early, as a proxy before the agent, runs by then.
_CRASHES = 4


def rolled_out(workload: Object) -> str:
    """Why a Deployment, StatefulSet or DaemonSet is not fully rolled out; empty where it is.

    Counts what kubectl rollout status counts (kubectl pkg/polymorphichelpers/rollout_status.go), and that a
    StatefulSet's pods are ready, which istioctl leaves out; one that wants no pods does no work.
    """
    spec, status = workload.get("spec", {}), workload.get("status", {})
    if not observed(workload):
        return "its controller has not seen the newest generation"
    if workload["kind"] == "DaemonSet":
        wanted, none = int(status.get("desiredNumberScheduled", 0)), "no node takes its pods"
        counts = ("updatedNumberScheduled", "numberReady", "numberAvailable")
    else:
        wanted, none = int(spec.get("replicas", 1)), "it is scaled to no pods"
        counts = ("updatedReplicas", "readyReplicas", "availableReplicas")
    if wanted == 0:
        return none
    fewest = min(int(status.get(count, 0)) for count in counts)
    surplus = status.get("replicas", 0) - wanted if "replicas" in status else 0
    if fewest < wanted:
        return f"{fewest}/{wanted} ready"
    return f"{surplus} old pods are still there" if surplus > 0 else ""


def observed(workload: Object) -> bool:
    """Whether its controller has seen the newest generation; until then its pods are those of an older one."""
    seen = int(workload.get("status", {}).get("observedGeneration", 0))
    return seen >= int(workload["metadata"].get("generation", 1))


def condition(manifest: Object, kind: str) -> Object | None:
    """One status condition by its type."""
    conditions = manifest.get("status", {}).get("conditions") or []  # a new CRD's are null
    return next((item for item in conditions if item.get("type") == kind), None)


def holds(manifest: Object, kind: str) -> bool:
    """Whether a condition is True, and was set for the newest generation where it says for which."""
    found = condition(manifest, kind)
    if found is None or found.get("status") != "True":
        return False
    generation = int(manifest["metadata"].get("generation", 0))
    return int(found.get("observedGeneration", generation)) >= generation


def refused_pods(workload: Object) -> str:
    """Why the API server refuses to make a workload's pods (admission, quota), empty where it does not."""
    found = condition(workload, "ReplicaFailure")
    return str(found.get("message", "")) if found and found.get("status") == "True" else ""


def trouble(pods: Sequence[Object]) -> tuple[str, bool]:
    """The newest unready pod's own reason, and whether it is final.

    An evicted pod that was replaced does not count, nor one of an older template than the newest pod's.
    """
    alive = sorted(filter(living, pods), key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    unready = [pod for pod in alive if _template(pod) == _template(alive[-1]) and not holds(pod, "Ready")]
    return _pod_reason(unready[-1]) if unready else ("", False)


def _template(pod: Object) -> list[str | None]:
    labels = pod["metadata"].get("labels") or {}
    return [labels.get(label) for label in _TEMPLATES]


def living(pod: Object) -> bool:
    """Whether a pod serves or may come to: neither ended (evicted ones stay for long) nor about to leave."""
    ended = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return not ended and "deletionTimestamp" not in pod["metadata"]


def _pod_reason(pod: Object) -> tuple[str, bool]:
    name, status = ref_of({**pod, "apiVersion": "v1", "kind": "Pod"}), pod.get("status", {})
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            reason, message = waiting["reason"], waiting.get("message", "")
            final = (
                reason in _HOPELESS
                or (reason in _PULLS and _NO_IMAGE.search(message.replace(container.get("image", ""), "")) is not None)
                or (reason == "CrashLoopBackOff" and container["restartCount"] >= _CRASHES)
            )
            told = f"{name}: container {container['name']}: {reason}: {message}".rstrip(": ")
            return f"{told}{_restarts(container)}", final
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("status") == "False":
        return f"{name}: {scheduled.get('reason')}: {scheduled.get('message', '')}".rstrip(": "), False
    return f"{name}: {_not_ready(status)}", False


def _not_ready(status: Object) -> str:
    containers = status.get("containerStatuses", [])
    starting = [f"{item['name']}{_restarts(item)}" for item in containers if not item.get("ready")]
    return f"waiting for container {', '.join(starting)}" if starting else f"phase {status.get('phase', 'unknown')}"


def _restarts(container: Object) -> str:
    """How often a container was restarted, and how it ended last: one that crashes runs for a while in between."""
    restarts = container.get("restartCount", 0)
    if not restarts:
        return ""
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    how = f", last: {ended.get('reason', 'ended')}, exit code {ended['exitCode']}" if ended else ""
    return f" (restarts: {restarts}{how})"


def newest_warning(events: Iterable[Object]) -> str:
    """The last warning among an object's events, as `reason: message`; empty where there is none."""
    warnings = [event for event in events if event.get("type") == "Warning"]
    if not warnings:
        return ""
    newest = max(warnings, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return f"{newest.get('reason')}: {newest.get('message', '')}"
