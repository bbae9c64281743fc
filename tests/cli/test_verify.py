import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from junitparser import JUnitXml
from typer.testing import CliRunner, Result

from meshpki.cli import verdicts
from meshpki.cli.app import app
from meshpki.cli.junit_file import JUnitFile
from meshpki.cli.proving import tell
from meshpki.cli.verify_options import FailOn, Form, Rules
from meshpki.cli.verify_wish import Counting, OfFile, OfMesh, Telling, Wish, check
from meshpki.errors import BROKEN, OK, USAGE, PreconditionError, UsageError
from meshpki.verify.assessment import Assessment, assess
from meshpki.verify.demands import Demands, Ignore, MinValidity
from meshpki.verify.workloads import grouped
from tests.support import certificates as made
from tests.support import mesh, reports
from tests.support.certificates import AT, SVID, TRUST_DOMAIN

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
CHAIN = made.pem(CA.issue(SVID), CA)
NO_FILE = JUnitFile(None, {})
ALL = (Ignore("MPK-341", "*"),)


def run(*argv: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["verify", *argv], input=given)


def refusal(*argv: str, given: bytes = b"") -> UsageError:
    error = run(*argv, given=given).exception
    assert isinstance(error, UsageError), error
    return error


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a chain, its root and a dump of both."""
    (tmp_path / "chain.pem").write_bytes(CHAIN)
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "dump.json").write_bytes(mesh.dump(CHAIN, {TRUST_DOMAIN: ROOT.pem}))
    return tmp_path


def offline(files: Path, *argv: str, given: bytes = b"") -> Result:
    anchors, at = str(files / "root.pem"), f"{AT:%Y-%m-%dT%H:%M:%SZ}"
    return run("--file", str(files / "chain.pem"), "--anchors", anchors, "--at", at, *argv, given=given)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize(
    ("name", "demands", "code"),
    [
        ("good", Demands(strict=True, fail_on="warn"), OK),
        ("broken", Demands(), BROKEN),
        ("rotation", Demands(), OK),
        ("good", Demands(min_validity=MinValidity(timedelta(hours=2))), BROKEN),
    ],
    ids=["proven", "broken", "two roots", "too little time"],
)
def test_the_exit_code_depends_on_the_verdict_and_never_on_the_form(
    capsys: pytest.CaptureFixture[str], form: Form, name: str, demands: Demands, code: int
) -> None:
    judged = assess(reports.drawn(name), demands)
    with JUnitFile(None, {}, shown=form is Form.JUNIT) as junit:
        assert tell(mesh.mesh(), judged, Telling(form), junit) == code
    written = capsys.readouterr()
    assert written.out
    assert written.err == ""


def test_where_nothing_could_be_judged_the_report_is_written_and_an_error_follows(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "verify.xml"
    silent = grouped([reports.pod("silent", (), "unknown", reason="no answer")])
    with pytest.raises(PreconditionError, match="none of 1 pods"), JUnitFile(path, {}) as junit:
        tell(mesh.mesh(), Assessment(replace(reports.drawn("empty"), workloads=silent)), Telling(Form.JSON), junit)
    assert json.loads(capsys.readouterr().out)["summary"]["unknown"] == 1
    kept = JUnitXml.fromfile(str(path))
    assert (kept.tests, kept.errors, kept.skipped) == (2, 1, 1)


@pytest.mark.parametrize(("path", "shown", "wanted"), [("verify.xml", False, 1), (None, True, 1), (None, False, 0)])
def test_junit_is_written_only_where_somebody_reads_it(path: str | None, *, shown: bool, wanted: int) -> None:
    class Watched(JUnitFile):
        kept = 0

        def keep(self, text: str) -> None:
            self.kept += bool(text)

    junit = Watched(Path(path) if path else None, {}, shown=shown)
    tell(mesh.mesh(), Assessment(reports.drawn("good")), Telling(), junit)
    assert junit.kept == wanted


def test_an_ignore_that_met_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    judged = assess(reports.drawn("good"), Demands(ignores=ALL))
    assert tell(mesh.mesh(), judged, Telling(), NO_FILE) == OK
    assert capsys.readouterr().err == "--ignore MPK-341=* met no finding that it could let be\n"


def test_the_summary_of_a_run_is_added_to_and_failing_to_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    tell(mesh.mesh(), Assessment(reports.drawn("good")), Telling(Form.GITHUB), NO_FILE)
    assert page.read_text().startswith("before\n### meshpki verify\n")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert tell(mesh.mesh(), Assessment(reports.drawn("good")), Telling(Form.GITHUB), NO_FILE) == OK
    assert "warning MPK-368: GITHUB_STEP_SUMMARY cannot be written: Is a directory" in capsys.readouterr().err


def test_a_junit_file_is_whole_readable_by_all_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "verify.xml"
    path.write_text("old")
    with JUnitFile(path, {"context": "demo"}) as junit:
        assert JUnitXml.fromfile(str(path)).errors == 1  # as it is left by somebody who is killed
        tell(mesh.mesh(), Assessment(reports.drawn("good")), Telling(), junit)
    assert (JUnitXml.fromfile(str(path)).errors, JUnitXml.fromfile(str(path)).tests) == (0, 31)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_command_that_fails_leaves_a_junit_file_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "verify.xml"
    result = run("--junit-file", str(path), "--kubeconfig", str(tmp_path / "none"))
    assert isinstance(result.exception, PreconditionError)
    (case,) = (case for suite in JUnitXml.fromfile(str(path)) for case in suite)
    assert case.result[0].type == "MPK-101"
    shown = run("-o", "junit", "--kubeconfig", str(tmp_path / "none")).stdout
    assert JUnitXml.fromstring(shown.encode()).errors == 1


def test_a_junit_file_that_cannot_be_written_is_told_before_anything_is_looked_at(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "verify.xml"):
        error = refusal("--junit-file", str(path), "--kubeconfig", str(tmp_path / "none"))
        assert (error.code, error.where) == ("MPK-368", str(path))


FILE = ("--file", "chain.pem", "--anchors", "root.pem")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["-n", "a", "-A"], "-n and -A exclude each other"),
        ([*FILE, "--config-dump", "x"], "--file and --config-dump exclude each other"),
        (["--file", "-", "--anchors", "-"], "standard input can be read only once"),
        ([*FILE, "--rules", "path", "--trust-domain", "a"], "--rules path knows no --trust-domain"),
        ([*FILE, "reviews-v3"], "WORKLOAD is for a mesh"),
        ([*FILE, "-n", "a"], "-n is for a mesh"),
        ([*FILE, "-A"], "-A is for a mesh"),
        ([*FILE, "-l", "a=b"], "-l is for a mesh"),
        ([*FILE, "--authorities"], "--authorities is for a mesh"),
        ([*FILE, "--root-fingerprint", "aa"], "--root-fingerprint is for a mesh"),
        ([*FILE, "--context", "a"], "--context is for a mesh"),
        ([*FILE, "--kubeconfig", "a"], "--kubeconfig is for a mesh"),
        ([*FILE, "-f", "mesh.yaml"], "-f is for a mesh"),
        ([*FILE, "--ignore", "341=*"], "--ignore is for a mesh"),
        ([*FILE, "--junit-file", "x"], "--junit-file is for a mesh"),
        ([*FILE, "--watch"], "--watch is for a mesh"),
        ([*FILE, "-o", "tree"], "-o tree is for a mesh"),
        ([*FILE, "-o", "junit"], "-o junit is for a mesh"),
        ([*FILE, "-o", "github"], "-o github is for a mesh"),
        (["--anchors", "root.pem"], "--anchors is for --file and --config-dump"),
        (["--at", "x"], "--at is for --file"),
        (["--rules", "path"], "--rules is for --file"),
        (["--trust-domain", "a"], "--trust-domain is for --file"),
        (["--max-depth", "0"], "--max-depth is for --file"),
        (["--eku", "serverAuth"], "--eku is for --file"),
        (["--every", "5s"], "--every is for --watch"),
        (["--watch", "--every", "0"], "--every is at least 1s"),
        (["--watch", "-o", "json"], "--watch and -o json exclude each other"),
        (["--watch", "-o", "yaml"], "--watch and -o yaml exclude each other"),
        (["--watch", "-o", "junit"], "--watch and -o junit exclude each other"),
        (["--watch", "-o", "github"], "--watch and -o github exclude each other"),
        (["--watch", "--junit-file", "x"], "--watch and --junit-file exclude each other"),
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other_are_refused(argv: list[str], told: str) -> None:
    error = refusal(*argv)
    assert (error.code, error.exit_code) == ("MPK-356", USAGE)
    assert told in error.what


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--file", "chain.pem"], "MPK-363"),
        (["--config-dump", "dump.json"], "MPK-363"),
        (["--min-validity", "5"], "MPK-364"),
        (["--ignore", "nonsense"], "MPK-365"),
        ([*FILE, "--at", "yesterday"], "MPK-366"),
        ([*FILE, "--eku", "flying"], "MPK-367"),
        ([*FILE, "--min-validity", "5"], "MPK-364"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_values_that_mean_nothing_are_refused(argv: list[str], code: str) -> None:
    assert refusal(*argv).code == code


def test_what_goes_together_is_let_through() -> None:
    mesh_wish = OfMesh(
        workloads=("reviews-v3",), namespace="bookinfo", selector="a=b", authorities=True, settings=(Path("-"),)
    )
    strict = Counting("33%", ("341=*",), strict=True, fail_on=FailOn.WARN)
    check(Wish(mesh_wish, OfFile(), Telling(Form.GITHUB, Path("x.xml")), strict))
    check(Wish(OfMesh(), OfFile(), Telling(Form.TREE, watch=True, every=timedelta(seconds=1)), Counting()))
    of_file = OfFile(
        dump=Path("-"),
        anchors=Path("root.pem"),
        at="x",
        rules=Rules.SPIFFE,
        trust_domain="a.org",
        max_depth=0,
        usages="serverAuth",
    )
    check(Wish(OfMesh(), of_file, Telling(Form.YAML), Counting("1h", strict=True)))
    assert strict.demands() == Demands(MinValidity(share=Fraction(33, 100)), ALL, strict=True, fail_on="warn")


def test_a_good_chain_is_told_with_its_path_and_verdict(files: Path) -> None:
    result = offline(files)
    assert (result.exit_code, result.stderr) == (OK, "")
    header, leaf, ca, anchor, last = result.stdout.splitlines()
    assert header.split() == ["CERTIFICATE", "NAME", "SERIAL", "SHA256", "LEFT"]
    assert leaf.startswith("leaf         spiffe://example.org/ns/bookinfo/sa/bookinfo-productpage")
    assert (ca.split()[0], anchor.split()[:2]) == ("CA", ["anchor", "meshpki-root-g1"])
    assert last == f"{files / 'chain.pem'}: proven at 2026-11-24T12:00:00Z by SPIFFE's rules in example.org"


@pytest.mark.parametrize("form", ["table", "wide", "short", "json", "yaml"])
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([], OK),
        (["--at", "2027-11-24T12:00:00Z"], BROKEN),
        (["--trust-domain", "other.org"], BROKEN),
        (["--trust-domain", "other.org", "--rules", "spiffe"], BROKEN),
        (["--rules", "path"], OK),
        (["--max-depth", "0"], BROKEN),
        (["--eku", "clientAuth,serverAuth"], OK),
        (["--rules", "path", "--eku", "codeSigning"], BROKEN),
        (["--min-validity", "2h"], BROKEN),
        (["--strict", "--fail-on", "fail"], OK),
    ],
    ids=str,
)
def test_the_exit_code_of_a_file_depends_on_its_verdict_alone(
    files: Path, form: str, argv: list[str], code: int
) -> None:
    result = offline(files, "-o", form, *argv)
    assert (result.exit_code, result.stderr) == (code, "")
    assert result.stdout


def test_a_bad_chain_is_told_with_its_findings(files: Path) -> None:
    result = offline(files, "--at", "2027-11-24T12:00:00Z")
    assert "MPK-305 fail" in result.stdout
    assert "see meshpki explain MPK-305" in result.stdout
    assert ": broken at 2027-11-24T12:00:00Z" in result.stdout


def test_garbage_in_a_file_is_a_wrong_use_and_a_bad_certificate_a_bad_verdict(files: Path) -> None:
    (files / "chain.pem").write_bytes(b"garbage")
    assert isinstance(offline(files).exception, UsageError)
    (files / "chain.pem").write_bytes(made.pem(CA.issue(SVID.but(uris=("spiffe://Evil",))), CA))
    assert offline(files).exit_code == BROKEN


@pytest.mark.parametrize(("argv", "code"), [([], OK), (["--strict"], BROKEN)], ids=str)
def test_a_chain_without_key_identifiers_fails_only_with_strict(files: Path, argv: list[str], code: int) -> None:
    (files / "chain.pem").write_bytes(made.pem(CA.issue(SVID.but(aki=False)), CA))
    assert offline(files, *argv).exit_code == code


@pytest.mark.parametrize("argv", [[], ["--at", "2027-11-24T12:00:00Z"], ["--rules", "path"]], ids=str)
def test_the_verdict_on_a_file_in_json_keeps_the_schema(files: Path, argv: list[str]) -> None:
    content = json.loads(offline(files, "-o", "json", *argv).stdout)
    schema = json.loads(run("--schema").stdout)
    assert list(Draft202012Validator(schema).iter_errors(content)) == []
    assert (content["kind"], content["maxDepth"]) == ("ChainReport", 1)
    assert content["rules"] == ("path" if "path" in argv else "spiffe")


def test_a_dump_is_judged_from_a_file_and_from_standard_input(files: Path) -> None:
    options = ("--anchors", str(files / "root.pem"), "--at", "2026-11-24T12:00:00Z", "-o", "json")
    of_file = run("--config-dump", str(files / "dump.json"), *options)
    of_stdin = run("--config-dump", "-", *options, given=(files / "dump.json").read_bytes())
    assert (of_file.exit_code, of_stdin.exit_code) == (OK, OK)
    assert json.loads(of_file.stdout)["bundle"] == [ROOT.certificate.sha256]
    assert {**json.loads(of_stdin.stdout), "file": ""} == {**json.loads(of_file.stdout), "file": ""}


def test_without_a_moment_a_file_is_judged_now(files: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    result = run("--file", str(files / "chain.pem"), "--anchors", str(files / "root.pem"), "-o", "json")
    assert before <= datetime.fromisoformat(json.loads(result.stdout)["at"]) <= datetime.now(UTC)


def test_hostile_text_in_a_file_does_not_reach_the_terminal(files: Path) -> None:
    hostile = made.mesh_root().issue(made.SPIRE_CA.but(subject=((made.NameOID.COMMON_NAME, "x\x1b]0;p\x07\u202e"),)))
    path = files / "evil\x1b[2J.pem"
    path.write_bytes(made.pem(hostile.issue(SVID.but(uris=("spiffe://example.org/\x1b[2J",))), hostile))
    for form in ("table", "wide", "short", "json", "yaml"):
        text = run("--file", str(path), "--anchors", str(files / "root.pem"), "-o", form).stdout
        assert not {char for char in text if not char.isprintable()} - {"\n"}


def test_the_schema_is_printed_without_anything_else(tmp_path: Path) -> None:
    assert run("--schema").stdout == verdicts.schema()


def test_help_shows_examples_and_exit_codes() -> None:
    text = run("--help").output
    assert "meshpki verify productpage-v1 reviews-v3 -n bookinfo" in text
    assert "5 broken" in text
    assert "130 interrupted, as every --watch ends" in text
