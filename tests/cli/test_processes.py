"""The command line as a user starts it: exit codes, what is told on which stream, and what is imported."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.support.apiserver import Reply, StandIn, running
from tests.support.releases import settings_file

HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"
HEAVY = ("kubernetes", "rich", "jinja2", "cryptography", "yaml", "pydantic", "websocket", "urllib3")


def run(folder: Path, *argv: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run meshpki where there is no cluster and no home of a user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "MESHPKI"))}
    environment = {**kept, "KUBECONFIG": str(folder / "no-kubeconfig"), "HOME": str(folder), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "meshpki", *argv]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, env=environment, cwd=folder, timeout=60
    )


def kubeconfig(folder: Path, port: int) -> Path:
    """A kubeconfig of whatever is behind a port of this machine."""
    config = {
        "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"{HEADER}istiodCA:\n  duration: 720\n")
    return path


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["nonsense"], 2, "No such command"),
        (["up", "--nonsense"], 2, "No such option"),
        (["up", "--timeout", "5"], 2, "has no unit; write it as 90s, 5m, 1h or 30d"),
        (["up", "-o", "xml"], 2, "'text', 'json'"),
        (["up", "--nodes", "3"], 2, "1<=x<=2"),
        (["explain", "999"], 2, "error MPK-030:"),
        (["up"], 4, "error MPK-101:"),
        (["up", "--yes", "-o", "json"], 4, "error MPK-101:"),
        (["up", "--context", "nowhere"], 4, "error MPK-101:"),
        (["plan"], 4, "error MPK-101:"),
        (["plan", "-o", "xml"], 2, "'text', 'diff', 'json'"),
        (["plan", "--detailed-exitcode", "-f", "missing.yaml"], 2, "error MPK-001:"),
        (["verify"], 4, "error MPK-101:"),
        (["config", "validate", "missing.yaml"], 2, "where: missing.yaml"),
    ],
    ids=str,
)
def test_a_refusal_has_its_exit_code_and_is_told_on_stderr_alone(
    tmp_path: Path, argv: list[str], code: int, told: str
) -> None:
    done = run(tmp_path, *argv)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "plan", "verify", "status"])
@pytest.mark.parametrize("stale", [False, True], ids=["no kubeconfig", "nobody listens"])
def test_without_a_cluster_both_ways_to_one_are_named(tmp_path: Path, command: str, *, stale: bool) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        path = kubeconfig(tmp_path, unheard.getsockname()[1])
        done = run(tmp_path, command, *(("--kubeconfig", str(path)) if stale else ()))
    assert (done.returncode, done.stdout) == (4, "")
    assert "--context NAME" in done.stderr
    assert "`meshpki up --lab`" in done.stderr


def test_the_preflight_names_both_ways_to_a_cluster_where_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        path = kubeconfig(tmp_path, unheard.getsockname()[1])
        done = run(tmp_path, "preflight", "--kubeconfig", str(path))
    assert done.returncode == 4
    assert "--context NAME" in done.stdout
    assert "`meshpki up --lab`" in done.stdout


def test_what_a_credential_plugin_says_reaches_the_terminal_only_as_data(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text("#!/bin/sh\nprintf '\\033[31mcanary' >&2\nexit 3\n")
    plugin.chmod(0o700)
    asked = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": str(plugin)}
    config = {
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"exec": asked}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    done = run(tmp_path, "status", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert done.returncode == 4
    assert f"the credential plugin `{plugin}` gave no credentials: exit code 3" in done.stderr
    assert "canary" not in done.stderr
    assert "ERROR:root" not in done.stderr


@pytest.mark.parametrize("options", [[], ["--lab"], ["--dry-run", "-o", "json"]], ids=str)
def test_wrong_settings_are_told_before_a_cluster_is_asked_or_built(
    tmp_path: Path, wrong: Path, options: list[str]
) -> None:
    done = run(tmp_path, "up", "-f", str(wrong), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error MPK-009: istiodCA.duration `720` has no unit",
        f"  where: {wrong}:4",
        "  to do: write 720h for hours, 720m for minutes",
        "  more:  meshpki explain MPK-009",
    ]


def test_every_problem_of_the_settings_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"{HEADER}trustdomain: a\nistiodCA:\n  duration: 720\nspire:\n  svidTTL: 5h\n")
    for done in (run(tmp_path, "up", "-f", str(path)), run(tmp_path, "config", "validate", str(path))):
        assert done.returncode == 2
        assert re.findall(r"(MPK-[0-9]{3}) \S+wrong\.yaml:([0-9]+): ", done.stderr) == [
            ("MPK-006", "3"),
            ("MPK-009", "5"),
            ("MPK-020", "7"),
        ]


def test_settings_are_read_from_standard_input(tmp_path: Path) -> None:
    done = run(tmp_path, "up", "-f", "-", given=f"{HEADER}trustDomain: A\n")
    assert done.returncode == 2
    assert "where: standard input:3" in done.stderr
    assert run(tmp_path, "up", "-f", "-", given=HEADER).returncode == 4


def test_meshpki_alone_shows_its_help_and_exits_as_for_a_wrong_use(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "Usage:" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "argv", [["--version"], ["version"], ["step", "list"], ["explain"], ["config", "view"]], ids=str
)
def test_what_is_asked_is_answered_on_stdout_alone_without_a_cluster(tmp_path: Path, argv: list[str]) -> None:
    done = run(tmp_path, *argv)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n")


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["up", "--help"], ["version"], ["explain", "9"]])
def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path: Path, argv: list[str]) -> None:
    program = (
        f"import sys; sys.argv = ['meshpki', *{argv!r}]\n"
        "from meshpki.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"sys.stderr.write(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}} & {set(HEAVY)!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout


def test_the_proof_needs_no_templates() -> None:
    program = "import sys; from meshpki.cli import proving; assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_version_alone_imports_not_even_the_command_line(tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['meshpki', '--version']\n"
        "from meshpki.__main__ import main; main()\n"
        "assert not {'typer', 'click', 'meshpki.cli'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("meshpki ")


@pytest.mark.parametrize(("argv", "code"), [(["explain"], 0), (["up", "-f", "missing.yaml"], 2)])
def test_a_reader_that_goes_away_does_not_change_the_exit_code(argv: list[str], code: int, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "meshpki", *argv]
    child = subprocess.run(command, stdout=writing, stderr=writing, cwd=tmp_path, check=False)
    os.close(writing)
    assert child.returncode == code


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_stops_a_run_waits_for_no_answer_of_the_cluster(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = kubeconfig(tmp_path, silent.getsockname()[1])
        command = [sys.executable, "-m", "meshpki", "verify", "--kubeconfig", str(path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        silent.settimeout(60)
        asked, _ = silent.accept()
        with asked:
            child.send_signal(sent)
            _, said = child.communicate(timeout=20)
    assert child.returncode == code
    assert "nothing is half-written" in said


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "silent"), [("up", "/selfsubjectaccessreviews"), ("status", "/pods")])
def test_whoever_stops_a_run_waits_for_none_of_many_requests_either(
    tmp_path: Path, command: str, silent: str, sent: signal.Signals
) -> None:
    hanging = StandIn(lambda _pod: Reply(), silent=(silent,))
    with running(hanging, tmp_path) as path:
        argv = [command, "-f", str(settings_file(tmp_path)), "--kubeconfig", str(path)]
        child = subprocess.Popen([sys.executable, "-m", "meshpki", *argv], stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while not any(one.endswith(silent) for one in hanging.seen.requests) and time.monotonic() < until:
            time.sleep(0.02)
        child.send_signal(sent)
        _, said = child.communicate(timeout=5)
    assert child.returncode == (130 if sent is signal.SIGINT else 143)
    assert "nothing is half-written" in said
