"""The file that `support-bundle` writes: whole or not at all, for its owner alone."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.bundling import Asked, write_bundle
from meshpki.cli.whole_file import whole_file
from meshpki.errors import PreconditionError, UsageError
from tests.support.apiserver import Reply, StandIn, running
from tests.support.canaries import members
from tests.support.mesh import agent

HOUR = timedelta(hours=1)


def test_a_file_is_for_its_owner_alone_and_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    with whole_file(path, replace=False) as stream:
        stream.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_writing_leaves_nothing_behind(tmp_path: Path, end: type[BaseException]) -> None:
    def half(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise end

    with pytest.raises(end), whole_file(tmp_path / "bundle.tar.gz", replace=False) as stream:
        half(stream)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError) as refused, whole_file(path, replace=False):
        pass
    assert (refused.value.code, refused.value.where, "--force" in refused.value.remedy) == ("MPK-260", str(path), True)
    assert path.read_bytes() == b"mine"
    with whole_file(path, replace=True) as stream:
        stream.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    with pytest.raises(UsageError) as refused, whole_file(path, replace=False):
        path.write_bytes(b"theirs")
    assert refused.value.code == "MPK-260"
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["none/bundle.tar.gz", "."])
def test_a_place_that_cannot_be_written_is_told_before_a_cluster_is_asked(tmp_path: Path, name: str) -> None:
    error = CliRunner().invoke(app, ["support-bundle", "--out", str(tmp_path / name)]).exception
    assert isinstance(error, UsageError)
    assert error.code == "MPK-261"


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused, whole_file(tmp_path / "a", replace=False):
        raise OSError(28, "No space left on device")
    assert (refused.value.code, "No space left" in refused.value.what) == ("MPK-261", True)
    assert list(tmp_path.iterdir()) == []


def test_without_a_cluster_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    with pytest.raises(PreconditionError):
        write_bundle(Asked(path, HOUR, 10, kubeconfig=tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_of_an_empty_cluster_a_bundle_is_written_and_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bundle.tar.gz"
    with running(StandIn(lambda _pod: Reply()), tmp_path) as kubeconfig:
        write_bundle(Asked(path, HOUR, 10, kubeconfig=kubeconfig))
    told = capsys.readouterr()
    assert told.out == ""
    assert f"written to {path}: " in told.err
    assert "manifest.json says why" in told.err
    assert "meshpki-support-bundle/manifest.json" in members(path.read_bytes())
    assert "token-of-a-test" not in str(members(path.read_bytes()))


@pytest.mark.parametrize(
    ("options", "since", "lines"),
    [([], HOUR, 2000), (["--since", "15m", "--lines", "7"], timedelta(minutes=15), 7)],
    ids=["by default", "as told"],
)
def test_logs_are_asked_for_as_far_back_as_the_command_line_says(
    tmp_path: Path, options: list[str], since: timedelta, lines: int
) -> None:
    api = StandIn(lambda _pod: Reply(), {"/api/v1/pods": [agent()]})
    before = datetime.now(UTC)
    with running(api, tmp_path) as kubeconfig:
        argv = ["support-bundle", "--kubeconfig", str(kubeconfig), "--out", str(tmp_path / "a"), *options]
        done = CliRunner().invoke(app, argv)
    assert done.exit_code == 0, done.output
    asked = [query for path, query in api.seen.queries if path.endswith("/spire-agent-node-1/log")]
    assert {line for query in asked for line in query["tailLines"]} == {str(lines)}
    (told,) = {time for query in asked for time in query["sinceTime"]}
    assert before.replace(microsecond=0) <= datetime.fromisoformat(told) + since <= datetime.now(UTC)
