"""Tables of what an object's status says -> whether it does its work."""

import pytest

from meshpki.cluster.manifest import Object
from meshpki.cluster.readiness import holds, newest_warning, refused_pods, rolled_out, trouble


def workload(kind: str = "Deployment", *, wanted: int = 1, generation: int = 2, **status: object) -> Object:
    full = {"observedGeneration": 2, **status}
    return {"kind": kind, "metadata": {"generation": generation}, "spec": {"replicas": wanted}, "status": full}


def up(count: int, **more: int) -> dict[str, int]:
    return {"replicas": count, "updatedReplicas": count, "readyReplicas": count, "availableReplicas": count, **more}


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (workload(**up(1)), ""),
        (workload(wanted=2, **up(1)), "1/2 ready"),
        (workload(generation=3, **up(1)), "its controller has not seen the newest generation"),
        (workload(), "0/1 ready"),
        (workload(**up(1, updatedReplicas=0)), "0/1 ready"),
        (workload(**up(1, replicas=2)), "1 old pods are still there"),
        (workload("StatefulSet", **up(1, readyReplicas=0)), "0/1 ready"),
        (workload(wanted=0, **up(0)), "it is scaled to no pods"),
        (workload("StatefulSet", wanted=0), "it is scaled to no pods"),
        (workload("DaemonSet", desiredNumberScheduled=0), "no node takes its pods"),
        (
            workload("DaemonSet", desiredNumberScheduled=2, updatedNumberScheduled=2, numberReady=1, numberAvailable=1),
            "1/2 ready",
        ),
        (
            workload("DaemonSet", desiredNumberScheduled=2, updatedNumberScheduled=2, numberReady=2, numberAvailable=2),
            "",
        ),
    ],
)
def test_a_workload_is_rolled_out_when_its_newest_pods_are_all_there_and_ready(live: Object, why: str) -> None:
    assert rolled_out(live) == why


def pod(name: str = "p", made: str = "2026-11-24T10:00:00Z", phase: str = "Pending", **status: object) -> Object:
    metadata = {"name": name, "namespace": "ns", "creationTimestamp": made}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, **status}}


def of(template: str, one: Object, label: str = "pod-template-hash") -> Object:
    return {**one, "metadata": {**one["metadata"], "labels": {label: template}}}


def container(reason: str, restarts: int = 0, message: str = "") -> Object:
    return {"name": "c", "restartCount": restarts, "state": {"waiting": {"reason": reason, "message": message}}}


KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
BETWEEN = {"name": "c", "ready": False, "restartCount": 2, "state": {"running": {}}, "lastState": KILLED}
CRASHING = {**container("CrashLoopBackOff", 3, "back-off 40s"), "lastState": KILLED}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
REVISION = "controller-revision-hash"


@pytest.mark.parametrize(
    ("pods", "told", "final"),
    [
        ([], "", False),
        ([pod(**READY)], "", False),
        ([pod(containerStatuses=[container("ContainerCreating")])], "Pod ns/p: waiting for container c", False),
        ([pod(containerStatuses=[container("ErrImagePull", message="x")])], "container c: ErrImagePull: x", False),
        ([pod(containerStatuses=[container("ImagePullBackOff", message="x")])], "ImagePullBackOff: x", False),
        ([pod(containerStatuses=[container("InvalidImageName")])], "InvalidImageName", True),
        ([pod(containerStatuses=[container("ErrImageNeverPull")])], "ErrImageNeverPull", True),
        ([pod(containerStatuses=[container("CreateContainerError", message="x")])], "CreateContainerError: x", False),
        ([pod(containerStatuses=[container("CreateContainerConfigError", message="x")])], "ConfigError: x", False),
        ([pod(containerStatuses=[container("CrashLoopBackOff", 1)])], "CrashLoopBackOff", False),
        ([pod(containerStatuses=[container("CrashLoopBackOff", 4)])], "CrashLoopBackOff", True),
        ([pod(initContainerStatuses=[container("CrashLoopBackOff", 9)])], "CrashLoopBackOff", True),
        (
            [pod(containerStatuses=[CRASHING])],
            "CrashLoopBackOff: back-off 40s (restarts: 3, last: OOMKilled, exit code 137)",
            False,
        ),
        (
            [pod(containerStatuses=[BETWEEN])],
            "waiting for container c (restarts: 2, last: OOMKilled, exit code 137)",
            False,
        ),
        (
            [pod(containerStatuses=[{**BETWEEN, "state": {"terminated": {"exitCode": 1}}}])],
            "waiting for container c (restarts: 2, last: ended, exit code 1)",
            False,
        ),
        (
            [
                pod(
                    conditions=[
                        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "cpu"}
                    ]
                )
            ],
            "Unschedulable: cpu",
            False,
        ),
        ([pod("old", phase="Failed"), pod("new", **READY)], "", False),
        (
            [
                pod("old", "2026-11-24T09:00:00Z", containerStatuses=[container("ImagePullBackOff")]),
                pod("new", "2026-11-24T10:00:00Z"),
            ],
            "Pod ns/new: phase Pending",
            False,
        ),
        (
            [
                of("1", pod("old", "2026-11-24T09:00:00Z", containerStatuses=[container("InvalidImageName")])),
                of("2", pod("new", "2026-11-24T10:00:00Z", **READY)),
            ],
            "",
            False,
        ),
        (
            [
                of("1", pod("broken", "2026-11-24T09:00:00Z", containerStatuses=[container("InvalidImageName")])),
                of("1", pod("sound", "2026-11-24T10:00:00Z", **READY)),
            ],
            "Pod ns/broken: container c: InvalidImageName",
            True,
        ),
        (
            [
                of("1", pod("gone", "2026-11-24T09:00:00Z", containerStatuses=[container("InvalidImageName")])),
                of("2", pod("evicted", "2026-11-24T10:00:00Z", phase="Failed")),
            ],
            "Pod ns/gone: container c: InvalidImageName",
            True,
        ),
        (
            [
                of("1", pod("a", "2026-11-24T09:00:00Z", containerStatuses=[container("InvalidImageName")]), REVISION),
                of("2", pod("b", "2026-11-24T10:00:00Z", **READY), REVISION),
            ],
            "",
            False,
        ),
    ],
)
def test_the_newest_unready_pod_says_why_and_whether_waiting_can_help(
    pods: list[Object], told: str, *, final: bool
) -> None:
    reason, is_final = trouble(pods)
    assert told in reason
    assert (not told) == (not reason)
    assert is_final is final


