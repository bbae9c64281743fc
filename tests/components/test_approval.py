"""The step of approval policies: what each allows and to whom, on a cluster in memory with an approver or without."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus

import pytest
import yaml

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import FIELD_MANAGER, Object, ref_of
from meshpki.components.approval import (
    NAME,
    NOTHING_ELSE,
    POLICY,
    WITHOUT_APPROVER,
    approval,
    judge_policies,
    judge_webhook,
    objects,
    policies,
)
from meshpki.components.cert_manager import cert_manager
from meshpki.components.rogue_request import APPROVER, judge_denied, rogue_ref
from meshpki.components.spire import spire
from meshpki.errors import GateTimeoutError, StepError
from meshpki.settings import Approval, Settings, defaults
from meshpki.workflow.event import Event, GateOpened
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Failed, Ready, Step, Waiting
from meshpki.workflow.work import Limits
from tests.support.cluster import FakeClock, InMemoryCluster, namespace
from tests.support.existing import corporate, wish

POLICED = replace(defaults(), approval=Approval(policy=True))
ROGUE = rogue_ref("cert-manager")
RELEASED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cert-manager, namespace: cert-manager}
spec: {template: {spec: {containers: [{name: cert-manager-controller, image: x, args: [--v=2]}]}}}
"""


def policy(name: str, settings: Settings = POLICED) -> Object:
    (found,) = (one["spec"] for one in policies(settings) if one["metadata"]["name"] == name)
    return dict(found)


def rules(spec: Object) -> str:
    asked = (value.get("validations", ()) for value in spec["allowed"].values() if isinstance(value, dict))
    return " ".join(one["rule"] for validations in asked for one in validations)


def users() -> dict[str, list[str]]:
    """Which policies each subject may use."""
    roles = {one["metadata"]["name"]: one["rules"] for one in objects(POLICED) if one["kind"] == "ClusterRole"}
    return {
        f"{subject['kind']} {subject.get('namespace', '')}/{subject['name']}": rule["resourceNames"]
        for one in objects(POLICED)
        if one["kind"] == "ClusterRoleBinding"
        for subject in one["subjects"]
        for rule in roles[one["roleRef"]["name"]]
        if rule["verbs"] == ["use"]
    }


def controller_arguments(settings: Settings) -> list[str]:
    (deployment,) = cert_manager(settings, [yaml.safe_load(RELEASED)]).manifests
    return list(deployment["spec"]["template"]["spec"]["containers"][0]["args"])


def test_cert_manager_s_own_approver_is_off_exactly_where_policies_approve() -> None:
    assert controller_arguments(POLICED) == ["--v=2", WITHOUT_APPROVER]
    assert controller_arguments(defaults()) == ["--v=2"]


def test_each_requester_uses_the_policies_of_its_own_cas_and_everybody_the_one_that_denies() -> None:
    assert users() == {
        "ServiceAccount cert-manager/cert-manager": ["meshpki-root", "meshpki-istiod-ca"],
        "ServiceAccount spire-server/spire-server": ["meshpki-spire"],
        "Group /system:authenticated": ["meshpki-nothing-else"],
    }


def test_an_administrator_who_may_use_everything_is_not_taken_for_a_requester_of_the_mesh() -> None:
    for name, requester in (("root", "cert-manager"), ("istiod-ca", "cert-manager"), ("spire", "spire-server")):
        assert f"cr.username == 'system:serviceaccount:{requester}:{requester}'" in rules(policy(f"meshpki-{name}"))


def test_each_ca_is_allowed_its_own_namespace_issuer_names_and_duration() -> None:
    seen = {
        one["metadata"]["name"]: (
            one["spec"]["selector"]["namespace"]["matchNames"],
            one["spec"]["selector"]["issuerRef"]["name"],
            one["spec"]["allowed"].get("uris", {}).get("values"),
            one["spec"]["allowed"].get("dnsNames", {}).get("values"),
            one["spec"]["constraints"]["maxDuration"],
        )
        for one in policies(POLICED)
        if one["metadata"]["name"] != "meshpki-nothing-else"
    }
    assert seen == {
        "meshpki-root": (["cert-manager"], "meshpki-selfsigned", ["spiffe://example.org"], None, "21600h"),
        "meshpki-istiod-ca": (["istio-system"], "meshpki-root", None, ["istiod.istio-system.svc"], "1440h"),
        "meshpki-spire": (["spire-server"], "meshpki-root", ["spiffe://example.org"], None, "24h"),
    }


