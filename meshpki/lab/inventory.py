"""What really runs in a lab, read from its API server and its nodes rather than from the versions it was built from."""

import re

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query

_IMAGE = re.compile(r"(?:.*/)?(?P<name>[^/:@]+):(?P<tag>[^@]+)")


def running(reader: Reader) -> dict[str, str]:
    """Component -> version: the API server, each node with kubelet, runtime and kernel, every image that runs."""
    rows = {"kube-apiserver": reader.version()}
    for node in reader.list(Query("v1", "Node")):
        info = node["status"]["nodeInfo"]
        said = f"kubelet {info['kubeletVersion']}, {info['containerRuntimeVersion']}, kernel {info['kernelVersion']}"
        rows[f"node {node['metadata']['name']}"] = f"{said}, {_readiness(node)}"
    return rows | images(reader.list(Query("v1", "Pod")))


def images(pods: list[Object]) -> dict[str, str]:
    """Image -> tag and how many containers run it, of the containers that are running."""
    found: dict[tuple[str, str], int] = {}
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", []):
            read = _IMAGE.fullmatch(container["image"])
            if read and "running" in container.get("state", {}):
                key = (read["name"], read["tag"])
                found[key] = found.get(key, 0) + 1
    return {name: f"{tag} ({count} running)" for (name, tag), count in sorted(found.items())}


def _readiness(node: Object) -> str:
    ready = [item["status"] for item in node["status"].get("conditions", []) if item["type"] == "Ready"]
    return "ready" if ready == ["True"] else "not ready"
