"""What would block the probe or falsify it: objects of a cluster, and what is said of them."""

from dataclasses import replace

import pytest

from meshpki.cluster.manifest import MANAGED_BY, Object
from meshpki.components.probe_authorization import Asked, meets
from meshpki.components.probe_policies import Surroundings, blocks, look, told
from meshpki.settings import defaults
from tests.support.cluster import InMemoryCluster, namespace

CLIENT = Asked("example.org/ns/meshpki-probe/sa/client", "meshpki-probe", "server-0:8080")
OUTSIDE = Asked("", "", "probe.meshpki.invalid")
ROOT, OWN = "istio-system", "meshpki-probe"


def made(kind: str, name: str, where: str = ROOT, labels: dict[str, str] | None = None, **spec: object) -> Object:
    groups = {
        "DestinationRule": "networking.istio.io/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "ResourceQuota": "v1",
    }
    return {
        "apiVersion": groups.get(kind, "security.istio.io/v1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": where, "labels": labels or {}},
        "spec": spec,
    }


def policy(action: str, *rules: Object, where: str = ROOT, **spec: object) -> Object:
    return made("AuthorizationPolicy", "p", where, action=action, rules=list(rules), **spec)


def source(**fields: list[str]) -> Object:
    return {"from": [{"source": fields}]}


def to(**fields: list[str]) -> Object:
    return {"to": [{"operation": fields}]}


@pytest.mark.parametrize(
    ("rules", "client", "outside"),
    [
        ([], False, False),
        ([{}], True, True),
        ([source(principals=["*"])], True, False),
        ([source(notPrincipals=["*"])], False, True),
        ([source(principals=["example.org/ns/meshpki-probe/*"])], True, False),
        ([source(principals=["*/sa/client"])], True, False),
        ([source(namespaces=["prod"])], False, False),
        ([source(notNamespaces=["prod"])], True, True),
        ([source(requestPrincipals=["*"])], False, False),
        ([source(notRequestPrincipals=["*"])], True, True),
        ([source(ipBlocks=["10.0.0.0/8"])], None, None),
        ([source(namespaces=["prod"], ipBlocks=["10.0.0.0/8"])], False, False),
        ([source(principals=["*"]) | to(methods=["POST"])], False, False),
        ([to(paths=["/admin*"])], False, False),
        ([to(paths=["/"], methods=["GET"])], True, True),
        ([to(paths=["/{*}"])], None, None),
        ([to(notPaths=["/admin"])], True, True),
        ([to(hosts=["Probe.meshpki.invalid"])], False, True),
        ([to(ports=["8080"])], None, None),
        ([{"when": [{"key": "source.ip", "values": ["10.0.0.1"]}]}], None, None),
        ([{"when": [{"key": "request.auth.claims[iss]", "values": ["x"]}]}], False, False),
        ([{"when": [{"key": "request.auth.claims[iss]", "notValues": ["x"]}]}], True, True),
        ([source(namespaces=["prod"]), {}], True, True),
        ([source(ipBlocks=["10.0.0.0/8"]), source(namespaces=["prod"])], None, None),
    ],
)
def test_a_rule_meets_a_request_or_not_or_cannot_be_told(
    rules: list[Object], client: bool | None, outside: bool | None
) -> None:
    assert (meets(policy("DENY", *rules), CLIENT), meets(policy("DENY", *rules), OUTSIDE)) == (client, outside)


