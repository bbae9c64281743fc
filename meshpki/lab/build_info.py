"""The version that a running process tells of itself, on a port or in a log that it has anyway; its tag may lie."""

import http.client
import json
import re
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.errors import MeshpkiError

PATH = "/metrics"
NOT_TOLD = "not told"
_LIMIT = 8 * 1024 * 1024
_SECONDS = 5.0
_ALL_LINES = 10_000_000
_HEAD = 64 * 1024


def by_gauge(gauge: str, key: str, metrics: str) -> str:
    """The label `key` of a gauge in a page of metrics (Prometheus text format 0.0.4); empty where it is not there."""
    row = re.search(rf"^{gauge}\{{(?P<labels>.*)\}} 1(?:\.0)?$", metrics, re.MULTILINE)
    found = re.search(rf'(?:^|,){key}="(?P<value>[^"]*)"', row["labels"]) if row else None
    return found["value"] if found else ""


def of_envoy(info: str) -> str:
    """The version in Envoy's `server_info`: REVISION/VERSION/STATUS/BUILD/TLS; empty where it is none."""
    try:
        parts = str(json.loads(info)["version"]).split("/")
    except (ValueError, TypeError, KeyError):
        return ""
    return parts[1] if len(parts) > 1 else ""


@dataclass(frozen=True, slots=True)
class OnPort:
    """A component whose pods (of namespace and label) have a plain port with a page that names the version.

    Where `name` is that of its image, what it says stands in place of the image's tag.
    """

    name: str
    namespace: str
    label: str
    port: int
    version: Callable[[str], str]
    path: str = PATH


@dataclass(frozen=True, slots=True)
class InLog:
    """A component without such a port, whose container names its version in a line when it starts.

    It is the first group of `line`. A log that the kubelet has begun anew since then does not tell it any more.
    """

    name: str
    namespace: str
    label: str
    container: str
    line: str

    def version(self, log: str) -> str:
        """What the line says; empty where it is not there."""
        found = re.search(self.line, log, re.MULTILINE)
        return found[1] if found else ""


Witness: TypeAlias = OnPort | InLog

# etcd server/etcdserver/metrics.go at v3.6, coredns plugin/metrics/vars at v1.15, component-base/version/prometheus,
# istio pkg/version/prometheus.go; kubeadm's etcd and kube-proxy listen on the node's loopback, which a forward reaches.
# Envoy has a version of its own, not Istio's; sidecars and gateways are told by different labels.
_SIDECAR = ("", "security.istio.io/tlsMode=istio")
_GATEWAY = ("istio-system", "istio=ingressgateway")
ON_PORTS = (
    OnPort("etcd", "kube-system", "component=etcd", 2381, partial(by_gauge, "etcd_server_version", "server_version")),
    OnPort("coredns", "kube-system", "k8s-app=kube-dns", 9153, partial(by_gauge, "coredns_build_info", "version")),
    OnPort(
        *("kube-proxy", "kube-system", "k8s-app=kube-proxy", 10249),
        partial(by_gauge, "kubernetes_build_info", "git_version"),
    ),
    OnPort("pilot", "istio-system", "app=istiod", 15014, partial(by_gauge, "istio_build", "tag")),
    OnPort("envoy", *_SIDECAR, 15000, of_envoy, "/server_info"),
    OnPort("envoy", *_GATEWAY, 15000, of_envoy, "/server_info"),
)

# kubernetes cmd/kube-controller-manager/app/controllermanager.go and cmd/kube-scheduler/app/server.go at v1.35, whose
# metrics ask for a right; spire pkg/server/server.go and pkg/agent/agent.go at v1.15, spiffe-csi
# cmd/spiffe-csi-driver/main.go at v0.2, which have no port; istio pilot/cmd/pilot-agent, whose metrics are Envoy's too;
# modules/cert-manager/main.go here.
_KUBERNETES = r'\] "Starting(?: Kubernetes Scheduler)?" version="([^"]+)"'
_ON_CONTROL_PLANE = ("kube-controller-manager", "kube-scheduler")
_CERT_MANAGER = r'\] "starting cert-manager" .*\bversion="([^"]+)"'
_CSI = r'\tStarting\.\t\{"version": "([^"]+)"'
_SPIRE = r'msg=(?:Configured|"Starting agent") .*\bversion=(\S+)'
_ISTIO = r"\tVersion (\S+)-[^-\s]+-[^-\s]+$"
IN_LOGS = (
    *(InLog(name, "kube-system", f"component={name}", name, _KUBERNETES) for name in _ON_CONTROL_PLANE),
    *(
        InLog(name, "cert-manager", f"app.kubernetes.io/component={name.rpartition('-')[2]}", name, _CERT_MANAGER)
        for name in ("cert-manager-controller", "cert-manager-webhook", "cert-manager-cainjector")
    ),
    *(InLog(name, "", f"app.kubernetes.io/name={name}", name, _SPIRE) for name in ("spire-server", "spire-agent")),
    InLog("spiffe-csi-driver", "", "app.kubernetes.io/name=spiffe-csi-driver", "spiffe-csi-driver", _CSI),
    InLog("proxyv2", *_SIDECAR, "istio-proxy", _ISTIO),
    InLog("proxyv2", *_GATEWAY, "istio-proxy", _ISTIO),
)
WITNESSES: tuple[Witness, ...] = (*ON_PORTS, *IN_LOGS)


def told(reader: Reader) -> dict[str, str]:
    """Component -> each version and how many of its running processes say so, or why one does not."""
    pods = {witness: _running(reader, witness) for witness in WITNESSES}
    asked = [(witness, pod) for witness, found in pods.items() for pod in found]
    with ThreadPoolExecutor(8) as workers:
        answers = list(workers.map(lambda pair: (pair[0].name, _ask(reader, *pair)), asked))
    names = dict.fromkeys(name for name, _ in answers)
    return {name: _counted(answer for whose, answer in answers if whose == name) for name in names}


def _running(reader: Reader, witness: Witness) -> list[Ref]:
    pods = reader.list(Query("v1", "Pod", witness.namespace, labels=witness.label))
    found = (pod["metadata"] for pod in pods if _runs(pod))
    return [Ref("v1", "Pod", metadata["namespace"], metadata["name"]) for metadata in found]


def _runs(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


def _ask(reader: Reader, witness: Witness, pod: Ref) -> str:
    try:
        return witness.version(_read(reader, witness, pod)) or NOT_TOLD
    except (MeshpkiError, OSError, http.client.HTTPException) as error:
        return f"{NOT_TOLD}: {type(error).__name__}"


def _read(reader: Reader, witness: Witness, pod: Ref) -> str:
    match witness:
        case OnPort():
            with reader.forward(pod, witness.port) as connection:
                return _page(connection, witness.path)
        case InLog():
            return reader.logs(pod, witness.container, _ALL_LINES, limit=_HEAD)


def _page(connection: socket.socket, path: str) -> str:
    connection.settimeout(_SECONDS)
    talk = http.client.HTTPConnection("localhost")
    talk.sock = connection
    talk.request("GET", path, headers={"Connection": "close"})
    return talk.getresponse().read(_LIMIT).decode(errors="replace")


def _counted(answers: Iterable[str]) -> str:
    said = list(answers)
    return ", ".join(f"{one} ({said.count(one)} asked)" for one in sorted(set(said)))
