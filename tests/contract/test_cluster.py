"""One suite for every Cluster: the fake in memory is worth what it shares with the real API server."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from meshpki.cluster.client import Cluster, ClusterError, Deletion
from meshpki.cluster.manifest import Object, Query, Ref, only, ref_of
from meshpki.cluster.readiness import holds
from meshpki.lab.versions import CURL
from meshpki.workflow.apply import apply
from meshpki.workflow.event import Outcome
from tests.support.cluster import InMemoryCluster, config_map, namespace


@pytest.fixture(params=["memory", pytest.param("lab", marks=pytest.mark.lab)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    if request.param == "memory":
        return InMemoryCluster()
    return request.getfixturevalue("lab_cluster")


@pytest.fixture
def home(cluster: Cluster) -> Iterator[str]:
    name = f"contract-{uuid.uuid4().hex[:8]}"
    cluster.apply(namespace(name))
    yield name
    cluster.delete(Ref("v1", "Namespace", "", name))


def labelled(name: str, home: str, **labels: str) -> Object:
    made = config_map(name, home, key="value")
    made["metadata"]["labels"] = labels
    return made


def test_what_is_not_there_reads_as_none(cluster: Cluster, home: str) -> None:
    assert cluster.get(Ref("v1", "ConfigMap", home, "nobody")) is None
    assert cluster.metadata(Ref("v1", "ConfigMap", home, "nobody")) is None


def test_a_kind_that_is_not_served_reads_as_none_and_lists_nothing(cluster: Cluster, home: str) -> None:
    assert cluster.get(Ref("meshpki.invalid/v1", "Unheard", home, "nobody")) is None
    assert cluster.list(Query("meshpki.invalid/v1", "Unheard")) == []


def test_applying_a_kind_that_is_not_served_may_succeed_later(cluster: Cluster, home: str) -> None:
    manifest = {"apiVersion": "meshpki.invalid/v1", "kind": "Unheard", "metadata": {"name": "a", "namespace": home}}
    with pytest.raises(ClusterError) as caught:
        cluster.apply(manifest)
    assert caught.value.transient


def test_applying_into_a_namespace_that_is_missing_is_final(cluster: Cluster) -> None:
    with pytest.raises(ClusterError) as caught:
        cluster.apply(config_map("a", "contract-nowhere"))
    assert caught.value.status == 404
    assert not caught.value.transient


def test_an_applied_object_is_read_back_with_our_manager(cluster: Cluster, home: str) -> None:
    cluster.apply(config_map("a", home, key="value"))
    live = cluster.get(Ref("v1", "ConfigMap", home, "a"))
    assert live is not None
    assert live["data"] == {"key": "value"}
    assert "meshpki" in [manager["manager"] for manager in live["metadata"]["managedFields"]]


def test_applying_the_same_twice_leaves_the_resource_version(cluster: Cluster, home: str) -> None:
    first = cluster.apply(config_map("a", home, key="value"))
    second = cluster.apply(config_map("a", home, key="value"))
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_a_dry_run_answers_and_changes_nothing(cluster: Cluster, home: str) -> None:
    cluster.apply(config_map("a", home, key="value"))
    answered = cluster.dry_run(config_map("a", home, key="other"))
    assert answered["data"] == {"key": "other"}
    live = cluster.get(Ref("v1", "ConfigMap", home, "a"))
    assert live is not None
    assert live["data"] == {"key": "value"}


def test_a_dry_run_in_the_name_of_an_installer_changes_nothing_either(cluster: Cluster, home: str) -> None:
    cluster.apply(config_map("a", home, key="value"))
    answered = cluster.dry_run(config_map("a", home, key="other"), "installer")
    assert answered["data"] == {"key": "other"}
    live = cluster.get(Ref("v1", "ConfigMap", home, "a"))
    assert live is not None
    assert live["data"] == {"key": "value"}


def test_lists_are_narrowed_by_namespace_label_and_field(cluster: Cluster, home: str) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        cluster.apply(labelled(name, home, colour=colour))
    by_label = cluster.list(Query("v1", "ConfigMap", home, labels="colour=red"))
    by_field = cluster.list(Query("v1", "ConfigMap", home, fields="metadata.name=b"))
    assert [ref_of(one).name for one in by_label] == ["a"]
    assert [ref_of(one).name for one in by_field] == ["b"]


def test_a_watch_tells_of_a_change_that_came_after_it_was_opened(cluster: Cluster, home: str) -> None:
    changed = threading.Event()
    with cluster.watch(Query("v1", "ConfigMap", home, fields="metadata.name=a"), changed.set):
        changed.wait(1)  # a real watch first tells what is there; nothing is
        changed.clear()
        cluster.apply(config_map("a", home, key="value"))
        assert changed.wait(10)


def test_a_selector_by_field_tells_the_type_of_a_secret_and_no_data(cluster: Cluster, home: str) -> None:
    secret = {**config_map("a", home), "kind": "Secret", "type": "kubernetes.io/tls", "data": {}}
    secret["data"] = {"tls.crt": "Y2FuYXJ5", "tls.key": "Y2FuYXJ5"}
    cluster.apply(secret)
    query = Query("v1", "Secret", home, fields="metadata.name=a,type=kubernetes.io/tls")
    (seen,) = cluster.headers(query)
    assert seen["metadata"]["name"] == "a"
    assert "data" not in seen
    assert cluster.headers(replace(query, fields="metadata.name=a,type=Opaque")) == []


def test_metadata_carries_no_data(cluster: Cluster, home: str) -> None:
    cluster.apply(config_map("a", home, key="canary"))
    seen = cluster.metadata(Ref("v1", "ConfigMap", home, "a"))
    assert seen is not None
    assert "canary" not in repr({key: value for key, value in seen["metadata"].items() if key != "managedFields"})
    assert "data" not in seen


def test_deleting_says_whether_there_was_anything(cluster: Cluster, home: str) -> None:
    cluster.apply(config_map("a", home))
    assert cluster.delete(Ref("v1", "ConfigMap", home, "a"))
    assert not cluster.delete(Ref("v1", "ConfigMap", home, "a"))


def test_a_merge_changes_what_it_names_by_its_own_manager_and_answers_with_metadata_alone(
    cluster: Cluster, home: str
) -> None:
    cluster.apply(config_map("a", home, key="value", canary="secret"))
    ref = Ref("v1", "ConfigMap", home, "a")
    patch = {"metadata": {"annotations": {"note": "x"}}, "data": {"key": "other", "new": "one"}}
    answered = cluster.merge(ref, patch, "meshpki-rotate")
    live = cluster.get(ref)
    assert live is not None
    assert live["data"] == {"key": "other", "new": "one", "canary": "secret"}
    assert answered["metadata"]["annotations"]["note"] == "x"
    assert "data" not in answered
    assert "meshpki-rotate" in [one["manager"] for one in live["metadata"]["managedFields"]]


def test_a_merge_removes_what_is_null(cluster: Cluster, home: str) -> None:
    cluster.apply(config_map("a", home, key="value", other="stays"))
    ref = Ref("v1", "ConfigMap", home, "a")
    cluster.merge(ref, {"data": {"key": None}}, "meshpki-rotate")
    live = cluster.get(ref)
    assert live is not None
    assert live["data"] == {"other": "stays"}


def test_a_merge_for_another_resource_version_is_refused(cluster: Cluster, home: str) -> None:
    cluster.apply(config_map("a", home, key="value"))
    ref = Ref("v1", "ConfigMap", home, "a")
    with pytest.raises(ClusterError) as caught:
        cluster.merge(ref, {"metadata": {"resourceVersion": "1"}, "data": {"key": "x"}}, "meshpki-rotate")
    assert caught.value.status == 409


def test_a_merge_of_what_is_not_there_is_refused(cluster: Cluster, home: str) -> None:
    with pytest.raises(ClusterError) as caught:
        cluster.merge(Ref("v1", "ConfigMap", home, "nobody"), {"data": {"a": "b"}}, "meshpki-rotate")
    assert caught.value.status == 404


def test_apply_writes_only_where_the_cluster_differs(cluster: Cluster, home: str) -> None:
    wanted = config_map("a", home, key="value")
    assert [apply(cluster, wanted) for _ in range(2)] == [Outcome.CREATED, Outcome.UNCHANGED]
    assert apply(cluster, config_map("a", home, key="other")) is Outcome.CONFIGURED


def test_the_server_says_its_version_and_our_rights(cluster: Cluster) -> None:
    assert cluster.version().startswith("v1.")
    assert cluster.allowed("list", "", "pods")


def test_the_server_says_its_time_in_utc_and_whole_seconds(cluster: Cluster) -> None:
    date = cluster.date()
    assert date is not None
    assert (date.utcoffset(), date.microsecond) == (timedelta(0), 0)


def test_a_pod_that_is_not_there_is_answered_with_a_reason_and_stops_no_other(cluster: Cluster, home: str) -> None:
    absent = [Ref("v1", "Pod", home, name) for name in ("a", "b", "c")]
    answers = dict(cluster.fetch(absent, 15000, "/", 2))
    assert sorted(answers) == absent
    assert {error.status for error in answers.values() if isinstance(error, ClusterError)} == {404}


CONTAINER = "talks"
SPOKEN = [f"line {number}" for number in range(5)]
SPEAK = 'for number in 0 1 2 3 4; do echo "line $number"; done; echo > /tmp/spoken; exec sleep infinity'


def speaker(space: str) -> Object:
    """A pod that writes a few lines, is ready then, and writes no more."""
    container: Object = {
        "name": CONTAINER,
        "image": f"docker.io/curlimages/curl:{CURL}",
        "command": ["sh", "-c", SPEAK],
        "readinessProbe": {"exec": {"command": ["cat", "/tmp/spoken"]}, "periodSeconds": 1},  # noqa: S108 - the pod's
    }
    spec = {"serviceAccountName": "speaker", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "speaker", "namespace": space}, "spec": spec}


@pytest.fixture(scope="module")
def speaker_of_the_lab(lab_cluster: Cluster) -> Iterator[Ref]:
    """The pod of all tests that read a log: nobody else writes into it or starts it again."""
    space, changed = f"contract-{uuid.uuid4().hex[:8]}", threading.Event()
    account: Object = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "speaker", "namespace": space},
        "automountServiceAccountToken": False,
    }
    pod = speaker(space)
    lab_cluster.apply(namespace(space))
    try:
        lab_cluster.apply(account)
        lab_cluster.apply(pod)
        with lab_cluster.watch(only(ref_of(pod)), changed.set):
            while not holds(lab_cluster.get(ref_of(pod)) or pod, "Ready"):
                assert changed.wait(60), "nothing came of a pod of the curl image for a minute"
                changed.clear()
        yield ref_of(pod)
    finally:
        lab_cluster.delete(Ref("v1", "Namespace", "", space))


@pytest.fixture
def talker(cluster: Cluster, request: pytest.FixtureRequest) -> tuple[Ref, str]:
    """A container that runs for the first time, and what it had to say it has said."""
    if not isinstance(cluster, InMemoryCluster):
        return request.getfixturevalue("speaker_of_the_lab"), CONTAINER
    pod = speaker("kube-system")
    cluster.put(pod)
    said = "".join(f"2026-11-24T12:00:0{number}.5Z {line}\n" for number, line in enumerate(SPOKEN))
    cluster.answers[f"logs {CONTAINER}"] = said
    return ref_of(pod), CONTAINER


def test_a_log_is_read_from_its_end_with_times_if_asked(cluster: Cluster, talker: tuple[Ref, str]) -> None:
    timed = cluster.logs(*talker, 2, timestamps=True).splitlines()
    assert cluster.logs(*talker, 2).splitlines() == SPOKEN[-2:]
    assert [line.partition(" ")[2] for line in timed] == SPOKEN[-2:]
    assert all(datetime.fromisoformat(line.partition(" ")[0]) for line in timed)


def test_a_log_is_read_from_a_moment_on(cluster: Cluster, talker: tuple[Ref, str]) -> None:
    (newest,) = cluster.logs(*talker, 1, timestamps=True).splitlines()
    at = datetime.fromisoformat(newest.partition(" ")[0])
    assert newest in cluster.logs(*talker, 100, since=at, timestamps=True).splitlines()
    assert cluster.logs(*talker, 100, since=at + timedelta(hours=1)) == ""


def test_a_log_that_is_not_there_is_an_error(cluster: Cluster, home: str, talker: tuple[Ref, str]) -> None:
    with pytest.raises(ClusterError) as caught:
        cluster.logs(Ref("v1", "Pod", home, "nobody"), CONTAINER, 1)
    assert caught.value.status == 404
    with pytest.raises(ClusterError) as caught:
        cluster.logs(*talker, 1, previous=True)
    assert caught.value.status == 400


def test_creating_what_is_there_is_refused(cluster: Cluster, home: str) -> None:
    made = cluster.create(config_map("a", home, key="value"))
    assert made["metadata"]["resourceVersion"]
    with pytest.raises(ClusterError) as caught:
        cluster.create(config_map("a", home, key="other"))
    assert caught.value.status == 409


def test_replacing_is_for_the_resource_version_that_was_read(cluster: Cluster, home: str) -> None:
    first = cluster.create(config_map("a", home, key="first"))
    second = cluster.replace({**first, "data": {"key": "second"}})
    assert second["data"] == {"key": "second"}
    with pytest.raises(ClusterError) as caught:
        cluster.replace({**first, "data": {"key": "third"}})
    assert caught.value.status == 409
    live = cluster.get(ref_of(first))
    assert live is not None
    assert live["data"] == {"key": "second"}


def test_replacing_what_is_not_there_is_refused(cluster: Cluster, home: str) -> None:
    made = cluster.create(config_map("a", home))
    cluster.delete(ref_of(made))
    with pytest.raises(ClusterError) as caught:
        cluster.replace(made)
    assert caught.value.status in (404, 409)


@pytest.mark.parametrize("other", [Deletion(uid="another"), Deletion(resource_version="1")])
def test_what_is_not_the_object_that_was_meant_is_not_deleted(cluster: Cluster, home: str, other: Deletion) -> None:
    made = cluster.create(config_map("a", home))
    with pytest.raises(ClusterError) as caught:
        cluster.delete(ref_of(made), other)
    assert caught.value.status == 409
    assert cluster.get(ref_of(made))
    metadata = made["metadata"]
    assert cluster.delete(ref_of(made), Deletion(metadata["uid"], metadata["resourceVersion"], foreground=True))


def test_headers_carry_no_data(cluster: Cluster, home: str) -> None:
    cluster.create({**labelled("a", home, colour="red"), "data": {"key": "canary"}})
    (seen,) = cluster.headers(Query("v1", "ConfigMap", home, labels="colour=red"))
    assert ref_of(seen) == Ref("v1", "ConfigMap", home, "a")
    assert seen["metadata"]["uid"]
    assert "data" not in seen


def test_the_kinds_that_are_served_are_told_once_each(cluster: Cluster, home: str) -> None:
    cluster.create(config_map("a", home))
    kinds = cluster.kinds()
    names = [(one.api_version.rpartition("/")[0], one.kind) for one in kinds]
    assert len(names) == len(set(names))
    known = {(one.api_version, one.kind): one for one in kinds}
    assert known["v1", "ConfigMap"].namespaced
    assert not known["v1", "Namespace"].namespaced
    assert {"list", "delete"} <= known["v1", "ConfigMap"].verbs
    assert known["v1", "ConfigMap"].resource == "configmaps"
