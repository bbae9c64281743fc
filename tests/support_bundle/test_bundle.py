import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshpki.cli.bundling import Asked, fill
from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.trust import PIN
from meshpki.install import WISH, wish_manifest
from meshpki.settings import Settings, defaults
from meshpki.support_bundle import FOLDER, Archive
from tests.support import certificates as made
from tests.support.canaries import Canaries, members
from tests.support.cluster import config_map
from tests.support.control_plane import ControlPlane
from tests.support.mesh import Mesh, agent, held, pod

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
ASKED = Asked(None, timedelta(hours=1), 2000)
STAMP = "2026-11-24T11:59:00Z"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def log(*lines: str) -> str:
    return "".join(f"{STAMP} {line}\n" for text in lines for line in text.splitlines())


def event(name: str, message: str, namespace: str = "bookinfo") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Warning",
        "reason": "Failed",
        "message": message,
        "lastTimestamp": STAMP,
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": "reviews-v1-5d9-x", "uid": "u"},
    }


def secret(name: str, notes: Object, **data: bytes) -> Object:
    content = {key: base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": "istio-system", "annotations": notes}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": content}


def cert_manager_object(kind: str, name: str, notes: Object, status: Object, namespace: str = "istio-system") -> Object:
    metadata = {"name": name, "namespace": namespace, "annotations": notes}
    spec = {"secretName": name, "privateKey": {"algorithm": "ECDSA"}, "issuerRef": {"name": "someone"}}
    return {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def collected(cluster: Mesh, asked: Asked = ASKED) -> dict[str, bytes]:
    stream = io.BytesIO()
    with Archive(stream, AT) as archive:
        fill(archive, cluster, asked, AT)
    found = members(stream.getvalue())
    assert all(name.startswith(f"{FOLDER}/") for name in found)
    return {name.removeprefix(f"{FOLDER}/"): content for name, content in found.items()}


def mesh(*more: Object) -> Mesh:
    """A healthy mesh whose pods have logs, and what `up` keeps."""
    cluster = ControlPlane().around(pod(), agent(), *more, reviews_v1_5d9_x=held())
    cluster.put(wish_manifest(defaults()))
    cluster.answers["logs istio-proxy"] = log("info cache generated new workload certificate ttl=59m59s")
    cluster.answers["logs spire-agent"] = log("level=info msg=attested")
    return cluster


def planted(canaries: Canaries) -> Mesh:
    """The same with a canary wherever somebody may have left a secret."""
    word, key, pem, jwt = canaries.word, canaries.key, canaries.pem, canaries.jwt
    leaky = pod("details-v1-7c6-y", account="bookinfo-details")
    leaky["metadata"]["annotations"] = {APPLIED: f'{{"env":"{word("pod last-applied")}"}}', "a/b": word("pod note")}
    leaky["spec"]["containers"] = [
        {
            "name": "app",
            "image": f"https://user:{word('image pull URL')}@registry.example.org/app",
            "env": [{"name": "PLAIN", "value": word("pod env")}, {"name": "B", "valueFrom": {"secretKeyRef": {}}}],
            "args": [f"--api-token={word('argument')}", "--password", word("argument after its option")],
            "readinessProbe": {"httpGet": {"httpHeaders": [{"name": "X-Any", "value": word("probe header")}]}},
        }
    ]
    leaky["spec"]["initContainers"][0]["env"] = [{"name": "TOKEN", "value": word("sidecar env")}]
    leaky["status"]["conditions"].append({"type": "X", "message": f"dial https://u:{word('pod condition')}@h/"})
    wish = wish_manifest(overlaid(word("overlay env"), word("overlay password")))
    wish["metadata"]["annotations"] = {APPLIED: word("wish last-applied")}
    wish["data"]["more"] = word("other data of the wish")
    spiffe_id = {"apiVersion": "spire.spiffe.io/v1alpha1", "kind": "ClusterSPIFFEID"}
    cluster = mesh(
        leaky,
        secret("cacerts", {APPLIED: word("Secret last-applied")}, **{"tls.key": key("Secret key", "RSA-2048")}),
        secret("agent-token", {}, token=jwt("ServiceAccount token").encode()),
        config_map("app", "istio-system", any=word("other ConfigMap")),
        cert_manager_object(
            "Certificate", "web", {"x/y": word("Certificate note")}, {"failed": f"token={word('Certificate status')}"}
        ),
        cert_manager_object("CertificateRequest", "web-1", {"x/y": word("request note"), APPLIED: pem("request")}, {}),
        {**spiffe_id, "metadata": {"name": "all", "annotations": {"n": word("ClusterSPIFFEID note")}}, "spec": {}},
        event("one", f"Error: password={word('event')} refused"),
        event("two", f"pull https://robot:{word('event URL')}@registry.example.org/v2", "istio-system"),
    )
    cluster.put(wish)
    root = made.mesh_root().pem.decode()
    cluster.put(config_map("istio-ca-root-cert", "bookinfo", **{"root-cert.pem": root + pem("key in a bundle")}))
    cluster.answers |= {
        "logs istio-proxy": log(f"authorization: Bearer {word('log bearer')}", pem("log PEM"), "ends"),
        "logs spire-agent": log(
            f"key is {base64.b64encode(key('log base64')).decode()}",
            base64.encodebytes(key("log wrapped base64", "RSA-2048")).decode(),
            f'{{"client_secret":"{word("log JSON")}"}}',
            f"got {jwt('log token')}",
        ),
        "logs spire-server": log(base64.b64encode(f"url=https://u:{word('log nested')}@h".encode()).decode()),
        "logs app": log(word("a workload's own log")),
    }
    return cluster


def overlaid(env: str, password: str) -> Settings:
    operator = {"values": {"pilot": {"env": {"ANY": env}}, "global": {"proxy": {"password": password}}}}
    return replace(defaults(), istio=replace(defaults().istio, operator=operator))


def test_of_three_dozen_canaries_none_is_in_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canaries = Canaries()
    cluster = planted(canaries)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(canaries.jwt("kubeconfig token") + canaries.pem("kubeconfig key"))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("SOME_PASSWORD", canaries.word("process environment"))
    found = collected(cluster, replace(ASKED, kubeconfig=kubeconfig))
    assert len(canaries.planted) >= 36
    assert canaries.found(found) == {}
    for name in ("logs/bookinfo/reviews-v1-5d9-x/istio-proxy.log", "objects/pod.json", "events/bookinfo.json"):
        assert b"***" in found[name], name


def test_the_search_finds_a_canary_that_gets_out() -> None:
    canaries = Canaries()
    word, der = canaries.word("word"), canaries.key("key")
    nested = base64.b64encode(f"x {word}".encode())
    assert canaries.found({"a": b"x" + nested, "b": base64.encodebytes(der)}) == {"word": "a", "key": "b"}


def test_a_bundle_reads_no_secret_writes_nothing_and_runs_no_command() -> None:
    cluster = mesh()
    collected(cluster)
    assert cluster.writes == []
    assert {verb for verb, _ in cluster.requests} <= {"get", "list", "logs", "forward", "review", "dry-run"}
    assert [what for _, what in cluster.requests if "Secret" in what] == []


def test_the_manifest_has_the_digest_of_every_other_member_in_their_order() -> None:
    found = collected(mesh())
    manifest = json.loads(found.pop("manifest.json"))
    assert [one["name"] for one in manifest["members"]] == list(found)
    assert [one["sha256"] for one in manifest["members"]] == [hashlib.sha256(one).hexdigest() for one in found.values()]
    assert [one["bytes"] for one in manifest["members"]] == [len(one) for one in found.values()]
    assert manifest["at"] == "2026-11-24T12:00:00Z"


def test_two_bundles_of_one_state_are_the_same_bytes() -> None:
    def made_once() -> bytes:
        stream = io.BytesIO()
        with Archive(stream, AT) as archive:
            archive.add("b/one.txt", "one")
            archive.add("a/two.txt", "two")
            archive.lacks("three", "why")
        return stream.getvalue()

    assert made_once() == made_once()
    assert list(collected(mesh())) == list(collected(mesh()))


def test_a_bundle_holds_what_somebody_needs_to_help() -> None:
    notes = {"cert-manager.io/certificate-name": "web"}
    found = collected(
        mesh(
            cert_manager_object("Certificate", "web", notes, {"conditions": [{"type": "Ready", "status": "False"}]}),
            event("one", "Back-off restarting failed container"),
        )
    )
    assert {"reports/verify.json", "reports/status.json", "reports/certs.json", "reports/forecast.json"} <= set(found)
    assert json.loads(found["reports/verify.json"])["summary"]["proven"] == 1
    root = made.mesh_root().pem
    assert root in found["certificates/pin.pem"]
    assert root in found["certificates/kept/spire-bundle-spire-system.pem"]
    assert root in found["certificates/kept/istio-bundle-bookinfo.pem"]
    assert found["certificates/served/spire-server-0-8081.pem"].count(b"BEGIN CERTIFICATE") == 2
    assert found["certificates/served/istiod-0-15012.pem"].count(b"BEGIN CERTIFICATE") == 2
    assert found["certificates/requests/istio-system/cacerts-1.pem"].count(b"BEGIN CERTIFICATE") == 1
    assert found["certificates/envoys/bookinfo/reviews-v1-5d9-x.pem"].count(b"BEGIN CERTIFICATE") == 3
    (certificate,) = json.loads(found["objects/certificate.json"])
    assert certificate["metadata"]["annotations"] == notes
    assert certificate["spec"] == {
        "secretName": "web",
        "privateKey": {"algorithm": "ECDSA"},
        "issuerRef": {"name": "someone"},
    }
    assert certificate["status"]["conditions"] == [{"type": "Ready", "status": "False"}]
    (told,) = json.loads(found["events/bookinfo.json"])
    assert (told["reason"], told["message"]) == ("Failed", "Back-off restarting failed container")
    assert b"attested" in found["logs/spire-system/spire-agent-node-1/spire-agent.log"]
    assert json.loads(found["settings/meshpki.json"])["trustDomain"] == "example.org"
    assert json.loads(found["versions.json"])["kubernetes"] == "v1.35.4"


def test_what_may_not_be_read_is_told_and_stops_nothing() -> None:
    cluster = mesh(cert_manager_object("Certificate", "web", {}, {}))
    cluster.denied = frozenset({"Event", "CertificateRequest"})
    cluster.hidden = frozenset({"ConfigMap"})
    found = collected(cluster)
    missing = {one["what"]: one["why"] for one in json.loads(found["manifest.json"])["missing"]}
    assert "list refused: Event" in missing["events in istio-system"]
    assert "list refused" in missing["CertificateRequest objects"]
    assert "get refused" in missing["report verify"]
    assert "the kept settings; the defaults are assumed" in missing
    assert {"objects/pod.json", "objects/certificate.json", "versions.json"} <= set(found)


@pytest.mark.parametrize(("ref", "code"), [(WISH, "MPK-376"), (PIN, "MPK-376")])
def test_a_damaged_config_map_of_ours_is_told_and_stops_nothing(ref: Ref, code: str) -> None:
    cluster = mesh()
    cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ref.name, "namespace": ref.namespace}})
    found = collected(cluster)
    told = [one["why"] for one in json.loads(found["manifest.json"])["missing"]]
    assert any(code in why for why in told)
    assert "versions.json" in found


