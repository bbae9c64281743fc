"""The lab's default StorageClass and the local volumes behind it, all on the first node."""

import json
from collections.abc import Iterable

from meshpki.cluster.manifest import Object
from meshpki.lab.topology import Node

CLASS = "lab"
DIRECTORY = "/var/lib/meshpki/volumes"
VOLUMES = 16
CAPACITY = "5Gi"
FORGET_CLAIM = json.dumps([{"op": "remove", "path": "/spec/claimRef"}])


def names() -> tuple[str, ...]:
    """The volumes; each is a directory of its name, which the kubelet does not make."""
    return tuple(f"{CLASS}-{number:02}" for number in range(VOLUMES))


def manifests(node: Node) -> str:
    """The StorageClass and the PersistentVolumes, as a List in JSON.

    `local` volumes, not hostPath: the kubelet applies fsGroup to them.
    """
    items = [_storage_class(), *(_volume(node, name) for name in names())]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def released(volumes: Iterable[Object]) -> tuple[str, ...]:
    """The volumes whose claim is gone; nobody else cleans them, as there is no provisioner."""
    return tuple(
        volume["metadata"]["name"]
        for volume in volumes
        if volume["spec"].get("storageClassName") == CLASS and volume.get("status", {}).get("phase") == "Released"
    )


def _storage_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _volume(node: Node, name: str) -> Object:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": f"{DIRECTORY}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
