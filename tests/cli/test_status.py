import json
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from meshpki.artifacts import NONE
from meshpki.cli.app import app
from meshpki.cli.format import Format
from meshpki.cli.status import tell
from meshpki.cli.status_forms import as_json, text
from meshpki.cli.status_look import at_hand
from meshpki.cli.status_watch import WATCHED
from meshpki.cli.step import tell as tell_steps
from meshpki.cli.watch import watch
from meshpki.cluster.manifest import Ref
from meshpki.errors import BROKEN, OK, PreconditionError, UsageError
from meshpki.pki.renewal import NOBODY, Renewal
from meshpki.settings import defaults
from meshpki.status.drift import Changed, Drift
from meshpki.status.report import AuthorityStatus, State, StatusReport, StepStatus
from tests.support.certificates import AT, HOUR
from tests.support.cluster import FakeClock

DAY = timedelta(days=1)
SCHEMA = json.loads(files("meshpki").joinpath("schemas/status-report.json").read_text(encoding="utf-8"))
WEB = Ref("apps/v1", "Deployment", "demo", "web")
ROOT = AuthorityStatus("root", State.READY, "", "CN=root", AT - DAY, AT + 900 * DAY, Renewal(NOBODY))
SPIRE_CA = AuthorityStatus(
    "SPIRE CA",
    State.READY,
    "",
    "O=SPIFFE",
    AT - HOUR,
    AT + 23 * HOUR,
    Renewal("spire-server", AT + 19 * HOUR, AT + HOUR),
)
STEP = StepStatus("spire", State.READY, "", ("1.15.3",), "1.15.3", ("meshpki",), Drift(26))


def report(*steps: StepStatus, authorities: tuple[AuthorityStatus, ...] = (ROOT, SPIRE_CA)) -> StatusReport:
    return StatusReport(AT, steps, authorities, timedelta(hours=1))


WELL = report(STEP)
ILL = report(
    replace(STEP, state=State.NOT_READY, reason="pod a\x1b[31m: 1/2 ready", versions=("1.15.2", "1.15.3")),
    replace(STEP, name="istio", drift=Drift(1, tuple([Changed(WEB, ("spec.replicas",), ("kubectl",))] * 7), (WEB,))),
    replace(STEP, name="root-ca", versions=(), wanted="", drift=Drift(3, (Changed(WEB),), (), ("no right",))),
    StepStatus("workloads", State.ABSENT, wanted="1.20.3"),
    authorities=(replace(ROOT, state=State.NOT_READY, reason="it is expired", not_after=AT - HOUR),),
)
BLIND = report(
    replace(STEP, state=State.UNKNOWN, reason="no right to get", drift=Drift(unseen=("no right",))),
    authorities=(AuthorityStatus("istiod CA", State.UNKNOWN, "no right to get"), SPIRE_CA),
)
NOTHING = report(StepStatus("spire", State.ABSENT), authorities=(AuthorityStatus("root", State.ABSENT, "none"),))


@pytest.mark.parametrize("seen", [WELL, ILL, BLIND, NOTHING], ids=["well", "ill", "blind", "nothing"])
def test_the_json_holds_to_its_schema(seen: StatusReport) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert list(Draft202012Validator(SCHEMA).iter_errors(json.loads(as_json(seen)))) == []
    assert not Draft202012Validator(SCHEMA).is_valid({**json.loads(as_json(seen)), "more": 1})


def test_a_mesh_that_is_well_takes_a_line_a_step_and_a_line_a_ca() -> None:
    assert text(WELL).splitlines() == [
        "STEP   STATE  VERSION  OWNER    DRIFT",
        "spire  ready  1.15.3   meshpki  none of 26",
        "",
        "AUTHORITY  STATE  LEFT  EXPIRES               NEXT RENEWAL                   BY",
        "root       ready  900d  2029-05-12T12:00:00Z  -" + " " * 30 + "nothing by itself: meshpki rotate root",
        "SPIRE CA   ready  23h   2026-11-25T11:00:00Z  2026-11-25T07:00:00Z (in 19h)  spire-server",
        "SVIDs live 1h: the SPIRE agent of a node renews them at half of that",
    ]


