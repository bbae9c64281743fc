from meshpki.cluster.envoy import Secrets
from meshpki.settings import defaults
from meshpki.verify import gather
from meshpki.verify.judge import Seen, Unread, Without
from meshpki.verify.pods import MeshPod, mesh_pods
from tests.support.mesh import Mesh, agent, held, mesh, pod, unready

CRASHING = {"name": "istio-proxy", "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}


def names(number: int) -> list[str]:
    return [f"reviews-v1-5d9-{place}" for place in range(number)]


def events_read(cluster: Mesh) -> int:
    return sum("kind='Event'" in what for _, what in cluster.requests)


def test_answers_come_one_by_one_and_each_counts_when_the_next_is_asked_for() -> None:
    cluster = mesh(*map(pod, names(3)), **{name.replace("-", "_"): held() for name in names(3)})
    counted: list[tuple[int, int]] = []
    answers = gather.secrets(cluster, mesh_pods(map(pod, names(3))), 2, lambda *done: counted.append(done))
    next(answers)
    assert counted == []
    assert [verb for verb, _ in cluster.requests] == ["forward"]
    assert all(isinstance(answer, Secrets) for _, answer in answers)
    assert counted == [(1, 3), (2, 3), (3, 3)]


def test_a_pod_that_cannot_answer_is_not_asked() -> None:
    crashed, bare = pod("reviews-v1-5d9-a", **unready(CRASHING)), pod("reviews-v1-5d9-b")
    bare["spec"]["initContainers"] = []
    cluster = mesh()
    answers = [answer for _, answer in gather.secrets(cluster, mesh_pods([crashed, bare]), 2, lambda *_: None)]
    assert answers == [Without("its proxy does not run"), Unread("it has no sidecar")]
    assert cluster.requests == []


def test_the_warnings_of_a_namespace_are_read_once_for_all_its_silent_pods() -> None:
    cluster = mesh(agent())
    pods = mesh_pods(pod(name, **unready(CRASHING)) for name in names(50))
    silent: list[tuple[MeshPod, Seen]] = [(one, Unread("mute")) for one in pods]
    told: list[tuple[MeshPod, Seen]] = list(gather.explained(cluster, defaults(), silent))
    assert len(told) == 50
    assert events_read(cluster) == 1


def test_an_old_warning_does_not_explain_the_silence_of_a_pod_that_is_ready() -> None:
    cluster = mesh(agent())
    silent: list[tuple[MeshPod, Seen]] = [(one, Unread("mute")) for one in mesh_pods([pod()])]
    assert [answer for _, answer in gather.explained(cluster, defaults(), silent)] == [Unread("mute")]
    assert events_read(cluster) == 0
