"""The folder that files are rendered into: ours alone, whole, and the same twice without a write."""

import json
from pathlib import Path

import pytest

from meshpki.errors import UsageError
from meshpki.rendering.folder import MARKER, write

FIRST = {"01-a/010-x.yaml": b"x: 1\n", "01-a/020-y.yaml": b"y: 1\n", "02-b/010-z.yaml": b"z: 1\n"}
SECOND = {"01-a/010-x.yaml": b"x: 2\n", "03-c/010-w.yaml": b"w: 1\n"}


def held(folder: Path) -> dict[str, bytes]:
    """What a folder holds beside the marker."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name != MARKER}


def refused(folder: Path, files: dict[str, bytes]) -> UsageError:
    before = held(folder) if folder.is_dir() else {}
    with pytest.raises(UsageError) as error:
        write(folder, files)
    assert (held(folder) if folder.is_dir() else {}) == before
    assert (error.value.code, error.value.exit_code) == ("MPK-220", 2)
    return error.value


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_an_empty_folder_is_filled(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "deep" / "mesh"
    if exists:
        folder.mkdir(parents=True)
    assert write(folder, FIRST) == 3
    assert held(folder) == FIRST


def test_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert write(tmp_path, FIRST) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_what_is_rendered_no_more_goes_with_its_folder_and_the_rest_changes(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    assert write(tmp_path, SECOND) == 4
    assert held(tmp_path) == SECOND
    assert not (tmp_path / "02-b").exists()


def test_files_of_others_beside_ours_stay(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "02-b" / "README").write_text("mine")
    write(tmp_path, SECOND)
    assert held(tmp_path) == {**SECOND, "02-b/README": b"mine"}


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(tmp_path, FIRST).what


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file", FIRST)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("files", [FIRST, SECOND], ids=["changes", "goes"])
def test_a_file_that_somebody_changed_is_neither_overwritten_nor_removed(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "02-b" / "010-z.yaml").write_text("z: mine\n")
    assert "02-b/010-z.yaml" in refused(tmp_path, files).what


def test_a_file_that_somebody_put_where_one_of_ours_would_come_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "03-c").mkdir()
    (tmp_path / "03-c" / "010-w.yaml").write_text("w: mine\n")
    assert "03-c/010-w.yaml" in refused(tmp_path, SECOND).what


@pytest.mark.parametrize("place", ["01-a", "01-a/010-x.yaml"])
def test_no_link_is_followed_out_of_the_folder(tmp_path: Path, place: str) -> None:
    folder, outside = tmp_path / "mesh", tmp_path / "outside"
    write(folder, {"02-b/010-z.yaml": b"z: 1\n"})
    outside.mkdir()
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).symlink_to(outside / "x")
    refused(folder, FIRST)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "marker",
    ["no json", "[]", '{"files": 1}', json.dumps({"files": {"../outside": ["0"]}}), json.dumps({"files": {"/x": []}})],
)
def test_a_marker_that_says_nothing_sound_is_refused(tmp_path: Path, marker: str) -> None:
    folder = tmp_path / "mesh"
    write(folder, FIRST)
    (folder / MARKER).write_text(marker)
    (tmp_path / "outside").write_text("mine")
    refused(folder, SECOND)
    assert (tmp_path / "outside").read_text() == "mine"


class Killed(dict[str, bytes]):
    """Files whose reading ends the run at one of them, as a kill would."""

    left = 0

    def __getitem__(self, name: str) -> bytes:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().__getitem__(name)


@pytest.mark.parametrize("after", range(len(SECOND)))
def test_a_run_that_was_killed_goes_on_when_it_is_run_again(tmp_path: Path, after: int) -> None:
    write(tmp_path, FIRST)
    killed = Killed(SECOND)
    killed.left = after
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, killed)
    assert all(content in (*FIRST.values(), *SECOND.values()) for content in held(tmp_path).values())
    write(tmp_path, SECOND)
    assert held(tmp_path) == SECOND


@pytest.mark.parametrize("after", range(len(FIRST)))
def test_a_first_run_that_was_killed_left_a_folder_of_its_own(tmp_path: Path, after: int) -> None:
    killed = Killed(FIRST)
    killed.left = after
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "mesh", killed)
    write(tmp_path / "mesh", FIRST)
    assert held(tmp_path / "mesh") == FIRST
