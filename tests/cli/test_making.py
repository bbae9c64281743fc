import threading
from pathlib import Path

import pytest

from meshpki.cli.making import Lines, LiveLine, Work, last_words, telling
from meshpki.lab.progress import Progress

START = Progress("build kubernetes", "start")
DONE = Progress("build kubernetes", "done", 264.0)
KEPT = Progress("build etcd", "kept")


class Watch:
    """Seconds that stand where the test puts them."""

    at = 0.0

    def now(self) -> float:
        return self.at


def told(timed: list[tuple[float, Progress | None]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that a story leaves on standard error, each part at its second; None is a look for silence."""
    watch = Watch()
    lines = Lines(watch.now)
    for second, progress in timed:
        watch.at = second
        if progress is None:
            lines.beat()
        else:
            lines.report(progress)
    written = capsys.readouterr()
    assert written.out == ""
    return written.err.splitlines()


def looks(first: int, last: int) -> list[tuple[float, Progress | None]]:
    return [(second, None) for second in range(first, last + 1)]


def test_what_begins_and_what_is_done_is_a_line_each_and_what_is_kept_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told([(0, KEPT), (0, START), (5, DONE)], capsys) == [
        "lab  build kubernetes ...",
        "lab  build kubernetes: 264.0 s",
    ]


def test_ten_seconds_of_silence_are_broken_by_a_heartbeat(capsys: pytest.CaptureFixture[str]) -> None:
    assert told([(0, START), *looks(1, 31)], capsys)[1:] == [
        f"lab  build kubernetes ... {second} s" for second in (10, 20, 30)
    ]


@pytest.mark.parametrize("last", [DONE, KEPT], ids=["done", "kept"])
def test_what_is_not_being_made_has_no_heartbeat(last: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    before: list[tuple[float, Progress | None]] = [(0, START), (1, last)]
    assert not [line for line in told([*before, *looks(2, 40)], capsys)[1:] if "..." in line]


def test_a_heartbeat_is_of_what_began_last(capsys: pytest.CaptureFixture[str]) -> None:
    anew = Progress("the stopped lab did not come back: a new one", "start")
    lines = told([(0, anew), (4, START), *looks(5, 14)], capsys)
    assert lines[2:] == ["lab  build kubernetes ... 10 s"]


def test_a_heartbeat_tells_the_last_words_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "kubernetes.log"
    log.write_text("go: downloading a v1\nk8s.io/client-go/kubernetes\nk8s.io/half-writ")
    work = Work("build kubernetes", 100.0, str(log))
    assert work.still(141.0) == "lab  build kubernetes ... 41 s  k8s.io/client-go/kubernetes"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ""),
        (b"no whole line", ""),
        (b"\xff\x1b[2J\r\n", "\ufffd\\u001b[2J"),
        (b"a\n" * 5000 + b"b\n", "b"),
        (b"x" * 5000 + b"\n", "..." + "x" * 60),
    ],
    ids=["empty", "being written", "hostile", "long log", "long line"],
)
def test_the_last_words_of_a_log_are_one_short_harmless_line(tmp_path: Path, content: bytes, expected: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert last_words(log) == expected


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none") == ""


def failing() -> None:
    with telling() as report:
        report(START)
        raise OSError("gone")


def test_where_nobody_watches_lines_are_written_and_the_beating_ends_with_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    threads = threading.active_count()
    with pytest.raises(OSError, match="gone"):
        failing()
    assert capsys.readouterr().err == "lab  build kubernetes ...\n"
    assert threading.active_count() == threads


def test_the_live_line_leaves_a_line_of_what_is_done_alone(capsys: pytest.CaptureFixture[str]) -> None:
    live = LiveLine()
    for progress in (KEPT, START, DONE, START):
        live.report(progress)
    live.close()
    assert "lab  build kubernetes: 264.0 s\n" in capsys.readouterr().err