def test_a_mesh_that_is_not_there_makes_a_small_bundle_that_says_so() -> None:
    found = collected(Mesh())
    missing = {one["what"] for one in json.loads(found["manifest.json"])["missing"]}
    assert {"report verify", f"the settings of {WISH}"} <= missing
    assert "versions.json" in found


def test_logs_of_a_workload_and_of_strangers_in_our_namespaces_are_not_read() -> None:
    stranger = agent(node="node-2")
    stranger["spec"]["containers"] = [{"name": "grafana"}]
    cluster = mesh(stranger)
    cluster.answers |= {"logs app": log("mine"), "logs grafana": log("theirs")}
    found = collected(cluster)
    assert [name for name in found if name.startswith("logs/")] == [
        "logs/bookinfo/reviews-v1-5d9-x/istio-proxy.log",
        "logs/spire-system/spire-agent-node-1/spire-agent.log",
    ]


@pytest.mark.parametrize(
    ("since", "lines", "told"),
    [
        (timedelta(hours=1), 2000, ["an hour ago", "a minute ago", "just now"]),
        (timedelta(hours=2), 2000, ["older", "an hour ago", "a minute ago", "just now"]),
        (timedelta(minutes=5), 2000, ["a minute ago", "just now"]),
        (timedelta(minutes=5), 1, ["just now"]),
    ],
)
def test_logs_go_back_as_far_as_was_asked_and_no_further(since: timedelta, lines: int, told: list[str]) -> None:
    cluster, ago = mesh(), {"older": 61, "an hour ago": 60, "a minute ago": 1, "just now": 0}
    said = [f"{(AT - timedelta(minutes=minutes)).isoformat()} {text}\n" for text, minutes in ago.items()]
    cluster.answers["logs spire-agent"] = "".join(said)
    found = collected(cluster, replace(ASKED, since=since, lines=lines))
    assert found["logs/spire-system/spire-agent-node-1/spire-agent.log"].decode().splitlines() == told


