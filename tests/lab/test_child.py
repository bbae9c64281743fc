import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshpki.errors import LabError
from meshpki.lab import child
from tests.support.processes import command, runs, wait_until

PARENT = """\
import sys
from pathlib import Path
from meshpki.lab import child
print(child.start(["sleep", "60"], Path(sys.argv[1])).pid, flush=True)
sys.stdin.read()
"""


def test_a_command_gets_what_it_is_given_and_its_output_comes_back() -> None:
    assert child.run(["cat"], given="näme\n") == "näme\n"


def test_a_command_reads_the_file_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(b"archive")
    with path.open("rb") as source:
        assert child.run(["cat"], stdin=source) == "archive"


def test_a_failed_command_says_what_was_run_and_its_last_words() -> None:
    argv = ["sh", "-c", "seq 50 >&2; exit 3"]
    with pytest.raises(LabError) as failed:
        child.run(argv)
    said = failed.value.what.splitlines()
    assert (failed.value.code, failed.value.where) == ("MPK-520", " ".join(argv))
    assert (said[0], said[-1], len(said)) == ("exit code 3", "50", 1 + child.SHOWN_LINES)


def test_a_command_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(LabError, match="still running after 0 s"):
        child.run(["sleep", "60"], seconds=0.1)
    assert time.monotonic() - started < 10


def test_what_a_process_says_goes_into_its_log(tmp_path: Path) -> None:
    log = tmp_path / "switch.log"
    log.write_text("before\n")
    assert child.start(["sh", "-c", "echo out; echo err >&2"], log).wait() == 0
    assert log.read_text().splitlines() == ["before", "out", "err"]


def test_a_process_is_listened_to(tmp_path: Path) -> None:
    with child.listen(["echo", "news"], tmp_path / "log") as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"news\n"


def test_a_process_dies_with_the_one_that_started_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        # setpriv has to have run: a parent that dies before it did leaves the process behind
        wait_until(lambda: command(pid) == "sleep")
        parent.kill()
    wait_until(lambda: not runs(pid))
