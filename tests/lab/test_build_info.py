import http.server
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from meshpki.cluster.manifest import Object
from meshpki.lab.build_info import IN_LOGS, ON_PORTS, InLog, OnPort, Witness, of_envoy, told
from meshpki.lab.inventory import running
from tests.support.cluster import InMemoryCluster

ETCD, COREDNS, _, _, SIDECAR, GATEWAY = ON_PORTS
CONTROLLER_MANAGER, SCHEDULER, CERT_MANAGER, WEBHOOK, _, SERVER, AGENT, CSI, PROXY, GATEWAYS_PROXY = IN_LOGS
PAGE = """\
# HELP etcd_server_version Which version is running. 1 for 'server_version' label with current version.
# TYPE etcd_server_version gauge
etcd_server_version{server_version="3.6.6"} 1
# TYPE coredns_build_info gauge
coredns_build_info{goversion="go1.26.6",revision="",version="1.15.0"} 1
"""


def pod(witness: Witness, name: str, phase: str = "Running", tag: str = "0.0.1") -> Object:
    key, _, value = witness.label.partition("=")
    image = {"image": f"registry.k8s.io/{witness.name}:{tag}", "state": {"running": {}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": witness.namespace, "labels": {key: value}},
        "status": {"phase": phase, "containerStatuses": [image]},
    }


def serving(page: str, status: int = 200, path: str = "/metrics") -> Callable[[socket.socket], None]:
    """A process that answers one request for its metrics, or for another page."""

    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == path
            self.send_response(status)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None: ...

    def serve(connection: socket.socket) -> None:
        Metrics(connection, ("", 0), None)  # type: ignore[arg-type]
        connection.close()

    return serve


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """A process that reads a request, answers with these bytes and goes away."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        connection.close()

    return serve


@pytest.mark.parametrize(
    ("witness", "page", "expected"),
    [
        (ETCD, PAGE, "3.6.6"),
        (COREDNS, PAGE, "1.15.0"),
        (ETCD, PAGE.replace('"} 1', '"} 0'), ""),
        (ETCD, "", ""),
        (ETCD, 'etcd_server_version{other="1"} 1', ""),
        (ETCD, '# etcd_server_version{server_version="9"} 1', ""),
        (COREDNS, 'coredns_build_info{goversion="go1.26.6"} 1', ""),
    ],
    ids=["etcd", "coredns", "not set", "nothing", "another label", "a comment", "goversion is not version"],
)
def test_the_version_is_the_gauges_label_and_nothing_else(witness: OnPort, page: str, expected: str) -> None:
    assert witness.version(page) == expected


def test_what_each_running_process_says_is_counted() -> None:
    cluster = InMemoryCluster()
    cluster.put(pod(COREDNS, "one"), pod(COREDNS, "two"), pod(COREDNS, "ended", "Succeeded"), pod(ETCD, "etcd"))
    older = PAGE.replace("1.15.0", "1.14.0")
    pages = {"one": (9153, PAGE), "two": (9153, older), "etcd": (2381, PAGE)}
    cluster.listeners = {(name, port): serving(page) for name, (port, page) in pages.items()}
    assert told(cluster) == {"etcd": "3.6.6 (1 asked)", "coredns": "1.14.0 (1 asked), 1.15.0 (1 asked)"}


INFO = '{"version": "16ff4b3/1.37.0/Clean/RELEASE/BoringSSL", "state": "LIVE"}'


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (INFO, "1.37.0"),
        ("{}", ""),
        ("[]", ""),
        ("no JSON", ""),
        ('{"version": null}', ""),
        ('{"version": "1.37.0"}', ""),
    ],
)
def test_envoys_version_is_the_second_part_of_what_it_calls_so(info: str, expected: str) -> None:
    assert of_envoy(info) == expected


def test_every_envoy_is_asked_in_a_sidecar_of_any_namespace_and_in_the_gateway() -> None:
    cluster = InMemoryCluster()
    sidecar = pod(replace(SIDECAR, namespace="bookinfo"), "details")
    cluster.put(sidecar, pod(GATEWAY, "gateway"), pod(replace(SIDECAR, namespace="team", label="a=b"), "stranger"))
    cluster.listeners = {(name, 15000): serving(INFO, path="/server_info") for name in ("details", "gateway")}
    cluster.answers = {f"logs {name} istio-proxy": logged(ISTIO) for name in ("details", "gateway")}
    assert told(cluster) == {"envoy": "1.37.0 (2 asked)", "proxyv2": "1.29.1 (2 asked)"}


KUBERNETES = 'I1126 16:04:48.338918       1 controllermanager.go:189] "Starting" version="v1.35.4"\n'
SCHEDULES = 'I1126 16:04:49.728049       1 server.go:175] "Starting Kubernetes Scheduler" version="v1.35.4"\n'
STARTS = 'I1126 16:22:21.123274       1 main.go:34] "starting cert-manager" logger="cert-manager.x" version="v1.21.2"\n'
SPIRE_SERVER = 'time="2026-11-26T16:12:36Z" level=info msg=Configured admin_ids="[]" data_dir=/data version=1.15.3\n'
SPIRE_AGENT = 'time="2026-11-26T16:14:04Z" level=info msg="Starting agent" data_dir=/data version=1.15.3\n'
DRIVER = (
    '2026-11-26T16:05:36.497Z\tINFO\tspiffe-csi-driver/main.go:45\tStarting.\t{"version": "0.2.6", "nodeID": "lab-1"}\n'
)
ISTIO = "2026-11-26T16:12:17.214350Z\tinfo\tVersion 1.29.1-unknown-Clean\n"
OTHERS = (
    'I1126 16:04:48.337514       1 feature_gate.go:1] "Starting" controller="endpoint" version="v9"\n',
    'time="2026-11-26T16:12:36Z" level=info msg="Plugin loaded" external=false version=9\n',
    '2026-11-26T16:05:36.497Z\tINFO\tdriver.go:1\tListening...\t{"version": "9"}\n',
    "2026-11-26T16:12:17.214350Z\tinfo\tXDS Version 9-unknown-Clean\n",
)


def logged(*lines: str) -> str:
    """As the container wrote them, each with the kubelet's time before it."""
    return "".join(f"2026-11-26T16:14:05Z {line}" for line in lines)


@pytest.mark.parametrize(
    ("witness", "line", "expected"),
    [
        (CONTROLLER_MANAGER, KUBERNETES, "v1.35.4"),
        (SCHEDULER, SCHEDULES, "v1.35.4"),
        (CERT_MANAGER, STARTS, "v1.21.2"),
        (WEBHOOK, STARTS, "v1.21.2"),
        (SERVER, SPIRE_SERVER, "1.15.3"),
        (AGENT, SPIRE_AGENT, "1.15.3"),
        (CSI, DRIVER, "0.2.6"),
        (PROXY, ISTIO, "1.29.1"),
        (PROXY, ISTIO.replace("1.29.1", "1.30.0-beta.1"), "1.30.0-beta.1"),
    ],
    ids=["controller-manager", "scheduler", "cert-manager", "webhook", "server", "agent", "driver", "proxy", "beta"],
)
def test_the_version_is_in_the_line_of_the_start_and_in_no_other(witness: InLog, line: str, expected: str) -> None:
    others = "".join(OTHERS)
    assert witness.version(f"{others}{line}{others}") == expected
    assert witness.version(others) == ""


def test_what_a_container_logged_at_its_start_is_believed_before_its_images_tag() -> None:
    cluster = InMemoryCluster()
    cluster.put(pod(replace(SERVER, namespace="spire-server"), "server", tag="1.0.0"))
    later = "time=now level=info msg=Served\n" * 10_000
    cluster.answers = {"logs server spire-server": logged(SPIRE_SERVER, *later.splitlines(keepends=True))}
    assert running(cluster)["spire-server"] == "1.15.3 (1 asked)"
    cluster.answers = {"logs server spire-server": logged(*later.splitlines(keepends=True))}
    assert running(cluster)["spire-server"] == "not told (1 asked), tag 1.0.0 (1 running)"


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (None, "not told: ClusterError (1 asked)"),
        (serving("no metrics"), "not told (1 asked)"),
        (saying(b""), "not told: RemoteDisconnected (1 asked)"),
        (saying(b"\0\0\r\n\r\n"), "not told: BadStatusLine (1 asked)"),
    ],
    ids=["no port", "no gauge", "no answer", "no HTTP"],
)
def test_a_process_that_does_not_tell_its_version_is_shown_as_such(
    serve: Callable[[socket.socket], None] | None, expected: str
) -> None:
    cluster = InMemoryCluster()
    cluster.put(pod(ETCD, "etcd"))
    cluster.listeners = {("etcd", 2381): serve} if serve else {}
    assert told(cluster) == {"etcd": expected}


def test_a_process_that_is_asked_is_believed_before_its_images_tag() -> None:
    cluster = InMemoryCluster()
    cluster.put(pod(ETCD, "etcd", tag="3.5.0-0"))
    assert running(cluster)["etcd"] == "not told: ClusterError (1 asked), tag 3.5.0-0 (1 running)"
    cluster.listeners = {("etcd", 2381): serving(PAGE)}
    server = pod(replace(ETCD, name="kube-apiserver", label="component=kube-apiserver"), "server", tag="v1.0.0")
    cluster.put(server, pod(replace(ETCD, name="pause", label="a=b"), "other", tag="3.10.1"))
    rows = {"kube-apiserver": "v1.35.4", "etcd": "3.6.6 (1 asked)", "pause": "tag 3.10.1 (1 running)"}
    assert list(running(cluster).items()) == list(rows.items())
