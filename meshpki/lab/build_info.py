"""The version that a running process tells of itself, on the metrics port it has anyway; its image's tag may lie."""

import http.client
import re
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.errors import MeshpkiError

PATH = "/metrics"
_LIMIT = 8 * 1024 * 1024
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Witness:
    """A component whose pods (of namespace and label) have a plain metrics port with a gauge that names the version.

    `name` is the name of its image, so that what it says stands in place of the image's tag.
    """

    name: str
    namespace: str
    label: str
    port: int
    gauge: str
    key: str


# etcd server/etcdserver/metrics.go at v3.6, coredns plugin/metrics/vars at v1.15, component-base/version/prometheus,
# istio pkg/version/prometheus.go; kubeadm's etcd and kube-proxy listen on the node's loopback, which a forward reaches
WITNESSES = (
    Witness("etcd", "kube-system", "component=etcd", 2381, "etcd_server_version", "server_version"),
    Witness("coredns", "kube-system", "k8s-app=kube-dns", 9153, "coredns_build_info", "version"),
    Witness("kube-proxy", "kube-system", "k8s-app=kube-proxy", 10249, "kubernetes_build_info", "git_version"),
    Witness("pilot", "istio-system", "app=istiod", 15014, "istio_build", "tag"),
)


def told(reader: Reader) -> dict[str, str]:
    """Component -> each version and how many of its running processes say so, or why one does not."""
    pods = {witness: _running(reader, witness) for witness in WITNESSES}
    asked = [(witness, pod) for witness, found in pods.items() for pod in found]
    with ThreadPoolExecutor(8) as workers:
        answers = list(workers.map(lambda pair: (pair[0].name, _ask(reader, *pair)), asked))
    names = dict.fromkeys(name for name, _ in answers)
    return {name: _counted(answer for whose, answer in answers if whose == name) for name in names}


def version(witness: Witness, metrics: str) -> str:
    """The version in a page of metrics (Prometheus text format 0.0.4); empty where the gauge is not there."""
    row = re.search(rf"^{witness.gauge}\{{(?P<labels>.*)\}} 1(?:\.0)?$", metrics, re.MULTILINE)
    found = re.search(rf'(?:^|,){witness.key}="(?P<value>[^"]*)"', row["labels"]) if row else None
    return found["value"] if found else ""


def _running(reader: Reader, witness: Witness) -> list[Ref]:
    pods = reader.list(Query("v1", "Pod", witness.namespace, labels=witness.label))
    return [Ref("v1", "Pod", witness.namespace, pod["metadata"]["name"]) for pod in pods if _runs(pod)]


def _runs(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


def _ask(reader: Reader, witness: Witness, pod: Ref) -> str:
    try:
        with reader.forward(pod, witness.port) as connection:
            return version(witness, _page(connection)) or "not told"
    except (MeshpkiError, OSError, http.client.HTTPException) as error:
        return f"not told: {type(error).__name__}"


def _page(connection: socket.socket) -> str:
    connection.settimeout(_SECONDS)
    talk = http.client.HTTPConnection("localhost")
    talk.sock = connection
    talk.request("GET", PATH, headers={"Connection": "close"})
    return talk.getresponse().read(_LIMIT).decode(errors="replace")


def _counted(answers: Iterable[str]) -> str:
    said = list(answers)
    return ", ".join(f"{one} ({said.count(one)} asked)" for one in sorted(set(said)))
