import json

import pytest
import typer
from typer.testing import CliRunner

from meshpki.cli.verify import EXAMPLES, Form, tell, verify
from meshpki.errors import BROKEN, OK, PreconditionError, UsageError
from meshpki.settings import defaults
from meshpki.verify import Report
from meshpki.verify import verify as judge
from tests.support import certificates as made
from tests.support.certificates import AT
from tests.support.mesh import Mesh, held, mesh, pin, pod, unready

app = typer.Typer(rich_markup_mode=None)
app.command(epilog=EXAMPLES)(verify)
PINNED = pin(made.mesh_root())
GOOD = mesh(PINNED, pod(), reviews_v1_5d9_x=held())
SILENT = mesh(PINNED, pod(), reviews_v1_5d9_x=b"")
WITHOUT = mesh(PINNED, pod(**unready()))
MIXED = mesh(PINNED, pod(), pod("reviews-v1-5d9-y"), reviews_v1_5d9_x=held(), reviews_v1_5d9_y=b"")


def report(cluster: Mesh) -> Report:
    return judge(cluster, defaults(), AT)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize(
    ("cluster", "strict", "code"),
    [(GOOD, True, OK), (WITHOUT, False, BROKEN), (MIXED, False, OK), (MIXED, True, BROKEN)],
    ids=["proven", "broken", "unknown", "unknown and strict"],
)
def test_the_exit_code_depends_on_the_verdict_and_never_on_the_form(
    capsys: pytest.CaptureFixture[str], form: Form, cluster: Mesh, strict: bool, code: int
) -> None:
    assert tell(cluster, report(cluster), form, strict=strict) == code
    written = capsys.readouterr()
    assert written.out
    assert written.err == ""


def test_where_nothing_could_be_judged_the_report_is_written_and_an_error_follows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(PreconditionError, match="none of 1 pods"):
        tell(SILENT, report(SILENT), Form.JSON, strict=False)
    assert json.loads(capsys.readouterr().out)["summary"]["unknown"] == 1


def test_one_namespace_and_all_of_them_exclude_each_other() -> None:
    result = CliRunner().invoke(app, ["-n", "a", "-A"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.code == "MPK-356"


def test_help_shows_examples_and_exit_codes() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert "meshpki verify productpage-v1 reviews-v3 -n bookinfo" in text
    assert "5 broken" in text