def test_a_restarted_container_brings_its_last_words_too() -> None:
    cluster = mesh()
    cluster.put(agent(ready=False))
    cluster.answers["previous logs spire-agent"] = log("panic")
    assert b"panic" in collected(cluster)["logs/spire-system/spire-agent-node-1/spire-agent.previous.log"]


def test_pods_that_are_not_proven_come_first_where_there_is_no_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpki.support_bundle.logs.PODS", 1)
    cluster = mesh(pod("zz-v1-1-z"))
    found = collected(cluster)
    assert [name for name in found if name.startswith("logs/bookinfo")] == ["logs/bookinfo/zz-v1-1-z/istio-proxy.log"]
    missing = [one["what"] for one in json.loads(found["manifest.json"])["missing"]]
    assert "1 more pods' proxies' logs" in missing


def test_a_namespace_narrows_the_workloads_and_not_the_mesh_itself() -> None:
    cluster = mesh(pod("other-v1-1-z", namespace="shop"))
    found = collected(cluster, replace(ASKED, namespace="shop"))
    pods = [one["metadata"]["name"] for one in json.loads(found["objects/pod.json"])]
    assert "other-v1-1-z" in pods
    assert "reviews-v1-5d9-x" not in pods
    assert "spire-agent-node-1" in pods


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("logs/a/../b.log", "logs/a/_/b.log"),
        ("logs//x", "logs/_/x"),
        ("a\x1b[2J\n", "a__2J_"),
        ("x" * 300, "x" * 128),
    ],
)
def test_a_name_of_the_cluster_is_safe_to_unpack(name: str, safe: str) -> None:
    stream = io.BytesIO()
    with Archive(stream, AT) as archive:
        archive.add(name, "x")
    assert next(iter(members(stream.getvalue()))) == f"{FOLDER}/{safe}"


