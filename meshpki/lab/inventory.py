"""What really runs in a lab, asked of its API server, its nodes and its processes, never of what it was built from."""

import re

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query
from meshpki.lab import build_info

# an image that the runtime knows by its digest alone (sha256:...) has no version to tell
_IMAGE = re.compile(r"(?!sha256:)(?:.*/)?(?P<name>[^/:@]+):(?P<tag>[^@]+)")


def running(reader: Reader) -> dict[str, str]:
    """Component -> version: first what tells its own (API server, nodes, processes), then the tags of other images.

    A tag also stands beside a process that did not tell.
    """
    rows = {"kube-apiserver": reader.version()}
    for node in reader.list(Query("v1", "Node")):
        info = node["status"]["nodeInfo"]
        said = f"kubelet {info['kubeletVersion']}, {info['containerRuntimeVersion']}, kernel {info['kernelVersion']}"
        rows[f"node {node['metadata']['name']}"] = f"{said}, {_readiness(node)}"
    tags = images(reader.list(Query("v1", "Pod")))
    for name, said in build_info.told(reader).items():
        rows[name] = f"{said}, {tags[name]}" if build_info.NOT_TOLD in said and name in tags else said
    return rows | {name: tag for name, tag in tags.items() if name not in rows}


def images(pods: list[Object]) -> dict[str, str]:
    """Image -> every tag and how many containers run it, of the containers that are running."""
    found: dict[str, dict[str, int]] = {}
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", []):
            read = _IMAGE.fullmatch(container["image"])
            if read and "running" in container.get("state", {}):
                tags = found.setdefault(read["name"], {})
                tags[read["tag"]] = tags.get(read["tag"], 0) + 1
    return {
        name: ", ".join(f"tag {tag} ({count} running)" for tag, count in sorted(tags.items()))
        for name, tags in sorted(found.items())
    }


def _readiness(node: Object) -> str:
    ready = [item["status"] for item in node["status"].get("conditions", []) if item["type"] == "Ready"]
    return "ready" if ready == ["True"] else "not ready"
