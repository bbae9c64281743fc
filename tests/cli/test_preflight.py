"""What `meshpki preflight` says of an outcome, as text and as JSON."""

import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.preflight_forms import as_json, text
from meshpki.cluster.client import NoAccessError
from meshpki.errors import PRECONDITION
from meshpki.preflight import CHECKS, examine, unanswered
from meshpki.settings import defaults
from tests.preflight.test_checks import GOOD, OURS, workload

SKEWED = replace(
    GOOD,
    skews=("Node a's clock is 90 s behind of the API server's",),
    missing_rights=("create namespaces", "patch secrets"),
    deployments=(workload("Deployment", "cert-manager", "cert-manager", **OURS),),
)


def test_every_check_is_told_whether_it_holds_is_ignored_or_refuses() -> None:
    told = json.loads(as_json(examine(SKEWED, defaults(), ("clock",))))
    assert [one["name"] for one in told["checks"]] == [one.name for one in CHECKS]
    results = {one["name"]: one["result"] for one in told["checks"]}
    assert {name for name, result in results.items() if result != "ok"} == {"clock", "rights"}
    assert (results["clock"], results["rights"]) == ("ignored", "refused")
    assert told["there"] == [{"object": "Deployment cert-manager/cert-manager", "version": "-", "owner": "meshpki"}]


def test_the_text_names_what_is_the_matter_and_what_to_do() -> None:
    told = text(examine(SKEWED, defaults()))
    assert "missing rights: create namespaces, patch secrets" in told
    assert "have them agree (NTP)" in told
    assert "--ignore clock" in told
    assert "Deployment cert-manager/cert-manager" in told
    well = text(examine(GOOD, defaults()))
    assert {line.split()[1] for line in well.splitlines()[1:]} == {"ok"}


def test_where_nobody_answers_no_other_check_is_called_ok() -> None:
    outcome = unanswered(NoAccessError("MPK-101", "no answer from the API server", remedy="wait"))
    told = json.loads(as_json(outcome))
    assert [one["result"] for one in told["checks"]] == ["refused", *["not looked at"] * (len(CHECKS) - 1)]
    assert "api: MPK-101" in text(outcome)
    assert text(outcome).count("not looked at") == len(CHECKS) - 1


def test_preflight_of_a_cluster_that_does_not_answer_is_a_table_with_exit_code_4(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: a, users: [{name: a, user: {}}],"
        " clusters: [{name: a, cluster: {server: 'https://127.0.0.1:9'}}],"
        " contexts: [{name: a, context: {cluster: a, user: a}}]}"
    )
    done = CliRunner().invoke(app, ["preflight", "--kubeconfig", str(kubeconfig), "-o", "json"])
    assert done.exit_code == PRECONDITION
    first, *others = json.loads(done.stdout)["checks"]
    assert (first["name"], first["result"], first["code"]) == ("api", "refused", "MPK-101")
    assert {one["result"] for one in others} == {"not looked at"}
