"""The documents that machines read: JSON and YAML by the schema, JUnit by a parser, GitHub's commands by its rules."""

import json
import re
import string
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
import yaml
from jsonschema import Draft202012Validator
from junitparser import Error, Failure, JUnitXml, Skipped

from meshpki.cli import verdicts
from meshpki.cli.verdicts.github import annotations, summary_page
from meshpki.cli.verdicts.junit import aborted, as_junit
from meshpki.errors import PreconditionError
from meshpki.verify.assessment import Assessment, assess
from meshpki.verify.demands import Demands, Ignore
from meshpki.verify.places import Unseen
from meshpki.verify.scope import Scope
from meshpki.verify.workloads import grouped
from tests.support import certificates as made
from tests.support import reports
from tests.support.certificates import AT

SCHEMA = Draft202012Validator(json.loads(verdicts.schema()))
PROPERTIES = {"context": "kind-demo", "meshpki": "0.1.0"}
# the others say nothing new, many times over
SHAPES = sorted(reports.EVERY.keys() - {"large", "swarm"})
LENIENT = Demands(ignores=(Ignore("MPK-341", "*"),))


def problems(content: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in SCHEMA.iter_errors(content)]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("demands", [Demands(), LENIENT], ids=["as found", "ignoring"])
def test_every_report_in_json_keeps_the_schema_and_yaml_says_the_same(name: str, demands: Demands) -> None:
    judged = assess(reports.drawn(name), demands)
    content = json.loads(verdicts.as_json(judged.report))
    assert problems(content) == []
    assert yaml.load(verdicts.as_yaml(judged.report), Loader=yaml.CSafeLoader) == content


@pytest.mark.parametrize("missing", ["roots", "scope", "places", "peers", "unseen", "ignored", "summary", "at"])
def test_the_schema_refuses_a_report_without_a_part_and_one_with_a_part_too_many(missing: str) -> None:
    content = json.loads(verdicts.as_json(reports.drawn("good")))
    assert problems({**content, "more": 1})
    del content[missing]
    assert problems(content)


def test_json_is_versioned_and_counts_pods_places_and_peers() -> None:
    judged = assess(reports.drawn("broken"), LENIENT)
    content = json.loads(verdicts.as_json(judged.report))
    assert (content["apiVersion"], content["kind"]) == ("meshpki.dev/v1alpha1", "VerifyReport")
    assert content["summary"] == {
        "pods": 14,
        "proven": 9,
        "broken": 3,
        "unknown": 1,
        "ignored": 1,
        "places": {"total": 23, "proven": 22, "broken": 0, "unknown": 0, "ignored": 1},
        "peers": {"total": 2, "proven": 1, "broken": 1, "unknown": 0, "ignored": 0},
    }
    assert content["roots"][0]["sha256"] == made.mesh_root().certificate.sha256
    assert [one["where"] for one in content["ignored"]] == [
        "pod bookinfo/stale-5d9-0",
        "webhook ConfigMap istio-system/istio-sidecar-injector",
    ]
    assert content["unseen"][0]["what"] == "SPIRE's prepared and old authorities"
    assert {one["name"]: one["result"] for one in content["workloads"]}["stale"] == "ignored"


def test_json_holds_every_path_and_finding_and_names_each_group_of_peers_once() -> None:
    content = json.loads(verdicts.as_json(reports.drawn("broken")))
    pods = {pod["name"]: pod for workload in content["workloads"] for pod in workload["pods"]}
    assert pods["client-5d9-0"]["path"][-1]["sha256"] == content["roots"][0]["sha256"]
    assert pods["client-5d9-0"]["expires"] == "2026-11-24T12:41:00Z"
    assert pods["newborn-5d9-0"]["findings"][0]["code"] == "MPK-343"
    assert [len(group["pods"]) for group in content["peers"]["groups"]] == [8, 8]
    assert [(pair["presenter"], pair["verifier"]) for pair in content["peers"]["pairs"]] == [(0, 0), (0, 1)]


def junit(judged: Assessment) -> JUnitXml:
    return JUnitXml.fromstring(as_junit(judged, PROPERTIES).encode())


@pytest.mark.parametrize("name", SHAPES)
def test_a_junit_parser_accepts_every_report_with_a_case_for_all_that_was_looked_at_or_not(name: str) -> None:
    found = reports.drawn(name)
    parsed = junit(assess(found, Demands()))
    cases = [case for suite in parsed for case in suite]
    assert len(cases) == parsed.tests == len(found.pods) + len(found.places) + len(found.peers) + len(found.unseen)
    assert parsed.failures == found.results["broken"]
    assert parsed.skipped == found.results["unknown"] + len(found.unseen)
    assert sum(suite.tests for suite in parsed) == parsed.tests


def test_in_junit_a_suite_is_a_namespace_with_context_root_and_version() -> None:
    parsed = junit(assess(reports.drawn("broken"), LENIENT))
    suites = {suite.name: suite for suite in parsed}
    assert {"bookinfo", "istio-system", "cluster"} <= set(suites)
    properties = {one.name: one.value for one in suites["bookinfo"].properties()}
    assert properties == {**PROPERTIES, "root": made.mesh_root().certificate.sha256, "scope": "every pod"}
    cases = {case.name: case for case in suites["bookinfo"]}
    failed = cases["pod bookinfo/newborn-5d9-0"].result[0]
    assert isinstance(failed, Failure)
    assert failed.type == "MPK-343"
    assert "see meshpki explain MPK-343" in str(failed.text)
    assert isinstance(cases["pod bookinfo/silent-5d9-0"].result[0], Skipped)
    assert cases["pod bookinfo/stale-5d9-0"].result[0].message == "ignored"
    assert cases["pod bookinfo/odd-5d9-0"].result == []


