"""Objects as an API server keeps them, managedFields and all, beside the manifest that was applied."""

import copy
from dataclasses import dataclass
from typing import Any

import pytest

from meshpki.cluster.manifest import Object, owned, ref_of
from meshpki.status.drift import Changed, changes, compare

MANIFEST: Object = owned(
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "demo"},
        "spec": {
            "replicas": 1,
            "paused": False,
            "template": {
                "metadata": {"annotations": {}},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "web:1",
                            "args": ["--quiet"],
                            "resources": {"requests": {"cpu": "1000m"}},
                            "ports": [{"containerPort": 80}],
                        }
                    ]
                },
            },
        },
    },
    "workloads",
)
CONTAINER = 'k:{"name":"web"}'
PORT = 'k:{"containerPort":80,"protocol":"TCP"}'


def fields() -> dict[str, Any]:
    metadata = MANIFEST["metadata"]
    container = {
        ".": {},
        "f:name": {},
        "f:image": {},
        "f:args": {},
        "f:resources": {"f:requests": {"f:cpu": {}}},
        "f:ports": {PORT: {".": {}, "f:containerPort": {}}},
    }
    return {
        "f:metadata": {
            "f:labels": {f"f:{name}": {} for name in metadata["labels"]},
            "f:annotations": {f"f:{name}": {} for name in metadata["annotations"]},
        },
        "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {CONTAINER: container}}}},
    }


def applied() -> Object:
    """What the server stores: defaults beside ours, a quantity in its own form, empty values left out."""
    live = copy.deepcopy(MANIFEST)
    del live["spec"]["paused"], live["spec"]["template"]["metadata"]
    live["spec"]["strategy"] = {"type": "RollingUpdate"}
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["requests"]["cpu"] = "1"
    container["ports"][0]["protocol"] = "TCP"
    status = {"f:status": {"f:replicas": {}}}
    live["metadata"]["managedFields"] = [
        {"manager": "meshpki", "operation": "Apply", "fieldsV1": fields()},
        {"manager": "controller", "operation": "Update", "subresource": "status", "fieldsV1": status},
    ]
    return live


def container_of(live: Object) -> dict[str, Any]:
    return live["spec"]["template"]["spec"]["containers"][0]


def taken(live: Object, manager: str, *path: str) -> None:
    """Move the ownership of one field, as the server does when somebody else changes its value."""
    below = live["metadata"]["managedFields"][0]["fieldsV1"]
    theirs: dict[str, Any] = {}
    entry = {"manager": manager, "operation": "Update", "fieldsV1": theirs}
    for name in path[:-1]:
        below = below[name]
        theirs[name] = theirs = {}
    del below[path[-1]]
    theirs[path[-1]] = {}
    live["metadata"]["managedFields"].append(entry)


IN_CONTAINER = ("f:spec", "f:template", "f:spec", "f:containers", CONTAINER)


def scaled(live: Object) -> None:
    live["spec"]["replicas"] = 3
    taken(live, "kubectl-scale", "f:spec", "f:replicas")


def other_image(live: Object) -> None:
    container_of(live)["image"] = "web:2"
    taken(live, "kubectl-set", *IN_CONTAINER, "f:image")


def more_args(live: Object) -> None:
    container_of(live)["args"].append("--loud")
    taken(live, "kubectl-edit", *IN_CONTAINER, "f:args")


def without_a_port(live: Object) -> None:
    container_of(live)["ports"] = []
    del live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"][CONTAINER][
        "f:ports"
    ]


def other_label(live: Object) -> None:
    live["metadata"]["labels"]["meshpki.dev/step"] = "mine"
    taken(live, "kubectl-label", "f:metadata", "f:labels", "f:meshpki.dev/step")


def sidecar(live: Object) -> None:
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})


def annotated(live: Object) -> None:
    live["metadata"]["annotations"]["theirs"] = "x"


@dataclass(frozen=True)
class Case:
    change: Any
    fields: tuple[str, ...]
    managers: tuple[str, ...] = ()


CASES = (
    Case(lambda _live: None, ()),
    Case(sidecar, ()),
    Case(annotated, ()),
    Case(scaled, ("spec.replicas",), ("kubectl-scale",)),
    Case(other_image, ("spec.template.spec.containers[web].image",), ("kubectl-set",)),
    Case(more_args, ("spec.template.spec.containers[web].args",), ("kubectl-edit",)),
    Case(
        without_a_port,
        ("spec.template.spec.containers[web].ports", "spec.template.spec.containers[web].ports[0]"),
    ),
    Case(other_label, ("metadata.labels.meshpki.dev/step",), ("kubectl-label",)),
)
NAMES = ["as applied", "a sidecar", "annotated", "scaled", "image", "args", "port", "label"]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_field_drifts_when_its_value_and_its_owner_changed(case: Case) -> None:
    live = applied()
    case.change(live)
    ref = ref_of(MANIFEST)
    found = compare([MANIFEST], {ref: live})
    assert found.compared == 1
    assert found.found == ((Changed(ref, case.fields, case.managers),) if case.fields else ())


def test_without_a_record_of_owners_every_difference_is_drift() -> None:
    live = applied()
    live["metadata"]["managedFields"] = [{"manager": "meshpki", "operation": "Apply"}]
    assert [path for path, _ in changes(live, MANIFEST)] == [
        "spec.template.spec.containers[web].resources.requests.cpu"
    ]


def test_an_object_that_is_gone_drifted_and_one_that_was_not_looked_at_did_not() -> None:
    ref = ref_of(MANIFEST)
    assert compare([MANIFEST], {ref: None}).found == (Changed(ref),)
    assert compare([MANIFEST], {}, ["no right"]) == compare([], {}, ["no right"])
    assert str(Changed(ref)) == "Deployment demo/web is gone"


def test_what_other_settings_would_apply_is_outdated_and_no_drift() -> None:
    live = applied()
    live["metadata"]["annotations"]["meshpki.dev/applied"] = "of before"
    found = compare([MANIFEST], {ref_of(MANIFEST): live})
    assert (found.found, found.outdated) == ((), (ref_of(MANIFEST),))


def test_a_status_in_a_release_file_is_no_wish() -> None:
    assert list(changes(applied(), {**MANIFEST, "status": {"conditions": [1]}})) == []
