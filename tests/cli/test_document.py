from pathlib import Path

import pytest

from meshpki.cli.document import deliver
from meshpki.errors import UsageError


def test_a_document_replaces_an_older_one_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old and longer than the new one", encoding="utf-8")
    deliver("new ✓", path)
    assert path.read_text(encoding="utf-8") == "new ✓\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["missing/page.html", "."], ids=["no such folder", "a folder"])
def test_what_cannot_be_written_is_told_and_leaves_nothing_behind(tmp_path: Path, where: str) -> None:
    with pytest.raises(UsageError) as raised:
        deliver("text", tmp_path / where)
    assert (raised.value.code, raised.value.where) == ("MPK-390", str(tmp_path / where))
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_document_never_takes_the_place_of_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("whole", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        deliver("cut \ud800", path)
    assert path.read_text(encoding="utf-8") == "whole"
    assert list(tmp_path.iterdir()) == [path]
