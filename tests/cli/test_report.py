from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from meshpki.cli.report import EXAMPLES, report, tell
from meshpki.drawing.page_frame import Origin
from meshpki.errors import BROKEN, OK, PreconditionError
from tests.support.mesh import mesh
from tests.support.reports import drawn

app = typer.Typer(rich_markup_mode=None)
app.command(epilog=EXAMPLES)(report)
ORIGIN = Origin("a-context", "https://10.0.0.1:6443", "0.1.0")


@pytest.mark.parametrize(("name", "code"), [("good", OK), ("broken", BROKEN), ("rotation", OK)])
def test_the_page_is_written_and_the_exit_code_is_verifys(
    capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    assert tell(mesh(), drawn(name), ORIGIN, None, strict=False) == code
    written = capsys.readouterr()
    assert written.out.startswith("<!DOCTYPE html>\n<html ")
    assert written.err == ""


def test_where_nothing_could_be_judged_the_page_is_written_and_an_error_follows(tmp_path: Path) -> None:
    path = tmp_path / "trust.html"
    with pytest.raises(PreconditionError, match="no pod of the mesh"):
        tell(mesh(), drawn("empty"), ORIGIN, path, strict=False)
    assert "Nothing could be judged" in path.read_text(encoding="utf-8")


def test_help_shows_examples_and_exit_codes() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert "meshpki report --out trust.html" in text
    assert "5 broken" in text
