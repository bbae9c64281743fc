import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from meshpki import install_role
from meshpki.cli import session
from meshpki.cli.rbac import app
from meshpki.errors import PreconditionError, UsageError
from meshpki.roles.role import Subject, manifests
from meshpki.settings import defaults, read
from meshpki.verify.rights import PURPOSES, rights
from tests.support import certificates as made
from tests.support.certificates import mesh_root
from tests.support.cluster import InMemoryCluster
from tests.support.existing import corporate
from tests.support.installed import ROOT, installed
from tests.support.releases import settings_file

Object = dict[str, Any]


def run(*argv: str) -> Result:
    return CliRunner().invoke(app, ["verify", *argv])


def printed(*argv: str) -> list[Object]:
    done = CliRunner().invoke(app, [*argv])
    assert done.exit_code == 0, done.exception
    return list(yaml.safe_load_all(done.stdout))


def rules(manifests: list[Object]) -> list[tuple[str, str, Object]]:
    """Each rule with the name and the namespace (empty: everywhere) of its role."""
    roles = [one for one in manifests if "rules" in one]
    return [
        (one["metadata"]["name"], one["metadata"].get("namespace", ""), rule) for one in roles for rule in one["rules"]
    ]


@pytest.fixture
def install(tmp_path: Path) -> list[Object]:
    return printed("install", "-f", str(settings_file(tmp_path)), "--subject", "user:anna")


def test_what_up_needs_is_each_object_by_its_name(install: list[Object]) -> None:
    creating = [rule for _, _, rule in rules(install) if "create" in rule["verbs"]]
    nameless = {rule["resources"][0] for rule in creating if "resourceNames" not in rule}
    assert nameless == {"leases", "pods/portforward", "pods/exec"}
    named = {(rule["resources"][0], name) for rule in creating for name in rule.get("resourceNames", ())}
    assert {
        ("certificates", "meshpki-root-g1"),
        ("certificates", "cacerts"),
        ("configmaps", "meshpki-trust"),
        ("deployments", "istiod"),
        ("customresourcedefinitions", "certificates.cert-manager.io"),
        ("statefulsets", "spire-server"),
    } <= named


def test_roles_that_up_makes_may_be_made_and_bound_by_name_without_holding_what_they_grant(
    install: list[Object],
) -> None:
    found = {(rule["verbs"][0], name) for _, _, rule in rules(install) for name in rule.get("resourceNames", ())}
    for verb in ("escalate", "bind"):
        assert {(verb, "cert-manager:controller"), (verb, "spire-server-upstream")} <= found
    assert ("bind", "*") not in found


def test_the_namespaces_that_roles_lie_in_come_first_as_up_makes_them(install: list[Object]) -> None:
    kinds = [one["kind"] for one in install]
    count = kinds.count("Namespace")
    assert kinds[:count] == ["Namespace"] * count
    spaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in install[:count]}
    assert {space for _, space, _ in rules(install)} <= {*spaces, "", "kube-system", "kube-node-lease"}
    assert {labels["app.kubernetes.io/managed-by"] for labels in spaces.values()} == {"meshpki"}


def test_no_role_may_do_everything_or_read_what_is_in_a_secret(install: list[Object]) -> None:
    of_secrets = set()
    for name, space, rule in (*rules(install), *rules(printed("operate")), *rules(printed("status"))):
        assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        if rule["resources"] == ["secrets"]:
            of_secrets.add((name, space, *rule["verbs"], *rule.get("resourceNames", ())))
    assert of_secrets == {
        ("meshpki-install", "istio-system", "get", "cacerts"),
        ("meshpki-install-istioctl", "", "list"),
        ("meshpki-install-withdrawal", "cert-manager", "delete", "cert-manager-approver-policy-tls"),
        ("meshpki-operate", "", "get", "create", "patch", "untrusted"),
        ("meshpki-operate", "istio-system", "get", "patch", "cacerts"),
        ("meshpki-operate-retire", "cert-manager", "get", "list", "delete"),
    }


def test_below_an_own_root_the_probe_of_it_is_allowed_too(tmp_path: Path) -> None:
    file = settings_file(tmp_path)
    (tmp_path / "ca.pem").write_bytes(made.pem(*corporate()))
    existing = {"root": {"existing": {"secretName": "corporate-ca", "chain": "ca.pem"}}}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **existing}))
    found = rules(printed("install", "-f", str(file)))
    asking = [rule for _, _, rule in found if "create" in rule["verbs"]]
    probing = {rule["resources"][0] for rule in asking if rule.get("resourceNames") == ["meshpki-root-probe"]}
    assert probing == {"certificaterequests", "clusterissuers"}


