"""The step of the probe looked at as data, and its gates' decisions."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Ref, owned, ref_of
from meshpki.components.probe import (
    NAMESPACE,
    NAMESPACE_REF,
    discard,
    judge_policies,
    judge_warm,
    make_way,
    node_of,
    probe,
    remove,
)
from meshpki.components.probe_control import PLAINTEXT, UNTRUSTED, judge
from meshpki.components.probe_flow import flows, per_second, read_target
from meshpki.components.probe_policies import Block
from meshpki.errors import GateTimeoutError, PreconditionError, UsageError
from meshpki.settings import defaults, read_text
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Failed, Readiness, Ready, Waiting
from meshpki.workflow.work import Limits
from tests.support.cluster import FakeClock, InMemoryCluster, namespace

NODES = ("node-a", "node-b")
TARGET = "shop.prod:8080/healthz?full=1"
MADE = probe(defaults(), NODES, TARGET)
TEMPLATES = Path(__file__).parents[2] / "templates" / "probe"


def of(kind: str, made: tuple[Object, ...] = MADE.manifests) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in made if item["kind"] == kind}


def pods() -> dict[str, Object]:
    return {name: item["spec"]["template"] for name, item in of("Deployment").items()}


def test_everything_lies_in_the_probes_own_namespace_and_nothing_twice() -> None:
    refs = [ref_of(item) for item in MADE.manifests]
    assert {ref.namespace for ref in refs} == {"", NAMESPACE}
    assert [ref for ref in refs if not ref.namespace] == [Ref("v1", "Namespace", "", NAMESPACE)]
    assert len(refs) == len(set(refs))


def test_no_manifest_carries_a_key_and_rendering_twice_gives_the_same() -> None:
    assert of("Secret") == {}
    assert "PRIVATE KEY" not in str(MADE.manifests)
    assert probe(defaults(), NODES, TARGET).manifests == MADE.manifests


def test_each_node_has_one_server_and_one_client_bound_to_it() -> None:
    bound = {}
    for name, pod in pods().items():
        terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        bound[name] = terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
    assert bound == {
        "server-0": "node-a",
        "client-0": "node-a",
        "server-1": "node-b",
        "client-1": "node-b",
        "untrusted": "node-a",
    }


def test_every_ordered_pair_the_gateway_the_target_and_a_stream_are_covered() -> None:
    command = pods()["client-1"]["spec"]["containers"][0]["command"]
    assert command[2:] == [
        *("5/s", "probe.meshpki.invalid", "server-0"),
        *("0", "http://server-0:8080/", "1", "http://server-1:8080/"),
        *("gateway", "http://istio-ingressgateway.istio-system/"),
        *("target", "http://shop.prod:8080/healthz?full=1"),
    ]
    titles = [flow.title for flow in flows(NODES)]
    assert titles == [
        *("node-a > node-a", "node-a > node-b", "node-a > gateway", "node-a ~ node-b (stream)"),
        *("node-b > node-a", "node-b > node-b", "node-b > gateway", "node-b ~ node-a (stream)"),
    ]
    assert any("retries and connections are its own" in flow.title for flow in flows(NODES, TARGET))


@pytest.mark.parametrize("nodes", [1, 2, 3, 10, 50])
def test_all_flows_together_ask_for_more_than_twenty_requests_a_second(nodes: int) -> None:
    requested = per_second(nodes) * len([flow for flow in flows([f"n{i}" for i in range(nodes)]) if not flow.stream])
    assert requested >= 30
    assert per_second(nodes) >= 2


def test_every_hop_has_a_connection_for_each_request_mtls_and_no_retry() -> None:
    rules = of("DestinationRule")
    assert set(rules) == {"server-0", "server-1", "server", "gateway"}
    for name, rule in rules.items():
        policy = rule["spec"]["trafficPolicy"]
        assert policy["connectionPool"]["http"]["maxRequestsPerConnection"] == 1
        assert policy["connectionPool"]["http"]["h2UpgradePolicy"] == "DO_NOT_UPGRADE"
        assert policy["tls"]["mode"] == ("DISABLE" if name == "gateway" else "ISTIO_MUTUAL")
    routed = {http["route"][0]["destination"]["host"] for rule in of("VirtualService").values() for http in _http(rule)}
    assert routed == {rule["spec"]["host"] for rule in rules.values()}
    assert all(http["retries"] == {"attempts": 0} for rule in of("VirtualService").values() for http in _http(rule))
    assert of("PeerAuthentication")["default"]["spec"] == {"mtls": {"mode": "STRICT"}}


def _http(rule: Object) -> list[Object]:
    return list(rule["spec"]["http"])


def test_no_proxy_of_anybody_else_hears_of_the_probe_but_the_gateway() -> None:
    seen = {
        name: item["metadata"]["annotations"]["networking.istio.io/exportTo"] for name, item in of("Service").items()
    }
    assert seen == {"server-0": ".", "server-1": ".", "server": ".,istio-system"}
    for kind in ("DestinationRule", "VirtualService"):
        for item in of(kind).values():
            assert set(item["spec"]["exportTo"]) <= {".", "istio-system"}


def test_images_are_upstreams_and_no_other_than_the_mesh_has() -> None:
    text = "istio: {hub: registry.invalid/istio}\nversions: {curl: 8.15.0}"
    made = probe(read_text(f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n{text}", "test"), NODES)
    images = {c["image"] for item in of("Deployment", made.manifests).values() for c in _containers(item)}
    assert images == {"registry.invalid/istio/proxyv2:1.29.1", "docker.io/curlimages/curl:8.15.0"}


def _containers(item: Object) -> list[Object]:
    return list(item["spec"]["template"]["spec"]["containers"])


def test_its_own_containers_keep_to_pod_securitys_restricted_profile() -> None:
    for item in of("Deployment").values():
        for container in _containers(item):
            context = container["securityContext"]
            assert context["runAsNonRoot"]
            assert context["runAsUser"] not in (0, 1337), "1337 is the proxy's, whose traffic is not captured"
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_pods_are_injected_as_the_workloads_are_and_the_control_is_not() -> None:
    notes = {name: pod["metadata"]["annotations"].get("inject.istio.io/templates") for name, pod in pods().items()}
    assert notes == {name: None if name == "untrusted" else "sidecar,spire" for name in notes}
    assert "holdApplicationUntilProxyStarts" not in str(MADE.manifests)
    assert pods()["untrusted"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_the_clients_program_is_the_same_whatever_it_is_told() -> None:
    assert of("ConfigMap")["probe"]["data"]["client.sh"] == (TEMPLATES / "part-client.sh.j2").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("shop", "shop:", "shop:0", "shop:65536", "shop:80 /x", "shop:80/a b", "shop:80/[1-9]", "shop:80/{a,b}"),
        *(
            "shop:80/$(X)",
            "shop:80/`id`",
            "shop:80/'",
            "shop:80/#x",
            "-shop:80",
            "SHOP:80",
            "http://shop:80/",
            "a:80\n",
        ),
    ],
)
def test_a_target_that_could_be_read_as_more_than_a_service_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_target(text)
    assert caught.value.code == "MPK-455"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("shop:80", "http://shop:80/"),
        ("a.b.svc.cluster.local:65535/x/y?z=1", "http://a.b.svc.cluster.local:65535/x/y?z=1"),
    ],
)
def test_a_target_is_a_service_as_its_clients_name_it(text: str, url: str) -> None:
    target = read_target(text)
    assert target is not None
    assert target.url == url
    assert read_target("") is None


TLS = b"reset reason: remote connection failure, transport failure reason: TLS_error:|1:SSL routines:OPENSSL_internal:"


@pytest.mark.parametrize(
    ("way", "status", "answer", "expected"),
    [
        (UNTRUSTED, 200, b"ok", Failed),
        (PLAINTEXT, 200, b"ok", Failed),
        (UNTRUSTED, 503, TLS + b"SSLV3_ALERT_CERTIFICATE_UNKNOWN:TLS_error_end", Ready),
        (UNTRUSTED, 503, TLS + b"TLSV1_ALERT_UNKNOWN_CA:TLS_error_end", Ready),
        (UNTRUSTED, 503, TLS + b"TLSV1_ALERT_CERTIFICATE_REQUIRED:TLS_error_end", Ready),
        (UNTRUSTED, 503, TLS + b"WRONG_VERSION_NUMBER:TLS_error_end", Waiting),
        (UNTRUSTED, 503, TLS + b"TLSV1_ALERT_PROTOCOL_VERSION:TLS_error_end", Waiting),
        (UNTRUSTED, 503, b"no healthy upstream", Waiting),
        (UNTRUSTED, 503, b"reset reason: connection timeout", Waiting),
        (UNTRUSTED, 404, b"", Waiting),
        (PLAINTEXT, 503, b"reset reason: connection termination", Ready),
        (PLAINTEXT, 503, b"no healthy upstream", Waiting),
        (PLAINTEXT, 503, b"reset reason: connection timeout", Waiting),
    ],
)
def test_the_control_is_refused_for_its_certificate_and_for_nothing_else(
    way: str, status: int, answer: bytes, expected: type[Readiness]
) -> None:
    assert type(judge(way, status, answer)) is expected


def log(mark: str, *errors: bool, kind: str = "r") -> str:
    said = {True: " 503 0 x", False: " 200 0 ok"}
    return "".join(
        f"2026-11-25T12:00:{n:02}.123456789Z {kind} {mark} 1795600000 {n}{said[bad] if kind == 'r' else ''}\n"
        for n, bad in enumerate(errors, 1)
    )


WARM, ECHO = log("0", *[False] * 10) + log("gateway", *[False] * 10), log("stream", False, kind="e")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WARM + ECHO, Ready),
        (log("0", True, True, *[False] * 10) + log("gateway", *[False] * 10) + ECHO, Ready),
        (WARM, Waiting),
        (log("0", *[False] * 10) + ECHO, Waiting),
        (WARM + ECHO + log("0", True), Waiting),
        (log("0", *[False] * 9) + log("gateway", *[False] * 10) + ECHO, Waiting),
        (WARM + log("stream", False, kind="x"), Waiting),
        ("nonsense\n", Waiting),
        ("", Waiting),
    ],
)
def test_a_probe_is_warm_when_every_flow_was_answered_ten_times_and_never_failed_since(
    text: str, expected: type[Readiness]
) -> None:
    assert type(judge_warm({"node-a": text}, flows(["node-a"]))) is expected


def test_what_certainly_blocks_fails_the_gate_and_what_may_is_told() -> None:
    ref = Ref("security.istio.io/v1", "AuthorizationPolicy", "istio-system", "deny")
    assert judge_policies(()) == Ready("none is in the way")
    assert isinstance(judge_policies((Block(ref, "x", certain=False),)), Ready)
    shut = judge_policies((Block(ref, "x", certain=False), Block(ref, "it denies requests of the probe")))
    assert shut == Failed("AuthorizationPolicy istio-system/deny: it denies requests of the probe")


@pytest.mark.parametrize(
    ("label", "node"),
    [("client-0", "node-a"), ("client-1", "node-b"), ("client-2", ""), ("client-", ""), ("client-²", ""), ("x", "")],
)
def test_a_client_is_known_by_its_number(label: str, node: str) -> None:
    assert node_of({"metadata": {"labels": {"instance": label}}}, NODES) == node


def test_the_untrusted_identity_is_made_once_and_never_read_back() -> None:
    cluster = InMemoryCluster()
    cluster.put(namespace(NAMESPACE))
    step = probe(defaults(), ["node-a"])
    program = step.programs[0]
    for _ in range(2):
        assert [
            *run(Plan((type(step)(name="probe", summary="", programs=(program,)),)), cluster, FakeClock(), Limits())
        ]
    assert cluster.writes == [("apply", f"Secret {NAMESPACE}/untrusted")]


OURS = next(item for item in MADE.manifests if item["kind"] == "Namespace")


def test_removal_waits_until_the_namespace_is_gone_and_may_be_repeated() -> None:
    cluster = InMemoryCluster()
    cluster.put(owned(OURS, "probe"))
    assert remove(cluster, FakeClock())
    assert not remove(cluster, FakeClock())


def test_a_namespace_that_does_not_go_away_is_told_with_its_code() -> None:
    class Held(InMemoryCluster):
        def delete(self, ref: Ref) -> bool:
            return ref in self.objects

    cluster = Held()
    cluster.put(owned(OURS, "probe"))
    with pytest.raises(GateTimeoutError) as caught:
        remove(cluster, FakeClock())
    assert caught.value.code == "MPK-456"


def test_a_namespace_of_somebody_else_is_refused_before_it_is_touched_and_never_deleted() -> None:
    cluster, theirs = InMemoryCluster(), namespace(NAMESPACE)
    cluster.put(theirs)
    with pytest.raises(PreconditionError, match="meshpki did not make it") as refused:
        make_way(cluster, FakeClock(), defaults(), 2)
    assert refused.value.code == "MPK-453"
    assert not discard(cluster)
    assert not remove(cluster, FakeClock())
    assert cluster.writes == []


def test_a_probe_of_an_earlier_run_is_no_hindrance_and_one_on_its_way_out_is_waited_for() -> None:
    class Going(FakeClock):
        def wait(self, event: threading.Event, at_most: timedelta) -> bool:
            cluster.objects.clear()
            return super().wait(event, at_most)

    cluster, clock = InMemoryCluster(), Going()
    cluster.put(owned(OURS, "probe"))
    make_way(cluster, clock, defaults(), 2)
    assert NAMESPACE_REF in cluster.objects
    leaving = owned(OURS, "probe")
    cluster.put({**leaving, "metadata": {**leaving["metadata"], "deletionTimestamp": "2026-11-24T12:00:00Z"}})
    make_way(cluster, clock, defaults(), 2)
    assert NAMESPACE_REF not in cluster.objects


def test_a_client_whose_log_cannot_be_read_leaves_the_gate_to_the_next_look() -> None:
    cluster = InMemoryCluster()
    labels = {"app": "client", "instance": "client-0"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client-0-x", "namespace": NAMESPACE, "labels": labels},
    }
    cluster.put(pod)
    warm = next(gate for gate in probe(defaults(), ["node-a"]).gates if gate.name == "warm")
    cluster.answers["logs client"] = WARM + ECHO
    assert isinstance(warm.check(cluster), Ready)
    cluster.faults += [ClusterError("MPK-102", "container is waiting to start", status=400)] * 2
    with pytest.raises(ClusterError):
        warm.check(cluster)
