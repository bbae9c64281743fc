"""`down` on a mesh in memory: what it asks, refuses, tells and leaves."""

import io
import json
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.format import Format
from meshpki.cli.removing import Asked, remove, remove_from
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.errors import FAILED, OK, PRECONDITION, USAGE, MeshpkiError, PreconditionError, StepError, UsageError
from meshpki.lease.holder import Holder
from meshpki.lease.record import LEASE, written
from tests.support.certificates import AT, mesh_root
from tests.support.cluster import InMemoryCluster, config_map, namespace
from tests.support.installed import ROOT, installed, pod

SCHEMA = json.loads(files("meshpki").joinpath("schemas/down-report.json").read_text(encoding="utf-8"))
YES = Asked(ask=False)


@pytest.fixture
def there() -> InMemoryCluster:
    return installed(mesh_root())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def valid(text: str) -> dict[str, object]:
    content: dict[str, object] = json.loads(text)
    Draft202012Validator(SCHEMA).validate(content)
    return content


def test_it_removes_the_mesh_and_tells_what_stays(there: InMemoryCluster, capsys: pytest.CaptureFixture[str]) -> None:
    told = remove_from(there, YES).told(Format.TEXT)
    assert "deleted  workloads     Deployment bookinfo/details-v1" in told
    assert f"stays  Secret cert-manager/{ROOT}: the root's key" in told
    assert "meshpki up --context memory" in told
    assert LEASE not in there.objects
    err = capsys.readouterr().err
    assert "context memory" in err
    assert "step=workloads state=done" in err


def test_the_lease_is_taken_before_the_first_deletion_and_given_up_at_the_end(there: InMemoryCluster) -> None:
    remove_from(there, YES)
    assert there.writes[0] == ("create", str(LEASE))
    assert there.writes[-1] == ("delete", str(LEASE))


def test_a_second_run_finds_nothing_to_do_and_writes_nothing(there: InMemoryCluster) -> None:
    remove_from(there, YES)
    there.requests.clear()
    assert "nothing to remove" in remove_from(there, YES).told(Format.TEXT)
    assert there.writes == []


def test_a_dry_run_lists_both_and_writes_nothing(there: InMemoryCluster) -> None:
    before = dict(there.objects)
    outcome = remove_from(there, Asked(purge=True, dry_run=True))
    assert "would delete  workloads     Namespace bookinfo" in outcome.told(Format.TEXT)
    assert valid(outcome.told(Format.JSON))["dryRun"] is True
    assert there.objects == before
    assert there.writes == []


def test_a_dry_run_says_what_would_be_refused_and_exits_so(there: InMemoryCluster) -> None:
    assert remove_from(there, Asked(dry_run=True)).exit_code == OK
    there.put(namespace("team"), pod("app", "team", None, sidecar=True))
    outcome = remove_from(there, Asked(dry_run=True))
    assert outcome.exit_code == PRECONDITION
    assert [one["code"] for one in valid(outcome.told(Format.JSON))["refused"]] == ["MPK-233"]  # type: ignore[attr-defined]


def test_the_report_is_held_to_its_schema(there: InMemoryCluster) -> None:
    said = valid(remove_from(there, YES).told(Format.JSON))
    assert said["root"] == ROOT
    assert [one["state"] for one in said["steps"]] == ["done"] * 6  # type: ignore[attr-defined]
    purged = valid(remove_from(there, replace(YES, purge=True, root=ROOT)).told(Format.JSON))
    assert purged["kept"] == []


