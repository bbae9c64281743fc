"""approver-policy taken away where the settings do not ask for it any more, and only what is ours."""

import threading
from dataclasses import replace

from meshpki.cluster.manifest import Object, Ref, owned, ref_of
from meshpki.components.approval import NAME, POLICY, objects, policies
from meshpki.components.rogue_request import rogue_ref
from meshpki.components.withdrawal import withdrawal
from meshpki.settings import Approval, defaults
from meshpki.workflow.step import Program
from tests.support.cluster import InMemoryCluster, namespace

POLICED = replace(defaults(), approval=Approval(policy=True))
DEPLOYMENT = Ref("apps/v1", "Deployment", "cert-manager", NAME)
MADE = (
    Ref("v1", "Secret", "cert-manager", f"{NAME}-tls"),
    Ref("coordination.k8s.io/v1", "Lease", "cert-manager", "policy.cert-manager.io"),
    rogue_ref("cert-manager"),
)
THEIRS = Ref(*POLICY, "", "theirs")


def bare(ref: Ref) -> Object:
    metadata = {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}


def policed() -> InMemoryCluster:
    found = InMemoryCluster()
    found.put(namespace("cert-manager"), bare(THEIRS), *map(bare, MADE))
    found.put(*(owned(one, "approval") for one in (*objects(POLICED), *policies(POLICED))))
    return found


def program() -> Program:
    return withdrawal(defaults(), after="webhook")


def test_all_of_ours_and_what_it_made_by_itself_goes_and_the_policies_of_others_stay() -> None:
    found = policed()
    assert not program().settled(found)
    program().run(found, threading.Event())
    assert program().settled(found)
    assert set(found.objects) == {THEIRS, Ref("v1", "Namespace", "", "cert-manager")}


def test_a_killed_withdrawal_is_gone_on_with_since_the_deployment_goes_last() -> None:
    found = policed()
    program().run(found, threading.Event())
    deleted = [what for verb, what in found.writes if verb == "delete"]
    assert deleted[-1] == str(DEPLOYMENT)
    assert deleted[0].startswith("ValidatingWebhookConfiguration")
    assert deleted[1].endswith("meshpki-nothing-else")
    stop = threading.Event()
    stop.set()
    other = policed()
    program().run(other, stop)
    assert not program().settled(other)


def test_without_its_rights_it_makes_nothing_again_that_was_removed() -> None:
    found = policed()
    program().run(found, threading.Event())
    deleted = [what for verb, what in found.writes if verb == "delete"]
    rights = max(number for number, what in enumerate(deleted) if "Binding" in what)
    assert rights < min(deleted.index(str(ref)) for ref in MADE)


def test_somebody_else_s_approver_is_none_of_ours() -> None:
    found = InMemoryCluster()
    found.put(namespace("cert-manager"), *(one for one in objects(POLICED) if ref_of(one) == DEPLOYMENT))
    assert program().settled(found)


def test_where_there_never_was_one_a_single_look_is_all() -> None:
    found = InMemoryCluster()
    assert program().settled(found)
    assert len(found.requests) == 1