OURS = namespace(OWN) | {"metadata": {"name": OWN, "labels": MANAGED_BY}}
GATEWAY_ONLY = {"selector": {"matchLabels": {"istio": "ingressgateway"}}}
ELSEWHERE = {"selector": {"matchLabels": {"app": "shop"}}}
ALL = [{}]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, []),
        ({"namespace": OURS}, []),
        ({"namespace": namespace(OWN)}, ["certain"]),
        ({"namespace": OURS | {"metadata": {**OURS["metadata"], "deletionTimestamp": "x"}}}, ["certain"]),
        ({"authorization": [policy("DENY", {})]}, ["certain"] * 3),
        ({"authorization": [policy("DENY", source(notPrincipals=["*"]))]}, ["certain"]),
        ({"authorization": [policy("DENY", source(namespaces=["prod"]))]}, []),
        ({"authorization": [policy("DENY", {}, **ELSEWHERE)]}, []),
        ({"authorization": [policy("DENY", {}, targetRefs=[{"kind": "Gateway", "name": "x"}])]}, []),
        ({"authorization": [policy("DENY", source(ipBlocks=["1.2.3.0/24"]), **GATEWAY_ONLY)]}, ["may be"]),
        ({"authorization": [policy("CUSTOM", to(paths=["/admin"]))]}, []),
        ({"authorization": [policy("CUSTOM", {}, **GATEWAY_ONLY)]}, ["may be"]),
        # the probe's own ALLOW covers its servers; of the gateway nobody but its owner decides
        ({"authorization": [policy("ALLOW")]}, ["certain"]),
        ({"authorization": [policy("ALLOW", source(namespaces=["prod"]), **GATEWAY_ONLY)]}, ["certain"]),
        ({"authorization": [policy("ALLOW", to(ports=["8080"]), **GATEWAY_ONLY)]}, ["may be"]),
        ({"authorization": [policy("ALLOW", to(hosts=["*"]), **GATEWAY_ONLY)]}, []),
        ({"authorization": [policy("ALLOW", **ELSEWHERE)]}, []),
        ({"authorization": [policy("AUDIT", {})]}, []),
        ({"authorization": [policy("DENY", {}, where=OWN)]}, ["certain"] * 2),
        ({"authorization": [made("AuthorizationPolicy", "probe", OWN, {**MANAGED_BY}, action="DENY", rules=[{}])]}, []),
        ({"destination_rules": [made("DestinationRule", "d", host="*.local")]}, ["certain"]),
        ({"destination_rules": [made("DestinationRule", "d", host="*")]}, ["certain"]),
        ({"destination_rules": [made("DestinationRule", "d", host="*.prod.svc.cluster.local")]}, []),
        ({"network": [made("NetworkPolicy", "n", OWN, podSelector={})]}, ["may be"]),
        (
            {"network": [made("NetworkPolicy", "n", OWN, podSelector={}, policyTypes=["Ingress", "Egress"])]},
            ["may be"] * 2,
        ),
        ({"network": [made("NetworkPolicy", "n", OWN, podSelector={}, ingress=ALL)]}, []),
        ({"network": [made("NetworkPolicy", "n", OWN, podSelector={"matchLabels": {"app": "x"}})]}, []),
        ({"network": [made("NetworkPolicy", "n", ROOT, podSelector={})]}, ["may be"]),
        ({"network": [made("NetworkPolicy", "n", ROOT, podSelector={"matchLabels": {"app": "istiod"}})]}, []),
        ({"quotas": [made("ResourceQuota", "q", OWN, hard={"pods": "4"})]}, ["certain"]),
        ({"quotas": [made("ResourceQuota", "q", OWN, hard={"pods": "5"})]}, []),
        ({"quotas": [made("ResourceQuota", "q", OWN, hard={"limits.cpu": "4"})]}, ["may be"]),
        ({"quotas": [made("ResourceQuota", "q", OWN, hard={"pods": "5k"})]}, []),
    ],
)
def test_an_object_in_the_way_is_found_and_another_is_let_be(seen: dict[str, object], expected: list[str]) -> None:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in seen.items()}
    found = blocks(replace(Surroundings(), **values), defaults(), nodes=2)  # type: ignore[arg-type]  # a table's rows
    assert ["certain" if one.certain else "may be" for one in found] == expected


def test_a_block_is_told_with_its_object() -> None:
    found = blocks(Surroundings(authorization=(policy("DENY", source(notPrincipals=["*"])),)), defaults(), nodes=1)
    assert told(found) == ["AuthorizationPolicy istio-system/p: it denies requests of the probe"]


def test_only_the_meshs_root_namespace_and_the_probes_own_are_looked_at() -> None:
    cluster = InMemoryCluster()
    there = [policy("DENY", {}, where=where) for where in (ROOT, OWN, "prod")]
    cluster.put(*there, made("ResourceQuota", "q", OWN), made("ResourceQuota", "q", "prod"))
    seen = look(cluster, defaults())
    assert [one["metadata"]["namespace"] for one in seen.authorization] == [ROOT, OWN]
    assert len(seen.quotas) == 1
    assert {verb for verb, _ in cluster.requests} == {"get", "list"}