def test_the_probe_of_a_rotation_is_allowed_by_name_on_as_many_nodes_as_are_told() -> None:
    def servers(count: int) -> int:
        found = rules(printed("operate", "--nodes", str(count)))
        return sum(name.startswith("server-") for _, _, rule in found for name in rule.get("resourceNames", ()))

    assert servers(7) - servers(2) == 4 * (7 - 2)  # Deployment, Service and two of Istio's kinds


def test_logs_are_read_by_who_asked_for_support_bundles_alone() -> None:
    def logs(*options: str) -> list[str]:
        return [name for name, _, rule in rules(printed("status", *options)) if rule["resources"] == ["pods/log"]]

    assert logs() == []
    assert logs("--support-bundle") == ["meshpki-status-support-bundle"]


def test_roles_of_different_commands_have_different_names_and_none_takes_anothers_subjects(
    install: list[Object],
) -> None:
    every = [install, printed("operate"), printed("status", "--support-bundle"), printed("verify")]
    names = [{one["metadata"]["name"] for one in items if "roleRef" in one} for items in every]
    assert all(not one & other for one in names for other in names if one is not other)
    for items in every:
        assert len({tuple(map(str, one["subjects"])) for one in items if "roleRef" in one}) == 1


def test_yaml_and_json_are_the_same_objects() -> None:
    documents = list(yaml.safe_load_all(run("--authorities").stdout))
    listed = json.loads(run("--authorities", "-o", "json").stdout)
    assert (listed["kind"], listed["items"]) == ("List", documents)
    assert documents == list(
        manifests(rights(defaults(), authorities=True), [Subject("Group", "meshpki-verifiers")], PURPOSES)
    )


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("user:eve@example.org", {"kind": "User", "name": "eve@example.org", "apiGroup": "rbac.authorization.k8s.io"}),
        ("group:oidc:auditors", {"kind": "Group", "name": "oidc:auditors", "apiGroup": "rbac.authorization.k8s.io"}),
        ("serviceaccount:ci/verifier", {"kind": "ServiceAccount", "name": "verifier", "namespace": "ci"}),
    ],
)
def test_a_subject_is_bound_as_it_was_written(text: str, subject: dict[str, str]) -> None:
    bindings = [one for one in yaml.safe_load_all(run("--subject", text).stdout) if one["kind"].endswith("Binding")]
    assert bindings
    assert all(one["subjects"] == [subject] for one in bindings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eve",
        "user:",
        "User:eve",
        "user:a\nb",
        "user:\x1b[1m",
        "group:" + "x" * 254,
        "serviceaccount:ci",
        "serviceaccount:/a",
        "serviceaccount:ci/A",
        "serviceaccount:a/b/c",
    ],
)
def test_a_subject_that_can_be_none_is_refused(text: str) -> None:
    error = run("--subject", text).exception
    assert isinstance(error, UsageError)
    assert error.code == "MPK-375"


def test_the_namespaces_are_those_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "meshpki.yaml"
    file.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nnamespaces: {istio: mesh}\n")
    found = [one["metadata"].get("namespace") for one in yaml.safe_load_all(run("-f", str(file)).stdout)]
    assert "mesh" in found
    assert "istio-system" not in found


def test_help_shows_how_to_apply_it() -> None:
    text = run("--help").output
    assert "kubectl apply -f -" in text
    assert "Exit codes" in text


def test_with_approval_policies_both_may_apply_them_and_the_rogue_request_is_asked_by_name(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\napproval: {policy: true}\n")
    named = {
        name for _, _, rule in rules(printed("operate", "-f", str(file))) for name in rule.get("resourceNames", ())
    }
    assert "meshpki-istiod-ca" in named
    settings = read([file])
    asked = {name for right in install_role.rights(settings, ()) for name in right.names}
    assert {"meshpki-rogue", "meshpki-probe"} <= asked


def test_the_roles_of_down_are_those_of_the_mesh_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = installed(mesh_root())
    monkeypatch.setattr(session, "open_cluster", lambda *_: mesh)
    found = rules(printed("down", "--subject", "user:anna"))
    deleted = {name for _, _, rule in found if "delete" in rule["verbs"] for name in rule.get("resourceNames", ())}
    assert {"spire-server", "istiod", "bookinfo"} <= deleted
    assert ROOT not in deleted
    assert ROOT in json.dumps(printed("down", "--purge-ca"))


def test_of_a_cluster_without_a_mesh_no_removal_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "open_cluster", lambda *_: InMemoryCluster())
    error = CliRunner().invoke(app, ["down"]).exception
    assert isinstance(error, PreconditionError)
    assert error.code == "MPK-385"
