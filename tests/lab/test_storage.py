import json

import pytest

from meshpki.cluster.manifest import Object
from meshpki.lab.storage import CLASS, DIRECTORY, FORGET_CLAIM, manifests, names, released
from meshpki.lab.topology import plan

NODE = plan("lab", 1).first


def volume(storage_class: str | None, phase: str | None) -> Object:
    spec = {} if storage_class is None else {"storageClassName": storage_class}
    return {"metadata": {"name": "lab-00"}, "spec": spec, **({"status": {"phase": phase}} if phase else {})}


@pytest.mark.parametrize(
    ("storage_class", "phase", "cleaned"),
    [
        (CLASS, "Released", True),
        (CLASS, "Bound", False),
        (CLASS, "Available", False),
        (CLASS, None, False),
        ("fast", "Released", False),
        (None, "Released", False),
    ],
)
def test_only_the_labs_own_volumes_whose_claim_is_gone_are_cleaned(
    storage_class: str | None, phase: str | None, *, cleaned: bool
) -> None:
    assert released([volume(storage_class, phase)]) == (("lab-00",) if cleaned else ())


def test_the_lab_has_one_default_class_and_a_volume_for_each_name() -> None:
    first, *volumes = json.loads(manifests(NODE))["items"]
    assert (first["kind"], first["metadata"]["name"]) == ("StorageClass", CLASS)
    assert first["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert tuple(one["metadata"]["name"] for one in volumes) == names()
    assert len(set(names())) == len(names())


def test_a_volume_is_a_directory_of_the_first_node() -> None:
    one = json.loads(manifests(NODE))["items"][1]
    assert one["spec"]["local"] == {"path": f"{DIRECTORY}/{one['metadata']['name']}"}
    (term,) = one["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE.name]}]
    assert one["spec"]["storageClassName"] == CLASS


def test_a_cleaned_volume_forgets_its_claim() -> None:
    assert json.loads(FORGET_CLAIM) == [{"op": "remove", "path": "/spec/claimRef"}]