PULL = 'failed to pull and unpack image "r.example/i:1": failed to resolve reference "r.example/i:1": '
HEAD = "unexpected status from HEAD request to https://r.example/v2/i/manifests/1"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize(
    ("told", "final"),
    [
        ("rpc error: code = NotFound desc = " + PULL + "r.example/i:1: not found", True),
        (
            PULL + "pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed",
            True,
        ),
        (PULL + "failed to authorize: failed to fetch anonymous token: " + HEAD + ": 401 Unauthorized", True),
        (PULL + HEAD + ": 403 Forbidden", True),
        ("reading manifest 1 in r.example/i: manifest unknown", True),
        ("reading manifest 1 in r.example/i: name unknown: repository does not exist", True),
        ("reading manifest 1 in r.example/i: requested access to the resource is denied", True),
        (PULL + "object required: invalid reference", True),
        (PULL + HEAD + ": 503 Service Unavailable", False),
        (PULL + "failed to authorize: failed to fetch anonymous token: " + HEAD + ": 502 Bad Gateway", False),
        (
            PULL + HEAD + ": 429 Too Many Requests - Server message: toomanyrequests: You have reached your "
            "unauthenticated pull rate limit",
            False,
        ),
        (PULL + 'failed to do request: Head "https://r.example/v2/i": dial tcp: lookup r.example: no such host', False),
        (PULL + 'failed to do request: Head "https://r.example/v2/i": net/http: TLS handshake timeout', False),
        ("image pull failed for r.example/i:1 because the registry is unavailable: down", False),
        ("", False),
    ],
)
def test_a_pull_fails_for_good_where_the_registry_speaks_of_the_image_and_not_where_it_is_away(
    reason: str, told: str, *, final: bool
) -> None:
    message = told if reason == "ErrImagePull" else f'Back-off pulling image "r.example/i:1": ErrImagePull: {told}'
    assert trouble([pod(containerStatuses=[container(reason, message=message)])])[1] is final


def test_the_name_of_an_image_says_nothing_of_its_pull() -> None:
    name = "r.example/access-denied/unauthorized:1"
    message = f'failed to resolve reference "{name}": {HEAD}: 503 Service Unavailable'
    assert trouble([pod(containerStatuses=[{**container("ErrImagePull", message=message), "image": name}])])[1] is False


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"type": "Ready", "status": "True"}, True),
        ({"type": "Ready", "status": "True", "observedGeneration": 2}, True),
        ({"type": "Ready", "status": "True", "observedGeneration": 1}, False),
        ({"type": "Ready", "status": "False"}, False),
        ({"type": "Other", "status": "True"}, False),
    ],
)
def test_a_condition_counts_only_for_the_newest_generation(condition: Object, *, held: bool) -> None:
    assert holds({"metadata": {"generation": 2}, "status": {"conditions": [condition]}}, "Ready") is held


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"conditions": None}}])
def test_an_object_without_conditions_holds_nothing(status: Object) -> None:
    assert not holds({"metadata": {}, **status}, "Ready")


def test_a_refusal_to_make_pods_is_told_in_the_words_of_the_api_server() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
    assert refused_pods({"metadata": {}, "status": {"conditions": [failure]}}) == "violates PodSecurity"
    assert not refused_pods({"metadata": {}, "status": {}})


def test_the_newest_warning_is_told() -> None:
    warnings = [
        {"type": "Normal", "reason": "Pulled", "lastTimestamp": "2026-11-24T12:00:00Z"},
        {"type": "Warning", "reason": "Old", "message": "a", "lastTimestamp": "2026-11-24T10:00:00Z"},
        {"type": "Warning", "reason": "New", "message": "b", "lastTimestamp": "2026-11-24T11:00:00Z"},
    ]
    assert newest_warning(warnings) == "New: b"
    assert newest_warning([]) == ""