def test_what_a_ca_is_told_apart_by_has_to_be_in_its_request() -> None:
    for name in ("meshpki-root", "meshpki-istiod-ca", "meshpki-spire"):
        judged = [
            value for value in policy(name)["allowed"].values() if isinstance(value, dict) and "rule" in str(value)
        ]
        assert judged
        assert all(value["required"] for value in judged)


def test_every_generation_of_the_root_is_allowed_and_no_other_name() -> None:
    (rule,) = re.findall(r"self\.matches\(r'(.*?)'\)", rules(policy("meshpki-root")))
    assert [bool(re.search(rule, name)) for name in ("meshpki-root-g1", "meshpki-root-g12", "meshpki-root-g1x")] == [
        True,
        True,
        False,
    ]
    named = replace(POLICED, root=replace(POLICED.root, common_name="My Root.x"))
    (rule,) = re.findall(r"self\.matches\(r'(.*?)'\)", rules(policy("meshpki-root", named)))
    assert re.search(rule, "My Root.x-g2")
    assert not re.search(rule, "My Root-x-g2")


def test_the_request_of_a_certificate_is_told_from_that_of_another_whose_name_begins_alike() -> None:
    (rule,) = re.findall(r"cr\.name\.matches\(r'(.*?)'\)", rules(policy("meshpki-istiod-ca")))
    assert [bool(re.search(rule, name)) for name in ("cacerts-1", "cacerts-1-1", "cacerts-mine-1", "my-cacerts-1")] == [
        True,
        False,
        False,
        False,
    ]


def test_the_policy_for_everybody_can_be_met_by_no_request() -> None:
    assert policy("meshpki-nothing-else") == {
        "selector": {"issuerRef": {}},
        "allowed": {"commonName": {"required": True, "value": ""}},
    }


def test_the_probe_of_an_existing_ca_is_allowed_where_there_is_one() -> None:
    names = [one["metadata"]["name"] for one in policies(replace(wish(*corporate()), approval=Approval(policy=True)))]
    assert "meshpki-root-probe" in names
    assert "meshpki-root-probe" not in [one["metadata"]["name"] for one in policies(POLICED)]


def test_spire_asks_for_what_its_policy_allows() -> None:
    (server,) = (
        one["data"]["server.conf"]
        for one in spire(POLICED, ()).objects
        if one["kind"] == "ConfigMap" and "server.conf" in one.get("data", {})
    )
    assert f'ca_ttl = "{policy("meshpki-spire")["constraints"]["maxDuration"]}"' in server
    assert 'ca_key_type = "ec-p256"' in server


