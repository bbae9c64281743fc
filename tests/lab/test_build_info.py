import http.server
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from meshpki.cluster.manifest import Object
from meshpki.lab.build_info import WITNESSES, Witness, of_envoy, told
from meshpki.lab.inventory import running
from tests.support.cluster import InMemoryCluster

ETCD, COREDNS, _, _, SIDECAR, GATEWAY = WITNESSES
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
def test_the_version_is_the_gauges_label_and_nothing_else(witness: Witness, page: str, expected: str) -> None:
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
    assert told(cluster) == {"envoy": "1.37.0 (2 asked)"}


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
    assert running(cluster)["etcd"] == "not told: ClusterError (1 asked)"
    cluster.listeners = {("etcd", 2381): serving(PAGE)}
    server = pod(replace(ETCD, name="kube-apiserver", label="component=kube-apiserver"), "server", tag="v1.0.0")
    cluster.put(server, pod(replace(ETCD, name="pause", label="a=b"), "other", tag="3.10.1"))
    rows = {"kube-apiserver": "v1.35.4", "etcd": "3.6.6 (1 asked)", "pause": "tag 3.10.1 (1 running)"}
    assert list(running(cluster).items()) == list(rows.items())
