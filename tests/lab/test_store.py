from pathlib import Path

import pytest

from meshpki.errors import PreconditionError
from meshpki.lab.store import UNFINISHED, fingerprint, keep, require_space, sole_builder, sweep


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(("a", "c"), id="another-input"),
        pytest.param(("b", "a"), id="another-order"),
        pytest.param(("a", "b", ""), id="one-more"),
        pytest.param(("a",), id="one-less"),
        pytest.param(("ab",), id="joined"),
        pytest.param(("", "ab"), id="split-elsewhere"),
    ],
)
def test_a_fingerprint_changes_with_any_input_their_number_and_their_order(other: tuple[str, ...]) -> None:
    assert fingerprint(other) != fingerprint(("a", "b"))


def test_a_fingerprint_is_24_hex_digits_and_the_same_for_text_and_its_bytes() -> None:
    found = fingerprint(["näme", b"\x00"])
    assert found == fingerprint(["näme".encode(), "\x00"])
    assert len(found) == 24
    assert int(found, 16) >= 0


def test_what_is_kept_is_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "builds" / "etcd" / "0123"
    keep(target, lambda work: (work / "etcd").touch())
    assert [path.name for path in target.iterdir()] == ["etcd"]
    assert list(target.parent.iterdir()) == [target]


def test_nothing_is_kept_of_what_failed_half_way(tmp_path: Path) -> None:
    def fail(work: Path) -> None:
        (work / "half").touch()
        raise OSError("no space left")

    target = tmp_path / "etcd" / "0123"
    with pytest.raises(OSError, match="no space left"):
        keep(target, fail)
    assert list(target.parent.iterdir()) == []


def test_a_thing_is_not_at_its_place_while_it_is_made(tmp_path: Path) -> None:
    target = tmp_path / "0123"
    seen: list[bool] = []
    keep(target, lambda _: seen.append(target.exists()))
    assert (seen, target.is_dir()) == ([False], True)


def test_sweeping_removes_what_is_unfinished_and_nothing_else(tmp_path: Path) -> None:
    leftovers = [tmp_path / "builds" / "etcd" / f"{UNFINISHED}a", tmp_path / "artifacts" / f"{UNFINISHED}b"]
    kept = tmp_path / "builds" / "etcd" / "0123" / "bin"
    for path in (*leftovers, kept):
        path.mkdir(parents=True)
        (path / "file").touch()
    sweep(tmp_path)
    assert [path.exists() for path in leftovers] == [False, False]
    assert (kept / "file").exists()


def test_a_builder_finds_no_leftovers_of_a_killed_one(tmp_path: Path) -> None:
    leftover = tmp_path / "cache" / "builds" / f"{UNFINISHED}a"
    leftover.mkdir(parents=True)
    with sole_builder(tmp_path / "cache"):
        assert not leftover.exists()


def test_too_little_space_is_told_before_anything_is_built(tmp_path: Path) -> None:
    require_space(tmp_path, 0)
    with pytest.raises(PreconditionError, match="GB free") as refused:
        require_space(tmp_path, 10**9)
    assert refused.value.code == "MPK-512"
    assert refused.value.remedy