def test_approver_policy_runs_unprivileged_and_reads_no_secret_but_its_own() -> None:
    (deployment,) = (one for one in objects(POLICED) if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"quay.io/jetstack/{NAME}:v0.28.0"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    read = [
        rule
        for one in objects(POLICED)
        if one["kind"] in ("Role", "ClusterRole")
        for rule in one["rules"]
        if "secrets" in rule["resources"] and rule["verbs"] != ["create"]
    ]
    assert [rule["resourceNames"] for rule in read] == [[f"{NAME}-tls"]]
    assert not [one for one in objects(POLICED) if one["kind"] == "Secret"]


@dataclass
class Approver:
    """approver-policy in memory: it has seen a policy at once, and answers a request as `answer` says."""

    answer: Object
    sees: bool = True

    def __call__(self, cluster: InMemoryCluster, stored: Object) -> None:
        """Look at an object that was written."""
        ref = ref_of(stored)
        if (ref.api_version, ref.kind) == POLICY and self.sees and "status" not in stored:
            cluster.put({**stored, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        if ref.kind == "Deployment" and "status" not in stored:
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
            cluster.put({**stored, "status": {"observedGeneration": 99, **counts}})
        if ref == ROGUE and "status" not in stored:
            cluster.put({**stored, "status": {"conditions": [self.answer]}})


class Judging(InMemoryCluster):
    """A cluster whose webhook refuses a policy without a selector."""

    def dry_run(self, manifest: Object, manager: str = FIELD_MANAGER) -> Object:
        if manifest["kind"] == POLICY[1] and not manifest["spec"]["selector"]:
            raise ClusterError("MPK-202", "no selector", status=HTTPStatus.FORBIDDEN)
        return super().dry_run(manifest, manager)


def decision(kind: str, reason: str = APPROVER) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": "so it is"}


def cluster(answer: Object, *, sees: bool = True) -> Judging:
    found = Judging(reactions=[Approver(answer, sees)])
    found.put(namespace("cert-manager"))
    return found


def brought_up(found: InMemoryCluster, gate: timedelta = timedelta(hours=1)) -> list[Event]:
    """Hours of the fake clock are a second, in which a thread of a busy machine comes to its turn."""
    plan = Plan((Step("cert-manager", ""), approval(POLICED, ())))
    return list(run(plan, found, FakeClock(), Limits(gate)))


def test_the_gates_open_once_a_rogue_is_denied_and_a_second_run_writes_nothing() -> None:
    found = cluster(decision("Denied"))
    events = brought_up(found)
    opened = [event.gate for event in events if isinstance(event, GateOpened) and event.step == "approval"]
    assert list(dict.fromkeys(opened)) == ["rollout", "webhook", "policies", "all-else", "denied"]
    before = len(found.writes)
    brought_up(found)
    assert len(found.writes) == before


def test_what_denies_all_else_comes_after_what_allows_the_mesh_its_own() -> None:
    found = cluster(decision("Denied"))
    brought_up(found)
    applied = [what.partition(" ")[2] for verb, what in found.writes if verb == "apply" and what.startswith(POLICY[1])]
    assert applied[-1] == NOTHING_ELSE
    assert len(applied) == len(policies(POLICED))


def test_nothing_is_asked_for_before_every_policy_is_seen() -> None:
    found = cluster(decision("Denied"), sees=False)
    with pytest.raises(GateTimeoutError) as late:
        brought_up(found, timedelta(seconds=20))
    assert late.value.code == "MPK-291"
    assert ROGUE not in found.objects


def test_a_rogue_that_is_approved_ends_the_run_and_is_asked_for_again_by_the_next() -> None:
    found = cluster(decision("Approved", "cert-manager.io"))
    with pytest.raises(StepError) as refused:
        brought_up(found)
    assert (refused.value.code, "so it is" in refused.value.what) == ("MPK-292", True)
    found.reactions = [Approver(decision("Denied"))]
    brought_up(found)
    assert judge_denied(found, ROGUE) == Ready("a rogue CA is denied")


def test_a_denial_by_somebody_else_is_no_proof_of_the_policies() -> None:
    found = InMemoryCluster()
    found.put({**ROGUE_OBJECT, "status": {"conditions": [decision("Denied", "somebody")]}})
    assert isinstance(judge_denied(found, ROGUE), Waiting)


ROGUE_OBJECT: Object = {
    "apiVersion": ROGUE.api_version,
    "kind": ROGUE.kind,
    "metadata": {"name": ROGUE.name, "namespace": ROGUE.namespace},
    "spec": {},
}


@pytest.mark.parametrize(
    ("conditions", "opens"),
    [
        ([], False),
        ([{"type": "Ready", "status": "True", "observedGeneration": 2}], True),
        ([{"type": "Ready", "status": "True", "observedGeneration": 1}], False),
        ([{"type": "Ready", "status": "False", "observedGeneration": 2, "message": "no plugin"}], False),
    ],
    ids=["not seen", "seen as it is", "seen as it was", "refused"],
)
def test_a_policy_counts_once_its_newest_generation_was_seen(conditions: list[Object], opens: bool) -> None:
    found, one = InMemoryCluster(), policies(POLICED)[0]
    found.put({**one, "metadata": {**one["metadata"], "generation": 2}, "status": {"conditions": conditions}})
    found.objects[ref_of(one)]["metadata"]["generation"] = 2
    assert isinstance(judge_policies(found, [ref_of(one)]), Ready) is opens


@pytest.mark.parametrize(
    ("made", "said"),
    [(Judging, Ready("webhook answered")), (InMemoryCluster, Waiting)],
    ids=["judging", "not asked"],
)
def test_the_webhook_is_there_once_it_refuses_a_policy_that_fits_nothing(
    made: Callable[[], InMemoryCluster], said: object
) -> None:
    found = judge_webhook(made())
    assert found == said or found.__class__ is said


def test_a_request_that_nobody_decided_on_is_waited_for() -> None:
    found = InMemoryCluster()
    found.put(ROGUE_OBJECT)
    assert isinstance(judge_denied(found, ROGUE), Waiting)
    found.put({**ROGUE_OBJECT, "status": {"conditions": [decision("Approved")]}})
    assert isinstance(judge_denied(found, ROGUE), Failed)
