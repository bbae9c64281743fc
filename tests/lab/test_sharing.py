from pathlib import Path

import pytest

from tests.support.sharing import Sharing


def test_the_last_run_takes_a_lab_down_that_one_of_them_made(tmp_path: Path) -> None:
    with Sharing(tmp_path / "lock") as second:
        with Sharing(tmp_path / "lock") as first:
            first.made()
            assert not first.ends_it()
        assert second.ends_it()


@pytest.mark.parametrize("left", ["", "made"], ids=["nothing", "what a killed run wrote"])
def test_a_lab_that_was_there_before_is_left(tmp_path: Path, left: str) -> None:
    (tmp_path / "lock").write_text(left)
    with Sharing(tmp_path / "lock") as alone:
        assert not alone.ends_it()
