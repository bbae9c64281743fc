"""`meshpki artifacts`, run in this process: what lies where, what is fetched, what differs, what is pinned."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from meshpki.artifacts import obtain, wanted
from meshpki.cli.app import app
from meshpki.errors import PRECONDITION, PreconditionError
from meshpki.settings import defaults, read, read_text
from tests.support.apiserver import Reply, StandIn, running
from tests.test_artifacts import NOWHERE, brought

HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"
FILES = len(wanted(defaults()))
POLICED = "approval: {policy: true}\n"
EVERY = [one.name for one in wanted(read_text(HEADER + POLICED, "test"))]


def run(*argv: str) -> Result:
    return CliRunner().invoke(app, ["artifacts", *argv])


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a file for each, which nothing pins."""
    made = tmp_path / "files"
    brought(made)
    return made


@pytest.fixture
def pins(tmp_path: Path, folder: Path) -> Path:
    """What `lock` says of it."""
    path = tmp_path / "pins.yaml"
    path.write_text(run("lock", str(folder)).stdout)
    return path


def items(*argv: str) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in json.loads(run(*argv, "-o", "json").stdout)["items"]}


def test_what_is_locked_are_settings_by_which_the_same_files_are_taken(folder: Path, pins: Path) -> None:
    settings = read([pins])
    assert len(settings.artifacts.pins) == FILES
    assert obtain(settings, folder).cert_manager.parent == folder
    assert run("verify", str(folder), "-f", str(pins)).exit_code == 0


@pytest.fixture
def policed(tmp_path: Path, folder: Path) -> Path:
    """Settings with approval by policies, which pin every file that there can be as it lies in the folder."""
    for name in EVERY:
        (folder / name).write_bytes(name.encode())
    path = tmp_path / "policed.yaml"
    path.write_text(HEADER + POLICED)
    path.write_text(run("lock", str(folder), "-f", str(path)).stdout + POLICED)
    return path


@pytest.mark.parametrize("name", EVERY)
def test_one_flipped_byte_in_any_file_is_found_with_both_digests_and_stops_up_before_it_writes(
    name: str, folder: Path, policed: Path, tmp_path: Path
) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    before = items("verify", str(folder), "-f", str(policed))[name]["sha256"]
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    told = run("verify", str(folder), "-f", str(policed))
    after = items("verify", str(folder), "-f", str(policed))[name]["sha256"]
    assert (told.exit_code, before != after) == (5, True)
    assert f"SHA-256 {after}, but {before} is pinned" in told.stdout
    api = StandIn(lambda _pod: Reply())
    with running(api, tmp_path) as kubeconfig:
        options = ["--kubeconfig", str(kubeconfig), "-f", str(policed), "--artifact-dir", str(folder), "--yes"]
        refused = CliRunner().invoke(app, ["up", *options]).exception
    assert isinstance(refused, PreconditionError)
    assert (refused.code, refused.exit_code, refused.where) == ("MPK-051", PRECONDITION, str(path))
    assert (before in refused.what, after in refused.what) == (True, True)
    assert {line.partition(" ")[0] for line in api.seen.requests} == {"GET"}


def test_a_file_that_is_missing_and_one_without_a_pin_are_told_and_are_no_success(folder: Path) -> None:
    found = items("list", str(folder))
    assert {one["state"] for one in found.values()} == {"differs", "no pin"}
    (folder / wanted(defaults())[0].name).unlink()
    assert items("list", str(folder))[wanted(defaults())[0].name]["state"] == "missing"
    assert run("verify").exit_code == 4


def test_every_file_is_listed_with_the_version_that_the_settings_name(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(f"{HEADER}{POLICED}versions: {{certManager: v1.21.7, spireControllerManager: 0.6.9}}\n")
    found = items("list", "-f", str(own))
    crds = ("clusterfederatedtrustdomains", "clusterspiffeids", "clusterstaticentries")
    assert {name: one["version"] for name, one in found.items()} == {
        "cert-manager-v1.21.7.yaml": "v1.21.7",
        "istioctl-1.29.1-linux-amd64.tar.gz": "1.29.1",
        **{f"spire-crd-{kind}-v0.6.9.yaml": "v0.6.9" for kind in crds},
        "approver-policy-crd-v0.28.0.yaml": "v0.28.0",
    }
    header, *lines = run("list", "-f", str(own)).stdout.splitlines()
    assert header.split()[:3] == ["FILE", "VERSION", "STATE"]
    assert [line.split()[1] for line in lines] == [one["version"] for one in found.values()]


def test_nothing_is_fetched_while_a_file_has_no_pin(tmp_path: Path) -> None:
    target = tmp_path / "target"
    failed = run("fetch", str(target))
    assert isinstance(failed.exception, PreconditionError)
    assert failed.exception.code == "MPK-052"
    assert not target.exists()


def test_what_lies_there_as_pinned_is_not_fetched_again(folder: Path, pins: Path, tmp_path: Path) -> None:
    offline = tmp_path / "offline.yaml"
    offline.write_text(f"{HEADER}{NOWHERE}\n")
    done = run("fetch", str(folder), "-f", str(pins), "-f", str(offline))
    assert done.exit_code == 0, done.output
    (folder / wanted(defaults())[1].name).write_bytes(b"another")
    again = run("fetch", str(folder), "-f", str(pins), "-f", str(offline))
    assert isinstance(again.exception, PreconditionError)
    assert again.exception.code == "MPK-053"
    assert {path.name for path in folder.iterdir()} == {one.name for one in wanted(defaults())}


def test_every_image_is_listed_once_with_its_steps_and_from_the_mirror(tmp_path: Path) -> None:
    folder, own = tmp_path / "files", tmp_path / "own.yaml"
    folder.mkdir()
    release = [
        {
            "kind": "Deployment",
            "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "a", "image": "quay.io/jetstack/a:v1"}]},
        }
    ]
    (folder / wanted(defaults())[0].name).write_text(yaml.safe_dump_all(release))
    pins = run("lock", str(folder)).stdout
    own.write_text(f"{pins}images: {{mirror: registry.example.com}}\n")
    found = json.loads(run("images", str(folder), "-f", str(own), "-o", "json").stdout)["items"]
    names = [one["image"] for one in found]
    assert {name.partition("/")[0] for name in names} == {"registry.example.com"}
    assert {"registry.example.com/istio/pilot:1.29.1", "registry.example.com/spiffe/spire-server:1.15.3"} <= {*names}
    assert len(names) == len({*names})
    assert all(one["steps"] for one in found)