@pytest.mark.parametrize(
    ("demands", "pod"),
    [(Demands(strict=True), "silent"), (Demands(fail_on="warn"), "odd")],
    ids=["unknown with --strict", "warned of with --fail-on warn"],
)
def test_in_junit_fails_what_the_exit_code_fails_on(demands: Demands, pod: str) -> None:
    cases = {case.name: case for suite in junit(assess(reports.drawn("broken"), demands)) for case in suite}
    assert isinstance(cases[f"pod bookinfo/{pod}-5d9-0"].result[0], Failure)


def test_a_command_without_a_result_is_a_failed_case() -> None:
    error = PreconditionError("MPK-101", "no cluster \x1b answers ]]>", remedy="start one")
    for text in (aborted(error, PROPERTIES, AT), aborted(KeyboardInterrupt(), PROPERTIES, AT)):
        parsed = JUnitXml.fromstring(text.encode())
        (case,) = (case for suite in parsed for case in suite)
        assert isinstance(case.result[0], Error)
        assert (parsed.tests, parsed.errors) == (1, 1)


def test_an_error_after_a_report_is_a_failed_case_beside_the_others() -> None:
    error = PreconditionError("MPK-351", "nothing could be judged")
    parsed = JUnitXml.fromstring(as_junit(Assessment(reports.drawn("good")), PROPERTIES, error).encode())
    assert (parsed.errors, parsed.tests) == (1, 32)


def test_junit_of_hostile_text_is_well_formed_and_holds_no_character_that_steers() -> None:
    text = as_junit(Assessment(reports.drawn("hostile")), {"context": "\x00\ufffe"})
    assert ET.fromstring(text).tag == "testsuites"  # noqa: S314 - our own text
    assert not {char for char in text if not char.isprintable()} - {"\n"}


@pytest.mark.parametrize("name", SHAPES)
def test_every_line_for_github_is_one_whole_command(name: str) -> None:
    for line in annotations(Assessment(reports.drawn(name))).split("\n"):
        command, data = re.fullmatch(r"::(error|warning|notice) title=([^:,\r\n]*)::(.*)", line).group(1, 3)  # type: ignore[union-attr]
        assert command
        assert not re.search(r"%(?!25|0A|0D)", data)
        assert line.isprintable()


def test_documents_say_which_part_of_the_mesh_was_looked_at() -> None:
    part = replace(reports.drawn("good"), scope=Scope("bookinfo", "app=reviews", ("reviews-v1",)))
    content = json.loads(verdicts.as_json(part))
    assert problems(content) == []
    assert content["scope"] == {"namespace": "bookinfo", "selector": "app=reviews", "workloads": ["reviews-v1"]}
    properties = {one.name: one.value for suite in junit(Assessment(part)) for one in suite.properties()}
    assert properties["scope"] == "pods of reviews-v1 with labels app=reviews in namespace bookinfo"


def test_for_github_and_in_junit_what_was_not_looked_at_is_told_with_what_it_needs() -> None:
    found = Assessment(replace(reports.drawn("good"), unseen=(Unseen("the roles", "the right to `list` roles"),)))
    assert "::notice title=not seen::the roles; it needs the right to `list` roles" in annotations(found).splitlines()
    (case,) = (case for suite in junit(found) for case in suite if case.name == "not seen: the roles")
    assert isinstance(case.result[0], Skipped)
    assert case.result[0].message == "it needs the right to `list` roles"


def test_what_would_end_a_title_or_a_message_is_escaped_for_github() -> None:
    bad = reports.finding("MPK-341", found="100%\r\n::error::x")
    found = replace(reports.drawn("empty"), workloads=grouped([reports.pod("a:b,c%", (), "broken", bad)]))
    line = annotations(Assessment(found)).splitlines()[0]
    assert line.startswith("::error title=MPK-341 pod bookinfo/a%3Ab%2Cc%25-5d9-0::")
    assert "found 100%25\\u{d}\\u{a}::error::x" in line


def test_github_is_told_errors_warnings_and_what_is_unknown() -> None:
    judged = assess(reports.drawn("broken"), Demands())
    lines = annotations(judged).splitlines()
    assert any(line.startswith("::error title=MPK-343 pod bookinfo/newborn-5d9-0::") for line in lines)
    assert any(line.startswith("::warning title=MPK-328 pod bookinfo/odd-5d9-0::") for line in lines)
    unknown = "title=pod bookinfo/silent-5d9-0::unknown: no answer from Envoy's admin port (MPK-350)"
    assert f"::warning {unknown}" in lines
    assert f"::error {unknown}" in annotations(replace(judged, demands=Demands(strict=True))).splitlines()
    assert "::notice title=meshpki verify::9 of 14 pods proven, 4 broken, 1 unknown" in lines


def test_the_summary_is_a_table_of_workloads_and_what_is_not_proven() -> None:
    page = summary_page(reports.drawn("broken"))
    assert "| bookinfo | newborn | 0/1 | broken MPK-343 |\n" in page
    assert "- **broken** pod bookinfo/newborn-5d9-0: MPK-343 expected a bundle" in page
    assert "- **unknown** pod bookinfo/silent-5d9-0: no answer" in page


def test_hostile_text_in_the_summary_means_nothing_to_markdown_and_html() -> None:
    for line in summary_page(reports.drawn("hostile")).splitlines():
        left = re.sub(r"&#[0-9]+;|^- \*\*(broken|unknown)\*\* |: ", "", line)
        assert not set(left) - set(string.ascii_letters + string.digits + " ,/-|#"), line


def test_a_summary_of_ten_thousand_pods_is_cut_and_says_so() -> None:
    page = summary_page(reports.drawn("large"))
    assert "700 more workloads are not shown here." in page
    assert len(page) < 1024 * 1024
