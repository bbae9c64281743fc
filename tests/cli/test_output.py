import json
import re

import pytest

from meshpki.cli import output
from meshpki.cli.board import Board
from meshpki.cli.format import Format
from meshpki.cli.mesh import Result
from meshpki.cli.up import tell
from meshpki.cluster.manifest import Ref
from meshpki.errors import BROKEN, OK, GateTimeoutError, PreconditionError
from meshpki.planning import Action, ObjectPlan
from meshpki.settings import defaults
from meshpki.verify import Report, verify
from meshpki.workflow.event import Applied, GateOpened, Outcome, StepFailed, StepStarted
from tests.support.certificates import AT
from tests.support.control_plane import ControlPlane
from tests.support.mesh import held, pod, unready

REF = Ref("v1", "ConfigMap", "kube-system", "one")


def report(*pods: dict[str, object], **envoys: bytes) -> Report:
    return verify(ControlPlane().around(*pods, **envoys), defaults(), AT)


def board() -> Board:
    shown = Board([("spire", "SPIRE runs"), ("istio", "Istio runs")])
    for event in (
        StepStarted("spire"),
        Applied("spire", REF, Outcome.CREATED),
        GateOpened("spire", "server", "1 of 1 ready"),
    ):
        shown.note(event, AT)
    return shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words, ünïcode 证书", "plain words, ünïcode 证书"),
        ("two\nlines", "two\nlines"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("a\rb", "a\\u000db"),
        ("a\tb\x00\x07\x7f", "a\\u0009b\\u0000\\u0007\\u007f"),
        ("\x9b2J", "\\u009b2J"),
        ("\u202egnp.exe\u202c", "\\u202egnp.exe\\u202c"),
        ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        ("\u2028\u2029\ufeff", "\\u2028\\u2029\\ufeff"),
    ],
)
def test_what_steers_a_terminal_is_shown_and_not_sent(text: str, shown: str) -> None:
    assert output.plain(text) == shown


def test_data_goes_to_stdout_and_the_story_to_stderr_each_ending_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.data("data")
    output.data("more\n")
    output.progress("story")
    assert capsys.readouterr() == ("data\nmore\n", "story\n")


def test_an_error_is_told_with_its_place_its_remedy_and_where_to_read_more(capsys: pytest.CaptureFixture[str]) -> None:
    output.failure(PreconditionError("MPK-107", "not \x1bours", where="Secret istio-system/cacerts", remedy="look"))
    assert capsys.readouterr().err.splitlines() == [
        "error MPK-107: not \\u001bours",
        "  where: Secret istio-system/cacerts",
        "  to do: look",
        "  more:  meshpki explain MPK-107",
    ]


def test_foreign_text_of_several_lines_is_neither_a_line_of_ours_nor_a_command_of_a_runner(
    capsys: pytest.CaptureFixture[str],
) -> None:
    what = "a pod: y\n::notice title=x::pwned\n  ::error::too\n  to do: run this ##[group]\nerror MPK-1: z"
    output.failure(PreconditionError("MPK-107", what, where="a\nb", remedy="first\nthen"))
    assert capsys.readouterr().err.splitlines() == [
        "error MPK-107: a pod: y",
        "    \\u003a:notice title=x::pwned",
        "      \\u003a:error::too",
        "      to do: run this \\u0023#[group]",
        "    error MPK-1: z",
        "  where: a",
        "    b",
        "  to do: first",
        "    then",
        "  more:  meshpki explain MPK-107",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a::b", "a::b"), ("::b", "\\u003a:b"), ("a\n\n ::b", "a\n\n \\u003a:b"), ("fd00::1", "fd00::1")],
)
def test_only_what_begins_a_line_can_be_a_command(text: str, shown: str) -> None:
    assert output.plain(text) == shown


