"""Table of kubeconfigs -> which is refused, and in which words; none of what stands in it is ever repeated."""

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from meshpki.cluster.client import ClusterError
from meshpki.cluster.kubeconfig import configured
from meshpki.cluster.kubernetes import KubernetesCluster, connect
from meshpki.cluster.manifest import Ref
from meshpki.cluster.silence import why
from meshpki.errors import PreconditionError
from tests.support.apiserver import NAME, Reply, StandIn, running
from tests.support.proxy import proxying

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


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and no pod, but for what a test says."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def every_way(cluster: KubernetesCluster) -> tuple[str, ...]:
    """What comes by a request, by a stream of our own, and by a stream of the library's."""
    pod = Ref("v1", "Pod", "ns", "a")
    fetched = dict(cluster.fetch([pod], 15000, "/", 1))[pod]
    return cluster.version(), str(fetched), cluster.execute(pod, "c", ["true"])


ARRIVED = ("v1.35.4", "b'here'", "here")


def test_a_server_on_this_machine_is_asked_for_by_no_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with running(StandIn(lambda _: Reply(b"here")), tmp_path) as path:
        assert every_way(connect(kubeconfig=path)) == ARRIVED


@pytest.mark.parametrize("named", [False, True], ids=["by the environment", "by the kubeconfig"])
def test_a_proxy_is_told_the_user_that_its_url_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: None, *, named: bool
) -> None:
    with running(StandIn(lambda _: Reply(b"here")), tmp_path) as path:
        content = json.loads(path.read_text())
        cluster = content["clusters"][0]["cluster"]
        port = int(cluster["server"].rpartition(":")[2])
        with proxying(port, f"me:{CANARY}?>~ü") as proxy:
            url = f"http://me:{CANARY}%3F%3E~%C3%BC@127.0.0.1:{proxy.port}"
            cluster["server"] = f"https://{NAME}:{port}"
            if named:
                cluster["proxy-url"] = url
                monkeypatch.setenv("NO_PROXY", NAME)  # which is of the environment's proxies alone, as kubectl has it
            else:
                monkeypatch.setenv("HTTPS_PROXY", url)
            path.write_text(json.dumps(content))
            assert every_way(connect(kubeconfig=path)) == ARRIVED
    assert (proxy.led, proxy.refused) == ([f"{NAME}:{port}"] * 3, 0)


def test_a_command_by_a_proxy_that_is_spoken_to_by_tls_is_refused_and_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"https://me:{CANARY}@127.0.0.1:1")
    cluster = connect(kubeconfig=kubeconfig(tmp_path, config().replace("127.0.0.1", NAME)))
    with pytest.raises(ClusterError, match="through a proxy of kind https is not possible") as refused:
        cluster.execute(Ref("v1", "Pod", "ns", "a"), "c", ["true"])
    assert CANARY not in f"{refused.value} {refused.value.remedy}"


def test_a_proxy_that_lets_nobody_in_is_told_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: None
) -> None:
    with proxying(1, "me:other") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{CANARY}@127.0.0.1:{proxy.port}")
        cluster = connect(kubeconfig=kubeconfig(tmp_path, config().replace("127.0.0.1", NAME)))
        pod = Ref("v1", "Pod", "ns", "a")
        told = [str(dict(cluster.fetch([pod], 15000, "/", 1))[pod])]
        for ask in (cluster.version, lambda: cluster.execute(pod, "c", ["true"])):
            with pytest.raises(ClusterError) as caught:
                ask()
            told.append(f"{caught.value} {caught.value.remedy}")
    assert proxy.refused >= 3
    assert CANARY not in " ".join(told)