def test_what_is_ill_is_told_with_its_reasons_and_steers_no_terminal() -> None:
    told = text(ILL)
    for part in (
        "1.15.2, 1.15.3 (settings: 1.15.3)",
        "  spire: pod a\\u{1b}[31m: 1/2 ready",
        "7 of 1, 1 for `up` to change",
        "  istio: drifted: Deployment demo/web: spec.replicas, changed by kubectl",
        "  istio: 2 more drifted; -o json lists all",
        "1 of 3, in part",
        "  root-ca: drifted: Deployment demo/web is gone",
        "  root-ca: not compared: no right",
        "  root: it is expired",
    ):
        assert part in told
    assert "\x1b" not in told
    assert "not compared" in text(BLIND).splitlines()[1]


@pytest.mark.parametrize("form", list(Format))
def test_the_exit_code_never_depends_on_the_form(capsys: pytest.CaptureFixture[str], form: Format) -> None:
    assert (tell(WELL, form), tell(ILL, form)) == (OK, BROKEN)
    for seen, code in ((BLIND, "MPK-386"), (NOTHING, "MPK-385")):
        with pytest.raises(PreconditionError) as caught:
            tell(seen, form)
        assert caught.value.code == code
    assert capsys.readouterr().err == ""


def test_release_files_that_are_not_here_are_done_without_unless_a_folder_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert at_hand(defaults(), None) == NONE
    with pytest.raises(PreconditionError):
        at_hand(defaults(), tmp_path)


def test_help_says_what_is_read_and_what_the_exit_codes_mean() -> None:
    told = CliRunner().invoke(app, ["status", "--help"]).stdout
    assert "Reads only, and no Secret" in told
    assert "Exit codes: 0 all is well, 5 a step or a CA is not" in told


def test_a_watch_tells_each_step_and_ca_that_is_another_than_before(capsys: pytest.CaptureFixture[str]) -> None:
    looks = iter([WELL, WELL, ILL, None])

    def look() -> StatusReport:
        seen = next(looks)
        if seen is None:
            raise KeyboardInterrupt
        return seen

    with pytest.raises(KeyboardInterrupt):
        watch(look, WATCHED, timedelta(seconds=5), FakeClock())
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-24T12:00:00Z 1 of 1 steps well, 2 of 2 CAs",
        "2026-11-24T12:00:10Z SPIRE CA O=SPIFFE: ready -> gone",
        "2026-11-24T12:00:10Z root CN=root: ready -> not ready",
        "2026-11-24T12:00:10Z step istio: new -> drifted",
        "2026-11-24T12:00:10Z step root-ca: new -> drifted",
        "2026-11-24T12:00:10Z step spire: ready -> not ready",
        "2026-11-24T12:00:10Z step workloads: new -> absent",
    ]


@pytest.mark.parametrize("argv", [["--watch", "-o", "json"], ["--every", "5s"], ["--watch", "--every", "0"]])
def test_options_of_a_watch_that_do_not_go_together_are_a_mistake(argv: list[str]) -> None:
    error = CliRunner().invoke(app, ["status", *argv]).exception
    assert isinstance(error, UsageError)
    assert error.code == "MPK-356"


def test_step_status_is_a_line_a_step_with_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert (tell_steps(WELL, Format.TEXT), tell_steps(ILL, Format.TEXT)) == (OK, BROKEN)
    assert capsys.readouterr().out.splitlines() == [
        "STEP   STATE  NEXT",
        "spire  ready  -",
        "STEP       STATE      NEXT",
        "spire      not ready  meshpki rotate root",  # whose root is expired
        "istio      drifted    meshpki rotate root",
        "root-ca    drifted    meshpki rotate root",
        "workloads  absent     meshpki rotate root",
        "  spire: pod a\\u{1b}[31m: 1/2 ready",
        "  istio: Deployment demo/web: spec.replicas, changed by kubectl (and 6 more)",
        "  root-ca: Deployment demo/web is gone",
    ]


def test_step_status_as_json_and_without_a_right(capsys: pytest.CaptureFixture[str]) -> None:
    for seen in (BLIND, NOTHING):
        with pytest.raises(PreconditionError):
            tell_steps(seen, Format.JSON)
    first, *_ = capsys.readouterr().out.split("]\n")
    assert json.loads(f"{first}]") == [
        {"name": "spire", "state": "unknown", "reason": "no right to get", "next": "meshpki rbac status"}
    ]
