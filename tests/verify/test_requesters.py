from dataclasses import dataclass

import pytest

from meshpki.cluster.manifest import Object
from meshpki.settings import defaults
from meshpki.verify.requesters import judge_requesters, requesters

RBAC = "rbac.authorization.k8s.io/v1"
EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


def rule(*verbs: str, resource: str = "certificaterequests", group: str = "cert-manager.io") -> Object:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def role(*rules: Object, name: str = "asker", namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {
        "apiVersion": RBAC,
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": metadata,
        "rules": list(rules),
    }


def binding(
    *subjects: Object, namespace: str = "", name: str = "asks", to: str = "asker", kind: str = "ClusterRole"
) -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    bound = "RoleBinding" if namespace else "ClusterRoleBinding"
    reference = {"kind": kind, "name": to}
    return {"apiVersion": RBAC, "kind": bound, "metadata": metadata, "roleRef": reference, "subjects": list(subjects)}


def account(name: str, namespace: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


EVE = {"kind": "User", "name": "eve"}
ASKER = role(rule("create"))


@dataclass(frozen=True)
class Case:
    name: str
    objects: tuple[Object, ...]
    found: tuple[tuple[str, str, str], ...] = ()


OPERATE = role(rule("create"), name="meshpki-operate")


def labelled(one: Object) -> Object:
    return {**one, "metadata": {**one["metadata"], "labels": {"app.kubernetes.io/part-of": "meshpki"}}}


CASES = (
    Case("a role that nobody has", (ASKER,)),
    Case("the role that is printed for rotate", (OPERATE, labelled(binding(EVE, to="meshpki-operate")))),
    Case(
        "a role of that name, which nobody printed",
        (OPERATE, binding(EVE, to="meshpki-operate")),
        (("User eve", "certificaterequests", ""),),
    ),
    Case(
        "another role under the label of the printed ones",
        (ASKER, labelled(binding(EVE))),
        (("User eve", "certificaterequests", ""),),
    ),
    Case("a binding to a role that is not there", (binding(EVE),)),
    Case("a user everywhere", (ASKER, binding(EVE)), (("User eve", "certificaterequests", ""),)),
    Case("a user in a namespace", (ASKER, binding(EVE, namespace="a")), (("User eve", "certificaterequests", "a"),)),
    Case(
        "a namespace's own role",
        (role(rule("create"), namespace="a"), binding(EVE, namespace="a", kind="Role")),
        (("User eve", "certificaterequests", "a"),),
    ),
    Case(
        "the role of another namespace", (role(rule("create"), namespace="b"), binding(EVE, namespace="a", kind="Role"))
    ),
    Case("a group", (ASKER, binding({"kind": "Group", "name": "devs"})), (("Group devs", "certificaterequests", ""),)),
    Case(
        "a ServiceAccount without a namespace of its own",
        (ASKER, binding({"kind": "ServiceAccount", "name": "ci"}, namespace="a")),
        (("ServiceAccount a/ci", "certificaterequests", "a"),),
    ),
    Case(
        "everything",
        (role(EVERYTHING), binding(EVE)),
        (("User eve", "certificaterequests", ""), ("User eve", "certificates", "")),
    ),
    Case("reading", (role(rule("get", "list", "watch", "delete")), binding(EVE))),
    Case("changing requests, which cannot be", (role(rule("update", "patch")), binding(EVE))),
    Case(
        "changing Certificates",
        (role(rule("patch", resource="certificates")), binding(EVE)),
        (("User eve", "certificates", ""),),
    ),
    Case(
        "another group's certificates",
        (role(rule("create", resource="certificates", group="certificates.k8s.io")), binding(EVE)),
    ),
    Case("the approval of requests", (role(rule("update", resource="certificaterequests/approval")), binding(EVE))),
    Case(
        "a role without rules, a binding without subjects", (role() | {"rules": None}, binding() | {"subjects": None})
    ),
    Case(
        "administrators",
        (
            role(EVERYTHING),
            binding({"kind": "Group", "name": "system:masters"}, {"kind": "Group", "name": "kubeadm:cluster-admins"}),
        ),
    ),
    Case("cert-manager itself", (ASKER, binding(account("cert-manager", "cert-manager")))),
    Case(
        "SPIRE in its own namespace",
        (ASKER, binding(account("spire-server", "spire-server"), namespace="spire-server")),
    ),
    Case(
        "SPIRE everywhere",
        (ASKER, binding(account("spire-server", "spire-server"))),
        (("ServiceAccount spire-server/spire-server", "certificaterequests", ""),),
    ),
    Case(
        "Kubernetes' own controllers",
        (
            role(EVERYTHING),
            binding(
                account("generic-garbage-collector", "kube-system"), name="system:controller:generic-garbage-collector"
            ),
        ),
    ),
    Case(
        "a namespace's binding that is named like a controller's",
        (ASKER, binding(account("x", "kube-system"), namespace="kube-system", name="system:controller:x")),
        (("ServiceAccount kube-system/x", "certificaterequests", "kube-system"),),
    ),
    Case(
        "somebody who borrows a controller's binding",
        (ASKER, binding(EVE, name="system:controller:x")),
        (("User eve", "certificaterequests", ""),),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rbac_is_expanded_to_whoever_may_ask_and_is_not_the_meshs_own(case: Case) -> None:
    found = requesters(case.objects, defaults())
    assert tuple((one.subject, one.resource, one.namespace) for one in found) == case.found


def test_everybody_stands_in_one_warning_with_the_binding_that_lets_them() -> None:
    found = requesters((role(EVERYTHING), binding(EVE), binding(EVE, account("ci", "a"), namespace="a")), defaults())
    (verdict,) = judge_requesters(found)
    assert (verdict.result, [one.severity for one in verdict.findings]) == ("proven", ["warn"])
    assert verdict.findings[0].found == (
        "ServiceAccount a/ci (namespace a; through RoleBinding a/asks);"
        " User eve (every namespace, namespace a; through ClusterRoleBinding asks, RoleBinding a/asks)"
    )


def test_a_crowd_is_counted_rather_than_listed() -> None:
    crowd = [{"kind": "User", "name": f"user-{number:03}"} for number in range(500)]
    (verdict,) = judge_requesters(requesters((ASKER, binding(*crowd)), defaults()))
    assert verdict.findings[0].found.endswith("; and 480 more")
    assert verdict.reason == "500 others may ask it, by RBAC"


def test_one_of_many_bindings_or_of_a_long_name_stays_readable() -> None:
    long = {"kind": "User", "name": "x" * 100_000}
    many = [binding(EVE, long, namespace=f"n{number:03}") for number in range(300)]
    (verdict,) = judge_requesters(requesters((ASKER, *many), defaults()))
    assert "and 295 more; through RoleBinding n000/asks" in verdict.findings[0].found
    assert len(verdict.findings[0].found) < 1000


def test_where_rbac_was_not_read_nothing_is_said_of_it() -> None:
    assert list(judge_requesters(None)) == []


def test_whoever_may_ask_is_no_warning_where_a_rogue_was_seen_to_be_denied() -> None:
    found = requesters((ASKER, binding(EVE)), defaults())
    (verdict,) = judge_requesters(found, policed=True)
    assert (verdict.result, verdict.findings) == ("proven", ())
    assert verdict.reason == "1 others may ask it, by RBAC; approver-policy denied a rogue's request"
