"""A plan of a mesh in memory: what it says of each object, that it says it of the whole, and that it writes nothing."""

import threading
from pathlib import Path

import pytest

from meshpki.cluster.client import Cluster, ClusterError
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.errors import PreconditionError, StepError
from meshpki.install import Target, steps, wish_manifest
from meshpki.planning import Action, ObjectPlan, PlanReport, glance, look
from meshpki.planning.difference import Field, Kind
from meshpki.settings import defaults
from meshpki.workflow.plan import Plan, Selection, narrowed
from meshpki.workflow.step import Applies, Program, Step
from tests.support.cluster import InMemoryCluster, config_map, namespace
from tests.support.releases import releases

OLD = Ref("v1", "ConfigMap", "default", "old")
READS = {"get", "dry-run", "list"}
CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gates.mesh.example"},
    "spec": {
        "group": "mesh.example",
        "names": {"kind": "Gate"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["open"],
                                "properties": {
                                    "open": {"type": "boolean"},
                                    "size": {"enum": ["small", "large"], "type": "string"},
                                    "ports": {"type": "array", "items": {"type": "integer"}},
                                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


def gate(**spec: object) -> Object:
    return {
        "apiVersion": "mesh.example/v1",
        "kind": "Gate",
        "metadata": {"name": "g", "namespace": "new"},
        "spec": spec,
    }


def plan_of(*manifests: Object, programs: tuple[Program, ...] = ()) -> Plan:
    return Plan((Step("one", "a step", manifests, programs=programs),))


def cluster(*objects: Object) -> InMemoryCluster:
    made = InMemoryCluster(needs_crds=True)
    made.put(namespace("default"), namespace("kube-system"), *objects)
    return made


def looked(memory: InMemoryCluster, plan: Plan) -> dict[str, ObjectPlan]:
    report = look(plan, wish_manifest(defaults()), memory)
    assert {verb for verb, _ in memory.requests} <= READS
    assert memory.writes == []
    return {one.ref.name: one for one in report.objects}


def test_an_object_that_is_not_there_is_created_and_one_as_applied_is_the_same() -> None:
    memory = cluster()
    memory.apply(owned(config_map("old", key="1"), "one"))
    memory.requests.clear()
    found = looked(memory, plan_of(config_map("old", key="1"), config_map("new", key="1")))
    assert {name: one.action for name, one in found.items()} == {
        "meshpki": Action.CREATE,
        "old": Action.SAME,
        "new": Action.CREATE,
    }
    dry_runs = {name for verb, name in memory.requests if verb == "dry-run"}
    assert dry_runs == {"ConfigMap kube-system/meshpki", "ConfigMap default/old", "ConfigMap default/new"}


def test_a_change_is_told_field_by_field_without_the_digest_of_the_manifest() -> None:
    memory = cluster()
    memory.apply(owned(config_map("old", key="1"), "one"))
    found = plan_of(config_map("old", key="2", more="3"))
    report = look(found, wish_manifest(defaults()), memory)
    changed = next(one for one in report.objects if one.ref.name == "old")
    assert changed.action is Action.CHANGE
    assert set(changed.fields) == {Field("data.key", Kind.CHANGE, "1", "2"), Field("data.more", Kind.ADD, None, "3")}


def test_what_needs_a_namespace_or_a_crd_of_the_plan_is_validated_offline() -> None:
    memory = cluster()
    found = looked(memory, plan_of(namespace("new"), CRD, gate(open=True), config_map("c", "new", key="1")))
    assert (found["g"].action, found["g"].offline) == (Action.CREATE, "kind Gate is not there yet")
    assert (found["c"].action, found["c"].offline) == (Action.CREATE, "namespace new is not there yet")
    assert found["new"].offline == ""


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "spec.open is missing"),
        ({"open": "yes"}, "spec.open is no boolean"),
        ({"open": True, "opne": 1}, "there is no field spec.opne"),
        ({"open": True, "size": "huge"}, "spec.size is none of small, large"),
        ({"open": True, "ports": [1, "2"]}, "spec.ports[1] is no integer"),
        ({"open": True, "ports": [True]}, "spec.ports[0] is no integer"),
        ({"open": True, "labels": {"a": 1}}, "spec.labels.a is no string"),
    ],
    ids=str,
)
def test_an_object_that_its_coming_crd_would_refuse_is_refused_now(spec: Object, told: str) -> None:
    memory = cluster(namespace("new"))
    with pytest.raises(StepError, match=told.replace("[", r"\[")) as refused:
        looked(memory, plan_of(CRD, gate(**spec)))
    assert refused.value.code == "MPK-223"


@pytest.mark.parametrize(
    "manifest", [gate(open=True), config_map("c", "elsewhere", key="1")], ids=["kind", "namespace"]
)
def test_an_object_whose_kind_or_namespace_nothing_makes_is_refused(manifest: Object) -> None:
    with pytest.raises(PreconditionError) as refused:
        looked(cluster(namespace("new")), plan_of(manifest))
    assert refused.value.code == "MPK-221"


