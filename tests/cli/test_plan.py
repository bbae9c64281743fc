"""How a plan is written: text, diff and JSON from one report; and the question that `up` asks of it."""

import io
import json
import threading
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from meshpki.cli import plan_forms as forms
from meshpki.cli.consent import consent
from meshpki.cluster.client import Cluster
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.errors import UsageError
from meshpki.install import wish_manifest
from meshpki.planning import PlanReport, ProgramPlan, StepPlan, look
from meshpki.settings import defaults
from meshpki.workflow.plan import Plan
from meshpki.workflow.step import Applies, Program, Step
from tests.support.cluster import InMemoryCluster, config_map, namespace

OLD = Ref("v1", "ConfigMap", "default", "old")
SUMMARY = (
    "2 to create, 1 to change, 2 unchanged; to run: pin; "
    "istioctl install: 1 to create, 0 to change, 0 unchanged, 1 to remove"
)
SCHEMA = json.loads(files("meshpki").joinpath("schemas/plan-report.json").read_text(encoding="utf-8"))


def never(_cluster: Cluster, _stop: threading.Event) -> None:
    raise AssertionError("a plan runs no program")


def report(*, pending: bool = True) -> PlanReport:
    """A step with each kind of object, and a program; nothing to do at all without `pending`."""
    memory = InMemoryCluster()
    memory.put(namespace("default"), namespace("kube-system"))
    same, changed = config_map("same", key="1"), config_map("changed", key="1", file="a\nb\n", gone="x")
    for one in (owned(same, "one"), owned(changed, "one"), owned(wish_manifest(defaults()), "settings")):
        memory.apply(one)
    after = config_map("changed", key="\x1b[31m2", file="a\nc\n", gone="x")
    programs = (
        Program("pin", lambda _: not pending, never, does="writes the pin"),
        Program(
            "istioctl install",
            lambda _: not pending,
            never,
            does="installs",
            applies=Applies(
                lambda: (config_map("istio", key="1"),), "istio-operator", config_map("mark"), lambda _: (OLD,)
            ),
        ),
    )
    wanted: tuple[Object, ...] = (same,)
    if pending:
        wanted = (same, after, namespace("new"), config_map("c", "new", key="1"))
    return look(Plan((Step("one", "a step", wanted, programs=programs),)), wish_manifest(defaults()), memory)


def as_json(one: PlanReport) -> Object:
    return json.loads(forms.as_json(one, "memory", "https://memory.invalid", "v1.35.4"))  # type: ignore[no-any-return]


def test_the_text_is_grouped_by_step_and_ends_with_the_summary() -> None:
    assert forms.text(report()).splitlines() == [
        "settings: 1 unchanged",
        "one: 2 to create, 1 to change, 1 unchanged",
        "  change  ConfigMap default/changed",
        '            ~ data.key: "1" -> "\\u001b[31m2"',
        "            ~ data.file:",
        "                -b",
        "                +c",
        "  create  Namespace new",
        "  create  ConfigMap new/c  (validated offline: namespace new is not there yet)",
        "  run     pin: writes the pin",
        "  run     istioctl install: installs",
        "    create  ConfigMap default/istio",
        "    remove  ConfigMap default/old",
        SUMMARY,
    ]


def test_a_plan_without_changes_is_a_line_a_step() -> None:
    assert forms.text(report(pending=False)).splitlines() == [
        "settings: 1 unchanged",
        "one: 1 unchanged",
        "0 to create, 0 to change, 2 unchanged",
    ]
    assert forms.diff(report(pending=False)) == ""


def test_the_diff_has_a_part_for_each_object_that_is_made_or_changes() -> None:
    shown = forms.diff(report())
    headers = [line for line in shown.splitlines() if line.startswith("+++ ")]
    assert headers == [
        "+++ plan/v1/ConfigMap/default/changed",
        "+++ plan/v1/Namespace/new",
        "+++ plan/v1/ConfigMap/new/c",
        "+++ plan/v1/ConfigMap/default/istio",
        "+++ /dev/null",
    ]
    assert "\x1b" not in shown
    assert "-    b\n+    c\n" in shown


@pytest.mark.parametrize("pending", [True, False])
def test_the_json_holds_to_its_schema(pending: bool) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    written = as_json(report(pending=pending))
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(written)] == []
    assert written["pending"] is pending


def test_the_json_says_what_was_validated_by_whom() -> None:
    objects = {one["object"]["name"]: one for one in as_json(report())["steps"][1]["objects"]}
    assert (objects["c"]["validated"], objects["c"]["reason"]) == ("offline", "namespace new is not there yet")
    assert (objects["new"]["validated"], objects["new"]["reason"]) == ("server", "")
    assert objects["changed"]["fields"][0] == {
        "path": "data.key",
        "kind": "change",
        "before": "1",
        "after": "\x1b[31m2",
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        (io.StringIO("y\n"), "there is nobody to ask"),
        (Terminal(""), "not confirmed"),
        (Terminal("n\n"), "not confirmed"),
        (Terminal("\n"), "not confirmed"),
        (Terminal("yes please\n"), "not confirmed"),
    ],
    ids=["no terminal", "closed", "no", "nothing", "something else"],
)
def test_without_a_clear_yes_of_a_person_nothing_goes_on(
    monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO, told: str
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(UsageError, match=told) as refused:
        consent("memory")
    assert (refused.value.code, refused.value.exit_code) == ("MPK-112", 2)


def test_a_yes_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("Y\n"))
    consent("memory")
    assert "memory" in capsys.readouterr().err


def test_a_step_that_is_an_installers_alone_says_that_it_has_nothing_to_do() -> None:
    report = PlanReport((StepPlan("istio", (), (ProgramPlan("istioctl install", pending=False),)),))
    assert forms.text(report).splitlines()[0] == "istio: nothing to do for istioctl install"
