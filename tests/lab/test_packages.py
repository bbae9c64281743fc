import shutil
from pathlib import Path

import pytest

from meshpki.errors import PreconditionError
from meshpki.lab.packages import command, ensure, missing
from meshpki.lab.progress import Progress

INSTALLED = """\
installed containerd
installed runc
deinstalled runc-old
not-installed socat
config-files conntrack
"""


@pytest.mark.parametrize(
    ("wanted", "absent"),
    [
        (("containerd", "runc"), ()),
        (("socat", "containerd", "conntrack"), ("conntrack", "socat")),
        (("nftables", "nftables"), ("nftables",)),
        (("installed",), ("installed",)),
        (("contain",), ("contain",)),
        ((), ()),
    ],
)
def test_only_packages_that_are_fully_installed_are_not_missing(
    wanted: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    assert missing(wanted, INSTALLED) == absent


def test_everything_is_missing_where_nothing_is_installed() -> None:
    assert missing(("b", "a"), "") == ("a", "b")


def test_one_command_installs_what_is_missing() -> None:
    line = command(("runc", "gcc"))
    assert line == "apt-get update && apt-get install --yes --no-install-recommends runc gcc"


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no Debian")
def test_without_consent_nothing_is_installed_and_the_command_is_told() -> None:
    asked: list[str] = []
    told: list[Progress] = []

    def refuse(line: str) -> bool:
        asked.append(line)
        return False

    with pytest.raises(PreconditionError) as refused:
        ensure(("dpkg", "meshpki-has-no-such-package"), refuse, told.append)
    assert asked == [command(["meshpki-has-no-such-package"])]
    error = refused.value
    assert (error.code, error.what) == ("MPK-502", "missing packages: meshpki-has-no-such-package")
    assert asked[0] in error.remedy
    assert "--install-packages" in error.remedy
    assert told == []


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no Debian")
def test_nobody_is_asked_where_nothing_is_missing() -> None:
    def never(line: str) -> bool:
        raise AssertionError(line)

    def silent(progress: Progress) -> None:
        raise AssertionError(progress)

    assert ensure(("dpkg",), never, silent) == ()


def test_while_apt_works_it_is_told_what_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("dpkg-query", "apt-get"):
        (tmp_path / program).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[Progress] = []
    assert ensure(("socat", "runc"), lambda _: True, told.append) == ("runc", "socat")
    update, install = "apt-get update", "apt-get install of 2 packages"
    assert [(one.what, one.state) for one in told] == [
        (update, "start"),
        (update, "done"),
        (install, "start"),
        (install, "done"),
    ]
