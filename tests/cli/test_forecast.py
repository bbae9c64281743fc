import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.forecast import Form, tell
from meshpki.cli.forecast_forms import as_json, table
from meshpki.forecast import Forecast, forecast
from meshpki.forecast.observation import Observation
from meshpki.verify.places import Unseen
from tests.support.certificates import AT, HOUR
from tests.support.forecasts import DAY, MINUTE, seen, slots, svid

SCHEMA = json.loads(files("meshpki").joinpath("schemas/forecast.json").read_text(encoding="utf-8"))
LATE = seen(at=AT + 12 * HOUR, slots=(slots(AT + 23 * HOUR, AT + 35 * HOUR, old="retired"),))
OVERDUE = seen(svids=(svid("a\x1b[31m", -MINUTE),), unseen=(Unseen("b\x07", "c\x1b"),))
NOTHING = seen(cacerts=None, spire_ca=None, listeners=(), svids=())
CROWD = seen(svids=tuple(svid("a", (20 + number) * MINUTE, node=f"node-{number:03}") for number in range(30)))
LATEST = "not before 2026-11-24T23:28:40Z (in 11h 28m), by 2026-11-25T00:17:20Z (in 12h 17m) at the latest"
FAILS = "the first request fails"
RESUMED = "by 2026-11-24T12:50:00Z (in 50m 0s) at the latest"
EVERY = {"whole": seen(), "late": LATE, "overdue": OVERDUE, "nothing": NOTHING, "crowd": CROWD}


def of(observation: Observation) -> Forecast:
    return forecast(observation)


@pytest.mark.parametrize("name", EVERY)
def test_the_json_holds_to_its_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    content = json.loads(as_json(of(EVERY[name])))
    assert list(Draft202012Validator(SCHEMA).iter_errors(content)) == []
    assert not Draft202012Validator(SCHEMA).is_valid({**content, "more": 1})


def test_the_table_tells_the_next_clock_first_and_a_part_in_a_paragraph() -> None:
    parts = table(of(seen())).split("\n\n")
    first = re.split("  +", parts[0].splitlines()[1])
    assert first == [
        "in 10m 0s", "2026-11-24T12:10:00Z", "SVID bookinfo/reviews-v1 (2 pods)", "renewed", "SPIRE agent",
        "2026-11-24T12:40:00Z",
    ]  # fmt: skip
    assert [part.splitlines()[0] for part in parts[1:]] == [
        f"IF cert-manager STOPS NOW: the first request fails {LATEST}",
        f"IF spire-server STOPS NOW: {FAILS} not before 2026-11-24T12:40:00Z (in 40m 0s), {RESUMED}",
        f"IF spire-agent on node node-1 STOPS NOW: {FAILS} not before 2026-11-24T12:45:00Z (in 45m 0s), {RESUMED}",
        f"IF spire-agent on node node-2 STOPS NOW: {FAILS} not before 2026-11-24T12:40:00Z (in 40m 0s), {RESUMED}",
        "IF istiod STOPS NOW: no request between running workloads fails",
        "IF THE ROOT IS NEVER ROTATED: the first request fails 2029-05-12T12:00:00Z (in 900d 0h)",
    ]


def test_what_is_past_is_overdue_or_now_and_hostile_names_steer_no_terminal() -> None:
    told = table(of(OVERDUE))
    assert told.splitlines()[1].startswith("overdue")
    assert "the first request fails 2026-11-24T11:59:00Z (now)" in told
    assert "\x1b" not in told
    assert "bookinfo/a\\u{1b}[31m" in told


def test_of_many_nodes_those_are_told_where_requests_fail_first() -> None:
    told = table(of(CROWD))
    assert [f"node-{number:03} STOPS" in told for number in range(7)] == [True] * 5 + [False] * 2
    assert told.endswith("and 25 more nodes: -o json tells all")
    assert sum(1 for one in json.loads(as_json(of(CROWD)))["outages"] if one["node"]) == 30


@pytest.mark.parametrize("form", list(Form))
def test_every_form_goes_to_stdout_or_a_file_and_what_was_not_seen_beside_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, form: Form
) -> None:
    tell(of(OVERDUE), form, None)
    written = capsys.readouterr()
    assert written.out
    assert written.err == "not seen: b\\u0007: c\\u001b\n"
    tell(of(OVERDUE), form, tmp_path / "file")
    assert (tmp_path / "file").read_text() == written.out


def test_dates_far_ahead_are_told_in_days() -> None:
    content = json.loads(as_json(of(seen())))
    root = content["outages"][-1]
    assert (root["stopped"], root["first"]["secondsLeft"]) == ("root", 900 * DAY.total_seconds())


def test_help_says_what_is_reckoned_and_what_the_exit_codes_mean() -> None:
    told = CliRunner().invoke(app, ["forecast", "--help"]).stdout
    assert "meshpki forecast --authorities -o svg --out clocks.svg" in told
    assert "Exit codes: 0 told, 4 there is no mesh" in told


def test_the_schema_is_printed_without_a_cluster() -> None:
    assert json.loads(CliRunner().invoke(app, ["forecast", "--schema"]).stdout) == SCHEMA
