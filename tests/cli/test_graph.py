from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
import typer
from typer.testing import CliRunner

from meshpki.cli.graph import EXAMPLES, Form, graph, tell
from meshpki.errors import UsageError
from tests.support.reports import drawn

app = typer.Typer(rich_markup_mode=None)
app.command(epilog=EXAMPLES)(graph)
FIRST = {
    Form.TEXT: "trust tree of example.org",
    Form.SVG: "<svg ",
    Form.DOT: "digraph trust {",
    Form.MERMAID: "flowchart LR",
}


@pytest.mark.parametrize("form", list(Form))
def test_every_form_goes_to_stdout_alone(capsys: pytest.CaptureFixture[str], form: Form) -> None:
    tell(drawn("broken"), form, None)
    written = capsys.readouterr()
    assert written.out.startswith(FIRST[form])
    assert written.err == ""


def test_a_drawing_can_go_to_a_file_which_stderr_names(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "trust.svg"
    tell(drawn("good"), Form.SVG, path)
    assert fromstring(path.read_text(encoding="utf-8")).tag.endswith("svg")  # noqa: S314 - our own output
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", f"written to {path}\n")


def test_one_namespace_and_all_of_them_exclude_each_other() -> None:
    result = CliRunner().invoke(app, ["-n", "a", "-A"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.code == "MPK-356"


def test_help_shows_examples_and_exit_codes() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert "meshpki graph -o svg --out trust.svg" in text
    assert "Exit codes: 0 drawn" in text
