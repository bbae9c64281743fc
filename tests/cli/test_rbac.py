import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from meshpki.cli.rbac import app
from meshpki.errors import UsageError
from meshpki.roles.role import Subject, manifests
from meshpki.settings import defaults
from meshpki.verify.rights import PURPOSES, rights


def run(*argv: str) -> Result:
    return CliRunner().invoke(app, ["verify", *argv])


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
        ("user:no", {"kind": "User", "name": "no", "apiGroup": "rbac.authorization.k8s.io"}),
    ],
)
def test_a_subject_is_bound_as_it_was_written(text: str, subject: dict[str, str]) -> None:
    for one in yaml.safe_load_all(run("--subject", text).stdout):
        assert one.get("subjects", [subject]) == [subject]


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
