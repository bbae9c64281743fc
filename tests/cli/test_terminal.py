"""What becomes of the words where the terminal is narrow, plain, not there, or goes away."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from meshpki.cli import output
from meshpki.cli.app import app
from meshpki.cli.terminal_options import every, hoisted
from meshpki.errors import MeshpkiError

MESHPKI = [sys.executable, "-m", "meshpki"]
ESCAPE = "\x1b["


def environment(folder: Path, **more: str) -> dict[str, str]:
    dropped = ("KUBE", "MESHPKI", "NO_COLOR", "FORCE_COLOR", "CI", "TERM", "COLUMNS", "PYTHONIOENCODING", "GITHUB")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "KUBECONFIG": str(folder / "none"), "HOME": str(folder), "TERM": "xterm", **more}


def run(folder: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    given = environment(folder, **more)
    return subprocess.run(
        [*MESHPKI, *argv], env=given, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def on_a_terminal(folder: Path, *argv: str, columns: int = 80, **more: str) -> tuple[int, str]:
    """The exit code, and what a terminal of some columns was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(
        [*MESHPKI, *argv], env=environment(folder, **more), cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        sent = b"".join(pieces(terminal))
    return child.wait(60), sent.decode().replace("\r\n", "\n")


def pieces(terminal: io.RawIOBase) -> Iterator[bytes]:
    try:
        while piece := terminal.read(65536):
            yield piece
    except OSError:  # how Linux says that nobody holds the other end any more
        return


def every_command() -> list[list[str]]:
    def walk(command: object, path: list[str]) -> Iterator[list[str]]:
        below = getattr(command, "commands", {})
        if not below:
            yield path
        for name, one in below.items():
            yield from walk(one, [*path, name])

    return [path for path in walk(get_command(app), []) if path]


@pytest.mark.parametrize(
    ("argv", "more", "colored"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),
        ((), {"TERM": "dumb"}, False),
        (("--color", "never"), {}, False),
        (("--color=never",), {"FORCE_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1", "TERM": "dumb"}, True),
    ],
)
def test_color_on_a_terminal(tmp_path: Path, argv: tuple[str, ...], more: dict[str, str], colored: bool) -> None:
    code, sent = on_a_terminal(tmp_path, "explain", "999", *argv, **more)
    assert code == 2
    assert (ESCAPE in sent) == colored
    assert "MPK-030" in sent


@pytest.mark.parametrize(
    ("argv", "colored"), [((), False), (("--color", "always"), True), (("--color", "auto"), False)]
)
def test_color_off_a_terminal(tmp_path: Path, argv: tuple[str, ...], colored: bool) -> None:
    for words in ((*argv, "explain", "999"), ("explain", "999", *argv)):
        done = run(tmp_path, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert (ESCAPE in done.stderr) == colored


def test_data_has_no_color_ever(tmp_path: Path) -> None:
    assert ESCAPE not in run(tmp_path, "explain", "--color", "always").stdout
    assert ESCAPE not in on_a_terminal(tmp_path, "version", "--color", "always")[1]


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        (["up", "--color", "never", "--yes"], ["--color", "never", "up", "--yes"]),
        (["verify", "--ascii"], ["--ascii", "verify"]),
        (["lab", "exec", "--", "ls", "--color"], ["lab", "exec", "--", "ls", "--color"]),
        (["up", "--color=never"], ["--color=never", "up"]),
        (["up", "--color"], ["--color", "up"]),
        ([], []),
    ],
)
def test_these_options_may_stand_anywhere_before_two_dashes(given: list[str], moved: list[str]) -> None:
    assert hoisted(given) == moved


def test_a_wrong_color_is_a_wrong_use(tmp_path: Path) -> None:
    done = run(tmp_path, "version", "--color", "pink")
    assert (done.returncode, "'auto', 'always', 'never'" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("├── a\n│   └── b…", "|-- a\n|   `-- b..."),
        ("✔ done ✘ not", "+ done x not"),
        ("ünï 证", "\\u00fcn\\u00ef \\u8bc1"),
        ("😀", "\\ud83d\\ude00"),
    ],
)
def test_what_is_not_ascii_is_drawn_otherwise_or_by_number(text: str, shown: str) -> None:
    assert output.in_ascii(text) == shown
    assert json.loads(output.in_ascii(json.dumps({"a": text}, ensure_ascii=False)))["a"] is not None


def test_ascii_holds_for_the_whole_of_what_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wröng.yaml"
    wrong.write_text("a: …")
    for argv in (
        ["config", "validate", str(wrong), "--ascii"],
        ["--ascii", "explain"],
        ["explain", "-o", "json", "--ascii"],
    ):
        done = run(tmp_path, *argv)
        assert (done.stdout + done.stderr).isascii()
        assert done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_that_cannot_say_it_is_no_error(tmp_path: Path, encoding: str) -> None:
    done = run(tmp_path, "config", "validate", "证书.yaml", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 2
    assert "\\u8bc1\\u4e66.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argv", every_command(), ids=" ".join)
def test_the_help_of_every_command_is_plain_text_on_a_narrow_terminal(tmp_path: Path, argv: list[str]) -> None:
    code, sent = on_a_terminal(tmp_path, *argv, "--help", columns=40)
    assert code == 0
    assert "Traceback" not in sent
    assert re.search(rf"^Usage: (python -m )?meshpki {' '.join(argv)}\b", sent)
    assert output.plain(sent) == sent


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["explain"], 0), (["version"], 0), (["verify"], 4), (["status"], 4), (["--help"], 0), (["up", "--help"], 0)],
    ids=str,
)
def test_a_closed_standard_output_changes_no_exit_code_and_shows_no_traceback(
    tmp_path: Path, argv: list[str], code: int
) -> None:
    given = environment(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(
        [*MESHPKI, *argv], env=given, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *MESHPKI, *argv],
        env=given,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        check=False,
    )
    for done in (gone, closed):
        assert done.returncode == code, done.stderr
        assert not re.search(rb"Traceback|BrokenPipe|itself failed|Exception ignored", done.stderr)


def test_with_every_stream_closed_the_exit_code_is_left(tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *MESHPKI, "explain", "999"]
    assert subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, check=False).returncode == 2


def test_a_full_disk_fails_the_command_that_had_something_to_tell(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*MESHPKI, "explain"],
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "error MPK-262: standard output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_behind_standard_error_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        output.progress("story")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(MeshpkiError):
            output.data("data")


def test_every_command_is_walked() -> None:
    assert len(every_command()) < len([*every(get_command(app))])
    assert ["support-bundle"] in every_command()