def refusal(there: InMemoryCluster, asked: Asked) -> MeshpkiError:
    before = {ref: one for ref, one in there.objects.items() if ref != LEASE}
    with pytest.raises(MeshpkiError) as caught:
        remove_from(there, asked)
    assert {ref: one for ref, one in there.objects.items() if ref != LEASE} == before
    return caught.value


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked(), "MPK-112"),
        (Asked(purge=True), "MPK-112"),
        (Asked(purge=True, root=ROOT), "MPK-112"),
        (replace(YES, purge=True), "MPK-236"),
        (replace(YES, purge=True, root="meshpki-root-g2"), "MPK-236"),
    ],
)
def test_without_a_terminal_nothing_goes_without_yes_and_no_root_without_its_name(
    there: InMemoryCluster, monkeypatch: pytest.MonkeyPatch, asked: Asked, code: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    found = refusal(there, asked)
    assert isinstance(found, UsageError)
    assert (found.code, found.exit_code) == (code, USAGE)


@pytest.mark.parametrize(("typed", "goes"), [(ROOT, True), ("y", False), ("", False)])
def test_on_a_terminal_the_roots_name_is_typed(
    there: InMemoryCluster, monkeypatch: pytest.MonkeyPatch, typed: str, goes: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(f"{typed}\n"))
    if goes:
        remove_from(there, Asked(purge=True))
        assert Ref("v1", "Secret", "cert-manager", ROOT) not in there.objects
    else:
        assert refusal(there, Asked(purge=True)).code == "MPK-236"


def test_a_mesh_without_a_root_is_asked_about_all_the_same(
    there: InMemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ref in [ref for ref in there.objects if ref.kind == "Certificate" or ref.name == ROOT]:
        del there.objects[ref]
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert refusal(there, Asked(purge=True)).code == "MPK-112"


def test_while_workloads_of_others_use_the_mesh_it_is_refused_and_they_are_listed(there: InMemoryCluster) -> None:
    there.put(namespace("team"), pod("app", "team", None, sidecar=True))
    found = refusal(there, YES)
    assert isinstance(found, PreconditionError)
    assert (found.code, found.exit_code) == ("MPK-233", PRECONDITION)
    assert "team/app" in found.what


def test_while_another_run_holds_the_lease_it_is_refused(there: InMemoryCluster) -> None:
    there.put(written(Holder("ci@runner pid 1 x", "meshpki up"), AT, since=AT))
    there.server_date = AT
    found = refusal(there, YES)
    assert (found.code, found.exit_code) == ("MPK-230", PRECONDITION)
    assert "ci@runner" in found.what


def test_what_comes_back_meanwhile_is_told(there: InMemoryCluster) -> None:
    def argo(cluster: InMemoryCluster, _one: Object) -> None:
        back = Ref("v1", "ConfigMap", "default", "back")
        if Ref("v1", "Namespace", "", "bookinfo") not in cluster.objects and back not in cluster.objects:
            cluster.objects[back] = owned(config_map("back"), "workloads")
            cluster.objects[back]["metadata"]["uid"] = "u-back"

    there.reactions.append(argo)
    there.reactions[0](there, {})
    # a write that is no deletion has the reaction run: the namespace that was there before is given back
    live = there.objects[Ref("v1", "Namespace", "", "spire-system")]
    entry = {"manager": "kubectl", "fieldsV1": {"f:metadata": {"f:labels": {"f:kubernetes.io/metadata.name": {}}}}}
    live["metadata"]["managedFields"] = [entry]
    with pytest.raises(StepError) as caught:
        remove_from(there, YES)
    assert (caught.value.code, caught.value.exit_code) == ("MPK-238", FAILED)
    assert "ConfigMap default/back" in caught.value.what


def test_a_name_without_purge_is_a_mistake() -> None:
    error = CliRunner().invoke(app, ["down", ROOT]).exception
    assert isinstance(error, UsageError)
    assert error.code == "MPK-236"


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ("", True),
        ("trustDomain: other.example", False),
        ("namespaces: {istio: mesh}", False),
        (f"root: {{fingerprint: {mesh_root().certificate.sha256}}}", True),
        (f"root: {{fingerprint: {'0' * 64}}}", False),
    ],
)
def test_settings_say_which_mesh_is_meant(
    there: InMemoryCluster, tmp_path: Path, settings: str, meant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n{settings}\n")
    monkeypatch.setattr("meshpki.cli.removing.open_cluster", lambda *_: there)
    asked = Asked(ask=False, dry_run=True, files=(file,))
    if meant:
        assert remove(asked).removal.parts
    else:
        with pytest.raises(PreconditionError) as caught:
            remove(asked)
        assert caught.value.code == "MPK-240"


def test_a_volume_that_outlives_its_claim_is_warned_of(
    there: InMemoryCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, policy, space in [("a", "Retain", "spire-server"), ("b", "Delete", "spire-server"), ("c", "Retain", "x")]:
        spec = {"persistentVolumeReclaimPolicy": policy, "claimRef": {"namespace": space, "name": "data"}}
        there.put({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    remove_from(there, Asked(dry_run=True))
    warned = [line for line in capsys.readouterr().err.splitlines() if "PersistentVolume" in line]
    assert [line.split()[2] for line in warned] == ["a"]