@pytest.mark.parametrize(
    ("status", "said", "judged"),
    [
        (500, "Internal error occurred: failed calling webhook", True),
        (429, "too many requests", True),
        (503, "not ready", True),
        (500, "failed to create typed patch object: duplicate entries", False),
        (409, "a conflict with another field manager", False),
        (422, "invalid", False),
        (400, "unknown field", False),
    ],
)
def test_a_server_that_cannot_say_yet_is_no_refusal_and_all_else_is_one(status: int, said: str, judged: bool) -> None:
    memory = cluster()

    def refuse(manifest: Object, _manager: str = "") -> Object:
        raise ClusterError("MPK-102", said, where="a path", status=status)

    memory.dry_run = refuse  # type: ignore[method-assign]
    if judged:
        assert looked(memory, plan_of(config_map("c", key="1")))["c"].offline == said
        return
    with pytest.raises(ClusterError, match=said):
        looked(memory, plan_of(config_map("c", key="1")))


def test_a_secret_is_planned_without_its_data_ever_being_asked_for() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}}
    secret["stringData"] = {"password": "canary"}  # type: ignore[assignment]
    memory = cluster()
    memory.apply(owned(secret, "one"))
    memory.requests.clear()
    report = look(plan_of({**secret, "stringData": {"password": "canary2"}}), wish_manifest(defaults()), memory)
    found = next(one for one in report.objects if one.ref.name == "s")
    assert (found.action, found.fields, found.before, found.after) == (Action.CHANGE, (), {}, {})
    assert ("dry-run", "Secret default/s") not in memory.requests
    assert "canary" not in repr(report)


def never(_cluster: Cluster, _stop: threading.Event) -> None:
    raise AssertionError("a plan runs no program")


def installer(memory_settled: bool, *manifests: Object) -> Program:
    return Program(
        "installer",
        settled=lambda _: memory_settled,
        run=never,
        does="installs",
        applies=Applies(lambda: manifests, "somebody", config_map("mark"), lambda _: (OLD,)),
    )


def test_what_a_program_would_install_is_compared_in_its_name_and_counted_apart() -> None:
    memory = cluster(config_map("there", key="1"), config_map("other", key="1"))
    program = installer(False, config_map("there", key="1"), config_map("other", key="2"), config_map("new", key="1"))
    report = look(plan_of(programs=(program,)), wish_manifest(defaults()), memory)
    (planned,) = report.programs
    assert [one.action for one in planned.objects] == [Action.SAME, Action.CHANGE, Action.CREATE, Action.REMOVE]
    assert ("dry-run as somebody", "ConfigMap default/other") in memory.requests
    assert report.summary() == (
        "1 to create, 0 to change, 0 unchanged; installer: 1 to create, 1 to change, 1 unchanged, 1 to remove"
    )
    assert memory.writes == []


def test_a_program_with_nothing_to_do_is_neither_asked_nor_listed() -> None:
    memory = cluster(owned(wish_manifest(defaults()), "settings"))
    report = look(plan_of(programs=(installer(True, config_map("new")),)), wish_manifest(defaults()), memory)
    assert (report.pending, report.programs) == (False, ())
    assert report.summary() == "0 to create, 0 to change, 1 unchanged"


def test_an_up_that_changes_nothing_is_foreseen_by_one_look_an_object_and_no_dry_run() -> None:
    memory = cluster()
    for one in (config_map("a", key="1"), config_map("b", key="1")):
        memory.apply(owned(one, "one"))
    memory.apply(owned(wish_manifest(defaults()), "settings"))
    memory.requests.clear()
    report = glance(plan_of(config_map("a", key="1"), config_map("b", key="1")), wish_manifest(defaults()), memory)
    assert report.summary() == "0 to create, 0 to change, 3 unchanged"
    assert [verb for verb, _ in memory.requests] == ["get"] * 3


def mesh_plan(folder: Path) -> Plan:
    """Every step but istio, whose program needs the real istioctl, and the sample, which needs Istio's kinds."""
    return narrowed(steps(defaults(), releases(folder), Target()), Selection(skip=("istio", "workloads")))


def test_a_whole_mesh_is_planned_on_an_empty_cluster_without_a_write(tmp_path: Path) -> None:
    memory = cluster()
    report: PlanReport = look(mesh_plan(tmp_path), wish_manifest(defaults()), memory)
    assert {one.action for one in report.objects} == {Action.CREATE}
    offline = {one.ref.name: one.offline for one in report.objects if one.offline}
    assert offline["meshpki-root-g1"] == "kind Certificate is not there yet"
    assert offline["spire-server"] == "namespace spire-server is not there yet"
    assert [one.name for one in report.programs] == ["pin"]
    assert memory.writes == []


def test_after_everything_was_applied_only_the_pin_is_left(tmp_path: Path) -> None:
    memory, plan, wish = cluster(), mesh_plan(tmp_path), wish_manifest(defaults())
    objects = [owned(one, step.name) for step in plan.steps for one in step.objects]
    first = ("Namespace", "CustomResourceDefinition")
    for one in sorted((owned(wish, "settings"), *objects), key=lambda one: one["kind"] not in first):
        memory.apply(one)
    memory.requests.clear()
    report = look(plan, wish, memory)
    assert {one.action for one in report.objects} == {Action.SAME}
    assert [one.name for one in report.programs] == ["pin"]
    assert "kube-system/meshpki-trust" in report.programs[0].does
    assert memory.writes == []
    assert Ref("v1", "ConfigMap", "kube-system", "meshpki-trust") not in memory.objects
