"""Table of kubeconfigs -> which is refused, and in which words; none of what stands in it is ever repeated."""

import socket
import ssl
from pathlib import Path

import pytest
import urllib3

from meshpki.cluster.client import ClusterError
from meshpki.cluster.kubernetes import connect
from meshpki.cluster.manifest import Ref
from meshpki.cluster.silence import why
from meshpki.errors import PreconditionError
from tests.support.apiserver import Reply, StandIn, running

CANARY = "canary-token"
ONE = """
apiVersion: v1
kind: Config
current-context: prod
contexts: [{name: prod, context: {cluster: prod, user: me}}]
clusters: [{name: prod, cluster: {server: "https://127.0.0.1:1"CLUSTER}}]
users: [{name: me, user: {token: canary-token USER}}]
"""


def kubeconfig(folder: Path, text: str) -> Path:
    path = folder / "config"
    path.write_text(text)
    return path


def config(cluster: str = "", user: str = "") -> str:
    return ONE.replace("CLUSTER", f", {cluster}" if cluster else "").replace(" USER", f", {user}" if user else "")


def refused(path: Path, context: str = "") -> PreconditionError:
    with pytest.raises(PreconditionError) as caught:
        connect(context, path)
    assert CANARY not in f"{caught.value} {caught.value.remedy}"
    return caught.value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{config()}\n  - : [", "no YAML at line"),
        ("[]", "no kubeconfig"),
        ("text", "no kubeconfig"),
        ("", "empty"),
        ("{}", "current-context"),
        ("users: 7", "no kubeconfig"),
        (config(cluster="certificate-authority-data: a"), "base64"),
        (config(cluster="certificate-authority: /nowhere/ca.crt"), "/nowhere/ca.crt"),
        (config().replace("user: {token", "other: {token"), "Expected key user"),
        ("\x00", "no YAML"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_named_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = kubeconfig(tmp_path, text)
    error = refused(path)
    assert (error.code, error.where) == ("MPK-101", str(path))
    assert told in error.what


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "nofile")
    assert (error.code, error.where) == ("MPK-101", str(tmp_path / "nofile"))
    assert "meshpki up --lab" in error.remedy
    assert "export KUBECONFIG" in error.remedy


def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    error = refused(kubeconfig(tmp_path, config()), "prd")
    assert error.what == "there is no context `prd`"
    assert "did you mean `prod`?" in error.remedy


def test_a_server_that_would_not_be_verified_is_refused_before_it_is_spoken_to(tmp_path: Path) -> None:
    error = refused(kubeconfig(tmp_path, config(cluster="insecure-skip-tls-verify: true")))
    assert error.code == "MPK-125"
    assert "insecure-skip-tls-verify" in error.where
    assert "certificate-authority-data" in error.remedy


def test_a_stream_says_why_there_is_no_connection(tmp_path: Path) -> None:
    with running(StandIn(lambda _: Reply()), tmp_path) as path:
        path.write_text(path.read_text().replace("api.example.org", "other.example.org"))
        cluster = connect(kubeconfig=path)
        with pytest.raises(ClusterError, match="certificate is not accepted"):
            cluster.execute(Ref("v1", "Pod", "ns", "a"), "c", ["true"])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "name not found"),
        (TimeoutError(), "timed out"),
        (ssl.SSLError(1, "[SSL] x"), "TLS failed: [SSL] x"),
        (ConnectionResetError(), "the connection was closed"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
        (RuntimeError("canary"), "RuntimeError"),
    ],
)
def test_the_cause_is_told_however_deep_it_is_wrapped(error: Exception, told: str) -> None:
    outer = urllib3.exceptions.ProtocolError("Connection aborted.", error)
    wrapped = urllib3.exceptions.MaxRetryError(urllib3.PoolManager().connection_from_url("http://x"), "/", outer)
    assert why(error) == told
    assert why(wrapped) == (told if told != "RuntimeError" else "MaxRetryError")