def test_members_and_folders_are_bounded_and_what_has_no_room_is_told() -> None:
    stream = io.BytesIO()
    with Archive(stream, AT, member=100, section=300) as archive:
        archive.add("logs/big", "x" * 101)
        for number in range(4):
            archive.add(f"logs/{number}", "x" * 100)
        archive.add("other/one", "x")
    assert [one.what for one in archive.missing] == ["logs/big", "logs/3"]
    assert [one.name for one in archive.members[-2:]] == ["other/one", "manifest.json"]


def test_of_a_long_list_as_much_is_kept_as_has_room() -> None:
    stream = io.BytesIO()
    with Archive(stream, AT, member=100) as archive:
        archive.add_list("a.json", ({"n": number} for number in range(5)), "things", 3)
        archive.add_list("b.json", ("x" * 30 for _ in range(4)), "texts", 9)
        archive.add_list("c.json", (), "nothing", 9)
    found = members(stream.getvalue())
    assert json.loads(found[f"{FOLDER}/a.json"]) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert len(json.loads(found[f"{FOLDER}/b.json"])) == 2
    assert f"{FOLDER}/c.json" not in found
    assert [one.what for one in archive.missing] == ["2 more things", "2 more texts"]


def test_members_belong_to_nobody_and_are_for_their_owner_alone() -> None:
    stream = io.BytesIO()
    with Archive(stream, AT) as archive:
        archive.add("one", "x")
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as tar:
        assert {(one.mode, one.uid, one.gid, one.uname, one.mtime) for one in tar} == {
            (0o600, 0, 0, "", int(AT.timestamp()))
        }


def test_an_api_server_that_goes_away_in_between_leaves_a_bundle_of_what_there_was() -> None:
    class Leaving(Mesh):
        def scan(self, query: Query) -> Iterator[Object]:
            if query.kind == "Event":
                raise ClusterError("MPK-101", "no answer", where="api")
            yield from super().scan(query)

    base = mesh()
    cluster = Leaving(objects=base.objects, listeners=base.listeners, answers=base.answers, server_date=AT)
    found = collected(cluster)
    assert "reports/verify.json" in found
    assert any("no answer" in one["why"] for one in json.loads(found["manifest.json"])["missing"])
    assert Ref("v1", "ConfigMap", "kube-system", "meshpki") in cluster.objects