def test_an_error_without_a_place_or_remedy_is_told_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.failure(PreconditionError("MPK-107", "not ours"))
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_result_in_json_holds_steps_changes_and_the_verdict() -> None:
    result = Result(board(), report(pod(), reviews_v1_5d9_x=held()))
    written = json.loads(result.as_json())
    assert list(written) == ["apiVersion", "kind", "steps", "changes", "verify", "error"]
    assert written["error"] is None
    assert (written["apiVersion"], written["kind"]) == ("meshpki.dev/v1alpha1", "UpReport")
    spire, istio = written["steps"]
    assert spire == {
        "name": "spire",
        "state": "running",
        "seconds": 0.0,
        "objects": {"created": 1},
        "gates": {"server": "1 of 1 ready"},
        "programs": {},
    }
    assert (istio["state"], istio["objects"], istio["gates"]) == ("pending", {}, {})
    assert written["changes"] == []
    assert written["verify"]["summary"]["proven"] == 1


def test_a_run_that_failed_is_told_whole_in_json_and_ends_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    shut, steps = GateTimeoutError("MPK-214", "0 of 1 ready"), board()
    steps.note(StepFailed("spire", shut), AT)
    with pytest.raises(GateTimeoutError) as ended:
        tell(Result(steps, None, error=shut), Format.JSON)
    assert ended.value is shut
    written = json.loads(capsys.readouterr().out)
    assert written["error"] == {"code": "MPK-214", "step": "spire", "message": "0 of 1 ready"}
    assert [step["state"] for step in written["steps"]] == ["failed", "pending"]
    assert written["verify"] is None


def test_where_no_step_failed_but_the_whole_took_too_long_the_error_names_none() -> None:
    written = json.loads(Result(board(), None, error=GateTimeoutError("MPK-203", "not done within 5 s")).as_json())
    assert (written["error"]["code"], written["error"]["step"]) == ("MPK-203", "")


def test_a_run_that_failed_has_no_table_of_identities(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GateTimeoutError):
        tell(Result(board(), None, error=GateTimeoutError("MPK-203", "late")), Format.TEXT)
    assert capsys.readouterr().out == ""


def test_a_dry_run_says_an_object_a_line_and_the_same_in_json() -> None:
    result = Result(board(), None, (ObjectPlan(REF, Action.CREATE), ObjectPlan(REF, Action.CHANGE)))
    assert result.as_text().splitlines() == [
        "created    ConfigMap kube-system/one",
        "configured ConfigMap kube-system/one",
    ]
    written = json.loads(result.as_json())
    assert written["verify"] is None
    assert written["changes"][0] == {"change": "created", "object": "ConfigMap kube-system/one"}


def test_a_dry_run_that_would_change_nothing_says_so() -> None:
    assert Result(board(), None).as_text() == "no change"


def test_the_exit_code_of_a_run_is_what_verify_says() -> None:
    good = Result(board(), report(pod(), reviews_v1_5d9_x=held()))
    bad = Result(board(), report(pod(**unready())))
    assert (good.exit_code, bad.exit_code, Result(board(), None).exit_code) == (OK, BROKEN, OK)


@pytest.mark.parametrize(
    ("lab", "context", "commands"),
    [
        (False, "", ["verify -o wide", "status", "graph", "up"]),
        (
            False,
            "demo",
            ["verify -o wide --context demo", "status --context demo", "graph --context demo", "up --context demo"],
        ),
        (True, "lab", ["verify -o wide", "status", "graph", "up --lab", "lab status", "lab down"]),
    ],
)
def test_the_next_commands_are_for_the_cluster_that_was_used(lab: bool, context: str, commands: list[str]) -> None:
    text = Result(board(), report(pod(), reviews_v1_5d9_x=held()), lab=lab, context=context).as_text()
    after = text.partition("next:\n")[2]
    assert re.findall(r"^  meshpki (.*?)(?: {2,}.*)?$", after, re.MULTILINE) == commands
    assert after.startswith("  export KUBECONFIG=") == lab
