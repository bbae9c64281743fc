"""That a network may be cut off for a test is a claim of its own: what is let through, refused and noted."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.reach import asked_for, reaching

NOBODY = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("program", "asked"),
    [
        ("socket.create_connection(('127.0.0.1', 9))", NOBODY),
        ("socket.socket().connect_ex(('127.0.0.1', 9))", NOBODY),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))", NOBODY),
        ("socket.getaddrinfo('example.invalid', 443)", "example.invalid:443"),
        ("socket.gethostbyname('example.invalid')", "example.invalid"),
        ("__import__('urllib.request').request.urlopen('http://127.0.0.1:9')", NOBODY),
    ],
)
def test_a_process_that_is_cut_off_asks_for_no_other_address_by_any_way(
    tmp_path: Path, program: str, asked: str
) -> None:
    around = reaching("https://127.0.0.1:1", tmp_path / "notes", os.environ)
    argv = [sys.executable, "-c", f"import socket; {program}"]
    done = subprocess.run(argv, env=around, capture_output=True, text=True, check=False, timeout=60)
    assert f"{asked} is not 127.0.0.1:1" in done.stderr
    assert asked_for(around) == {asked}


def test_the_one_address_is_reached_and_noted_and_a_socket_of_the_machine_is_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "local"))
        local.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        around = reaching(f"https://{address}", tmp_path / "notes", os.environ)
        program = (
            "import socket, sys; host, _, port = sys.argv[1].partition(':'); socket.create_connection((host, port));"
            "socket.socket(socket.AF_UNIX).connect(sys.argv[2])"
        )
        argv = [sys.executable, "-c", program, address, str(tmp_path / "local")]
        subprocess.run(argv, env=around, check=True, timeout=60)
    assert asked_for(around) == {address}
