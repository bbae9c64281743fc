"""What a root rotation says at its end, as JSON held to its schema and as a page in a file."""

import json
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.board import Board
from meshpki.cli.draining import Drained
from meshpki.cli.format import Format
from meshpki.cli.moments import Run
from meshpki.cli.root_forms import Intent, Outcome
from meshpki.cli.root_page import keep_page, write_page
from meshpki.components.trust import Pin
from meshpki.errors import FAILED, StepError, UsageError
from meshpki.rotate import goals
from meshpki.rotate.exposure import Closing, of_root
from tests.support.certificates import AT
from tests.support.proofs import EVERY, leaves, shown, turn
from tests.support.reports import drawn

SCHEMA = json.loads(files("meshpki").joinpath("schemas/rotate-root-report.json").read_text(encoding="utf-8"))
ERROR = StepError("MPK-440", "3 of 2376 requests failed", where="trust")
ROOT = turn().leaving.root
INTENT = Intent(
    context="a-context",
    pin=Pin(1, (ROOT,)),
    standing=None,
    first=goals.NEW_ROOT,
    planned=timedelta(seconds=90),
)
NAMES = pytest.mark.parametrize("name", EVERY)


def outcome(name: str) -> Outcome:
    board = Board([(stage, "its goal") for stage in goals.NAMES])
    return Outcome(INTENT, board, shown(name), drawn("good"), ERROR if name == "failed" else None)


@NAMES
def test_the_json_of_a_run_holds_to_its_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    told = json.loads(outcome(name).told(Format.JSON))
    assert list(Draft202012Validator(SCHEMA).iter_errors(told)) == []
    assert not Draft202012Validator(SCHEMA).is_valid({**told, "more": 1})
    assert not Draft202012Validator(SCHEMA).is_valid({**told, "dryRun": True})


def test_the_json_of_a_dry_run_holds_to_the_same_schema() -> None:
    told = json.loads(INTENT.told(Format.JSON))
    assert list(Draft202012Validator(SCHEMA).iter_errors(told)) == []
    assert not Draft202012Validator(SCHEMA).is_valid({**told, "dryRun": False})


def test_a_compromised_root_is_told_with_what_is_still_possible_and_how_soon_nothing_was() -> None:
    warned = replace(INTENT, exposed=of_root(AT)).told(Format.TEXT)
    assert "whoever has the old key can, until 2026-11-24T12:00:00Z" in warned
    closed = Closing(121.4, None, ("bookinfo/intruder-5d9-x",), ("bookinfo/Pod/debug",))
    done = replace(outcome("proven"), closing=closed)
    told = json.loads(done.told(Format.JSON))
    assert list(Draft202012Validator(SCHEMA).iter_errors(told)) == []
    assert told["compromise"] == {
        "trustedNowhereAfterSeconds": 121.4,
        "drainedAfterSeconds": None,
        "leftBehind": ["bookinfo/intruder-5d9-x"],
        "beyondReach": ["bookinfo/Pod/debug"],
    }
    text = done.told(Format.TEXT)
    assert "trusted nowhere after 121 s; not yet: every connection from before is closed" in text
    assert "left behind, and cut off: bookinfo/intruder-5d9-x" in text


@pytest.mark.parametrize("dry", [True, False])
def test_what_a_killed_run_had_left_open_is_told_by_the_same_schema(*, dry: bool) -> None:
    rotation = Drained(
        "lab", "meshpki-root-g1", ("bookinfo/Pod/debug",), None if dry else Run(Board([("drain", "all")]), ())
    )
    told = json.loads(rotation.told(Format.JSON))
    assert list(Draft202012Validator(SCHEMA).iter_errors(told)) == []
    assert told["dryRun"] is dry
    assert "bookinfo/Pod/debug" in rotation.told(Format.TEXT)


def test_a_pod_is_told_with_both_issuers_and_the_seconds_since_activate_began() -> None:
    told = json.loads(outcome("proven").told(Format.JSON))
    first = told["moves"][0]
    assert (first["issuerBefore"], first["issuerAfter"]) == tuple(leaf.aki for leaf in leaves())
    assert first["secondsAfterActivate"] == 3.0
    assert told["stages"][0] == {
        "name": goals.NEW_ROOT,
        "began": "2026-11-24T12:00:00Z",
        "ended": "2026-11-24T12:00:10Z",
        "done": True,
    }


def test_what_nobody_counted_is_null_and_not_zero() -> None:
    told = json.loads(outcome("unprobed").told(Format.JSON))
    assert {told[key] for key in ("requests", "failed", "streams", "handshakes", "control")} == {None}
    assert json.loads(outcome("failed").told(Format.JSON))["errors"] == {"503": 3}
    targeted = json.loads(outcome("targeted").told(Format.JSON))
    assert targeted["target"] == {"requests": 1000, "failed": 0}
    assert targeted["requests"] == json.loads(outcome("proven").told(Format.JSON))["requests"]


def test_the_page_of_a_run_that_went_back_is_written_whole_with_the_reason(tmp_path: Path) -> None:
    done, path = outcome("failed"), tmp_path / "proof.html"
    write_page(done, path)
    assert done.exit_code == FAILED
    assert "MPK-440 trust: 3 of 2376 requests failed" in path.read_text(encoding="utf-8")
    assert [one.name for one in tmp_path.iterdir()] == ["proof.html"]


def test_a_run_after_which_nobody_could_look_keeps_what_was_counted_and_is_no_success(tmp_path: Path) -> None:
    done, path = replace(outcome("proven"), report=None), tmp_path / "proof.html"
    write_page(done, path)
    written = path.read_text(encoding="utf-8")
    assert "0 failed of 2376 requests" in written
    assert "Nobody could look at it in the end" in written
    told = json.loads(done.told(Format.JSON))
    assert list(Draft202012Validator(SCHEMA).iter_errors(told)) == []
    assert (told["proven"], told["broken"], done.exit_code) == (None, None, FAILED)
    assert "could not be looked at in the end" in done.told(Format.TEXT)


def test_a_page_that_cannot_be_written_is_the_error_of_a_run_without_one_and_told_besides_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere" / "proof.html"
    with pytest.raises(UsageError, match="cannot be written"):
        keep_page(outcome("proven"), nowhere)
    keep_page(outcome("failed"), nowhere)
    assert "cannot be written" in capsys.readouterr().err


def test_the_schema_is_printed_without_a_cluster() -> None:
    assert json.loads(CliRunner().invoke(app, ["rotate", "root", "--schema"]).stdout) == SCHEMA