@pytest.mark.parametrize(
    ("server", "no_proxy", "proxied"),
    [
        ("https://10.1.2.3:6443", "", True),
        ("https://10.1.2.3:6443", "10.0.0.0/8", False),
        ("https://10.1.2.3:6443", "localhost,10.1.2.4", True),
        ("https://api.example.org", ".example.org", False),
        ("https://api.example.org", "*", False),
        ("https://localhost:6443", "", False),
        ("https://127.0.0.9:6443", "", False),
        ("https://[::1]:6443", "", False),
    ],
)
def test_the_environments_proxy_is_taken_but_where_no_proxy_or_this_machine_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: None, server: str, no_proxy: str, *, proxied: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = configured("", kubeconfig(tmp_path, config().replace("https://127.0.0.1:1", server))).settings.proxy
    assert found == ("http://proxy.example:3128" if proxied else "")


PLUGIN = "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: COMMAND, args: [ARG]}"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/bin/false", "exit code 1"),
        ("/nowhere/plugin", "No such file or directory"),
        ("/bin/echo", "failed to decode process output"),
    ],
)
def test_a_credential_plugin_that_gives_nothing_is_named_with_where_it_stands(
    tmp_path: Path, command: str, said: str
) -> None:
    text = config().replace("token: canary-token", PLUGIN.replace("COMMAND", command).replace("ARG", CANARY))
    path = kubeconfig(tmp_path, text)
    error = refused(path)
    assert (error.code, error.where) == ("MPK-101", f"user me of {path}")
    assert f"`{command}`" in error.what
    assert said in error.what
    assert "by hand" in error.remedy


def test_a_plugin_beside_a_token_is_not_asked(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, config(user=PLUGIN.replace("COMMAND", "/bin/false")))
    assert configured("", path).settings.api_key == {"BearerToken": f"Bearer {CANARY}"}


def test_whoever_acts_as_somebody_else_does_so_in_every_request(tmp_path: Path) -> None:
    api = StandIn(lambda _: Reply(b"here"))
    with running(api, tmp_path) as path:
        content = json.loads(path.read_text())
        content["users"][0]["user"] |= {
            "as": "low",
            "as-uid": "7",
            "as-groups": ["one", "two"],
            "as-user-extra": {"example.org/why": ["a", "b"]},
        }
        path.write_text(json.dumps(content))
        cluster = connect(kubeconfig=path)
        every_way(cluster)
        cluster.allowed("get", "", "pods")
        with cluster.forward(Ref("v1", "Pod", "ns", "a"), 15012):
            pass
    assert len(api.seen.acting) == 5
    low = ["Impersonate-Extra-example.org%2Fwhy: a", "Impersonate-Extra-example.org%2Fwhy: b"]
    low += ["Impersonate-Group: one", "Impersonate-Group: two", "Impersonate-Uid: 7", "Impersonate-User: low"]
    assert [*api.seen.acting.values()] == [low] * 5


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: None) -> Iterator[tuple[Path, StandIn]]:
    """What the kubelet gives a pod: the environment, and the folder of its account."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    api = StandIn(lambda _: Reply(b"here"))
    with running(api, tmp_path) as path:
        cluster = json.loads(path.read_text())["clusters"][0]["cluster"]
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", cluster["server"].rpartition(":")[2])
        (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        (tmp_path / "token").write_text("first")
        yield tmp_path, api


@pytest.mark.parametrize("context", ["", "in-cluster"])
def test_a_pod_without_a_kubeconfig_asks_as_its_service_account(pod: tuple[Path, StandIn], context: str) -> None:
    folder, api = pod
    access = configured(context, account=folder)
    access.settings.tls_server_name = NAME  # the stand-in's certificate does not name its address
    cluster = KubernetesCluster(access)
    assert every_way(cluster) == ARRIVED
    assert {token.lower() for token in api.seen.tokens} == {"bearer first"}
    assert (cluster.context, cluster.handed_on) == ("in-cluster", "")


def test_a_pod_with_a_kubeconfig_or_without_an_account_asks_by_the_kubeconfig(pod: tuple[Path, StandIn]) -> None:
    folder, _ = pod
    path = kubeconfig(folder, config())
    found = configured("", path, account=folder)
    assert (found.context, found.handed_on) == ("prod", "prod")
    for context, account in (("", folder / "nowhere"), ("prod", folder)):
        with pytest.raises(PreconditionError, match="there is no such kubeconfig"):
            configured(context, account=account)


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
