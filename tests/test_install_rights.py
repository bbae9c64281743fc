"""What the steps of an `up` change -> the rights that are asked for before any of it, and what may stand for them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from meshpki import install_role
from meshpki.artifacts import obtain
from meshpki.cluster.client import ClusterError, NoAccessError
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.existing_root import pin_manifest
from meshpki.components.istio import operator
from meshpki.components.istioctl import mark
from meshpki.components.trust import PIN
from meshpki.errors import StepError
from meshpki.install import Target, steps, wish_manifest
from meshpki.install_rights import lacking
from meshpki.preflight.seen import look
from meshpki.rendering import stages
from meshpki.rights import plural
from meshpki.roles.role import Right
from meshpki.settings import Approval, Existing, Root, Settings, defaults, read
from meshpki.verify import rights as looking
from meshpki.workflow.step import Applies, Program, Step
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster, config_map, namespace
from tests.support.existing import corporate, wish
from tests.support.mesh import pin
from tests.support.releases import settings_file

EVERYTHING = ("create", "patch", "update", "delete", "get", "list", "escalate", "bind")


@dataclass
class Holding(InMemoryCluster):
    """Somebody who may do everything everywhere but what `denied` says, and who remembers what was asked."""

    denied: Callable[[str], bool] = lambda _: False
    asked: list[str] = field(default_factory=list)

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        super().allowed(verb, group, resource, namespace, name)
        right = f"{verb} {resource} {namespace}/{name}"
        self.asked.append(right)
        return not self.denied(right)


def holding(denied: Callable[[str], bool] = lambda _: False) -> Holding:
    cluster = Holding(denied=denied)
    cluster.put(namespace("kube-system"))
    return cluster


def role(name: str, *, space: str = "", **rule: list[str]) -> Object:
    kind, place = ("Role", {"namespace": space}) if space else ("ClusterRole", {})
    full = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **rule}
    version = "rbac.authorization.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, "rules": [full]}


def installer(make: Callable[[], tuple[Object, ...]]) -> Program:
    return Program(
        "istioctl install",
        settled=lambda _: False,
        run=lambda *_: None,
        applies=Applies(make, "istio-operator", mark(operator(defaults()))),
    )


def unasked() -> tuple[Object, ...]:
    raise AssertionError


def refused() -> tuple[Object, ...]:
    raise StepError("MPK-222", "it does not start")


def only_by_name(right: str) -> bool:
    """What somebody lacks whose rights all have a name: everything everywhere."""
    return right.endswith(" /")


def asked_by_name(*steps: Step) -> set[str]:
    cluster = holding(only_by_name)
    lacking(cluster, defaults(), steps)
    return {right for right in cluster.asked if not right.endswith(" /")}


def test_what_meshpki_itself_keeps_and_looks_into_is_asked_with_what_a_step_applies() -> None:
    assert asked_by_name(Step("a", "a", (config_map("x"),))) == {
        *(f"{verb} configmaps default/x" for verb in ("get", "create", "patch")),
        *(f"{verb} configmaps kube-system/meshpki" for verb in ("get", "create", "patch")),
        *(f"{verb} configmaps kube-system/meshpki-trust" for verb in ("get", "create", "patch")),
        "create leases kube-system/",
        *(f"{verb} leases kube-system/meshpki" for verb in ("get", "update", "delete")),
        "list leases kube-node-lease/",
        "list persistentvolumeclaims spire-server/",
        "get secrets istio-system/cacerts",
    }


@pytest.mark.parametrize(
    ("step", "right"),
    [
        ("another", "list nodes /"),
        ("another", "list storageclasses /"),
        ("spire", "list csinodes /"),
        ("istio", "list poddisruptionbudgets /"),
        ("istio", "list events /"),
        ("workloads", "list certificaterequests /"),
    ],
)
def test_what_preflight_the_gates_and_verify_list_is_asked_for_before_the_first_write(step: str, right: str) -> None:
    def told(name: str) -> list[str]:
        cluster = holding(lambda asked: asked == right)
        return [f"{one.verb} {one.resource} /" for one in lacking(cluster, defaults(), [Step(name, "")])]

    assert told(step) == [right]
    assert told("another") == ([right] if step == "another" else [])


class Unread(Holding):
    """Somebody who may read no object at all."""

    def get(self, ref: Ref) -> Object | None:
        raise NoAccessError("MPK-102", f"get refused: {ref}", status=403)


def test_a_look_that_is_denied_on_the_way_is_one_of_the_rights_that_are_missing() -> None:
    cluster = Unread(denied=lambda right: right.startswith("get configmaps"))
    program = Program("withdraw approver-policy", settled=lambda reader: reader.get(PIN) is None, run=lambda *_: None)
    found = lacking(cluster, defaults(), [Step("istio", "", programs=(program, installer(tuple)))])
    assert [str(one) for one in found] == ["get configmaps"]
    assert {"delete deployments /", "update mutatingwebhookconfigurations /"} <= {*cluster.asked}


def test_without_any_answer_nothing_is_told_of_rights() -> None:
    cluster = holding()
    cluster.faults.append(NoAccessError("MPK-101", "no answer"))
    with pytest.raises(ClusterError, match="no answer"):
        lacking(cluster, defaults(), [Step("istio", "", programs=(installer(unasked),))])


@pytest.mark.parametrize(
    ("step", "right"),
    [
        ("cert-manager", "create certificates cert-manager/meshpki-probe"),
        ("istio", "create pods spire-system/meshpki-probe"),
        ("workloads", "get pods/exec bookinfo/"),
    ],
)
def test_what_the_gates_of_a_step_try_is_asked_with_it_alone(step: str, right: str) -> None:
    assert right in asked_by_name(Step(step, ""))
    assert right not in asked_by_name(Step("another", ""))


@pytest.mark.parametrize(
    ("wish", "step", "right"),
    [
        (
            replace(defaults(), root=Root(existing=Existing("own", "x"))),
            "root-ca",
            "delete certificaterequests cert-manager/meshpki-root-probe",
        ),
        (
            replace(defaults(), approval=Approval(policy=True)),
            "approval",
            "delete certificaterequests cert-manager/meshpki-rogue",
        ),
    ],
    ids=["existing root", "approval"],
)
def test_what_is_made_to_be_removed_is_asked_for(wish: Settings, step: str, right: str) -> None:
    cluster = holding(only_by_name)
    lacking(cluster, wish, [Step(step, "")])
    assert right in cluster.asked


def test_to_take_approver_policy_away_is_asked_only_where_it_is_there() -> None:
    def withdrawing(*, settled: bool) -> set[str]:
        program = Program("withdraw approver-policy", settled=lambda _: settled, run=lambda *_: None)
        return {right for right in asked_by_name(Step("cert-manager", "", programs=(program,))) if "delete" in right}

    assert "delete deployments cert-manager/cert-manager-approver-policy" in withdrawing(settled=False)
    assert withdrawing(settled=True) == {"delete leases kube-system/meshpki"}


def test_who_may_apply_istios_kinds_everywhere_waits_for_no_istioctl() -> None:
    assert lacking(holding(), defaults(), [Step("istio", "", programs=(installer(unasked),))]) == ()


def test_who_may_not_is_asked_for_each_manifest_of_istios_by_name() -> None:
    def made() -> tuple[Object, ...]:
        return (role("istiod-clusterrole"), config_map("istio", "istio-system"))

    asked = asked_by_name(Step("istio", "", programs=(installer(made),)))
    assert "create clusterroles /istiod-clusterrole" in asked
    assert "escalate clusterroles /istiod-clusterrole" in asked
    assert "create configmaps istio-system/istio" in asked
    assert "create configmaps kube-system/meshpki-istio" in asked


def test_where_istioctl_was_run_already_its_manifests_are_not_asked_for() -> None:
    cluster = holding(only_by_name)
    cluster.put(mark(operator(defaults())))
    lacking(cluster, defaults(), [Step("istio", "", programs=(installer(unasked),))])
    assert "create services istio-system/istiod-revision-tag-default" not in cluster.asked


def test_an_istioctl_that_cannot_tell_leaves_the_kinds_as_what_is_missing() -> None:
    cluster = holding(lambda right: "deployments" in right)
    found = lacking(cluster, defaults(), [Step("istio", "", programs=(installer(refused),))])
    assert [str(one) for one in found] == [f"{verb} deployments.apps" for verb in ("create", "get", "list", "patch")]


@pytest.mark.parametrize(
    ("made", "denied", "told"),
    [
        (role("r"), ("escalate",), []),
        (role("r"), ("escalate", "get pods /"), ["escalate clusterroles.rbac.authorization.k8s.io"]),
        (role("r", space="a"), ("escalate", "get pods /"), []),
        (role("r", nonResourceURLs=["/metrics"]), ("escalate",), ["escalate clusterroles.rbac.authorization.k8s.io"]),
    ],
)
def test_a_role_is_made_by_who_may_escalate_or_holds_its_rules_where_they_hold(
    made: Object, denied: tuple[str, ...], told: list[str]
) -> None:
    cluster = holding(lambda right: right.startswith(denied))
    assert [str(one) for one in lacking(cluster, defaults(), [Step("a", "", (made,))])] == told


def binding(kind: str, role_name: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "a"},
        "roleRef": {"kind": kind, "name": role_name},
    }


def test_a_binding_takes_bind_by_the_roles_name_or_its_rules_in_the_namespace_of_the_binding() -> None:
    step = Step("a", "", (role("r"), binding("ClusterRole", "r")))
    cluster = holding(lambda right: right.startswith(("bind", "get pods /")))
    assert lacking(cluster, defaults(), [step]) == ()
    assert "get pods a/" in cluster.asked
    foreign = Step("a", "", (binding("ClusterRole", "system:auth-delegator"),))
    assert [one.verb for one in lacking(cluster, defaults(), [foreign])] == ["bind"]


@dataclass
class Granted(InMemoryCluster):
    """Somebody who has these rights and no others."""

    rights: tuple[Right, ...] = ()

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        super().allowed(verb, group, resource, namespace, name)
        return any(
            verb in one.verbs
            and (group, resource) == (one.group, one.resource)
            and one.namespace in ("", namespace)
            and (not one.names or name in one.names)
            for one in self.rights
        )


@dataclass
class Reading(Granted):
    """The same person, who is refused whatever else they read."""

    def get(self, ref: Ref) -> Object | None:
        self._check("get", ref.api_version, ref.kind, ref.namespace, ref.name)
        return super().get(ref)

    def list(self, query: Query) -> list[Object]:
        name = (query.fields or "").partition("metadata.name=")[2]
        self._check("list", query.api_version, query.kind, query.namespace, name)
        return super().list(query)

    def _check(self, verb: str, version: str, kind: str, namespace: str, name: str) -> None:
        if not self.allowed(verb, version.rpartition("/")[0], plural(kind), namespace, name):
            raise NoAccessError("MPK-102", f"{verb} refused: {kind} {namespace}/{name}", status=403)


ROOT = made.mesh_root()
CORPORATE = corporate()
PINNED = {
    "a root of our own": (pin(ROOT), Root()),
    "another's": (pin_manifest(made.read(*CORPORATE)), wish(*CORPORATE).root),
    "no root yet": (namespace("kube-system"), Root()),
}


@pytest.mark.parametrize(("held", "wished"), PINNED.values(), ids=PINNED)
def test_preflight_looks_at_nothing_that_is_not_in_the_printed_role(tmp_path: Path, held: Object, wished: Root) -> None:
    settings = replace(read([settings_file(tmp_path)]), root=wished)
    planned = steps(settings, obtain(settings), Target())
    manifests = [one for stage in stages(planned, wish_manifest(settings)) for one in stage.manifests]
    manifests.append(config_map("istio", namespace="istio-system"))  # of istioctl's, which are rendered with the others
    cluster = Reading(rights=(*install_role.rights(settings, manifests), *looking.rights(settings)))
    cluster.put(namespace("kube-system"), held)
    seen = look(cluster, settings, datetime.now(UTC), [one for step in planned for one in step.programs])
    assert sorted(seen.unread) == []


@pytest.mark.parametrize("left_out", [None, "escalate", "bind", "delete", "patch", "list", "get"])
def test_who_has_the_printed_role_lacks_nothing_and_with_any_verb_less_something(
    tmp_path: Path, left_out: str | None
) -> None:
    settings = read([settings_file(tmp_path)])
    planned = steps(settings, obtain(settings), Target())
    manifests = [one for stage in stages(planned, wish_manifest(settings)) for one in stage.manifests]
    role = (*install_role.rights(settings, manifests), *looking.rights(settings))
    kept = tuple(replace(one, verbs=tuple(verb for verb in one.verbs if verb != left_out)) for one in role)
    cluster = Granted(rights=kept)
    cluster.put(namespace("kube-system"))
    found = {one.verb for one in lacking(cluster, settings, planned)}
    assert found == ({left_out} if left_out else set())
