import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from meshpki.errors import LabError, PreconditionError
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


@pytest.fixture
def apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in apt-get's place, on a machine that has no package at all."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(script: str) -> None:
        for program, text in (("dpkg-query", ""), ("apt-get", script)):
            (tmp_path / program).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / program).chmod(0o755)

    return put


def yes(_: str) -> bool:
    return True


def test_while_apt_works_it_is_told_what_it_does(apt_get: Callable[[str], None]) -> None:
    apt_get("exit 0")
    told: list[Progress] = []
    assert ensure(("socat", "runc"), yes, told.append) == ("runc", "socat")
    update, install = "apt-get update", "apt-get install of 2 packages"
    assert [(one.what, one.state) for one in told] == [
        (update, "start"),
        (update, "done"),
        (install, "start"),
        (install, "done"),
    ]


UNREACHED = "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?"


@pytest.mark.parametrize(
    ("script", "where", "what", "remedy"),
    [
        ('[ "$2" = update ] && exit 0\necho "{0}" >&2\nexit 100', "install", f"exit code 100\n{UNREACHED}", "by hand"),
        ('echo "{0}"\nexit 100', "update", f"exit code 100\n{UNREACHED}", "`apt-get update` by hand"),
        ("exit 1", "update", "exit code 1", "by hand"),
        ("exec sleep 60", "update", "stopped, as it had not ended after 1 s", "by hand"),
        (
            'echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt)" >&2\nexit 100',
            "update",
            "exit code 100\nE: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt)",
            "wait until the other package manager has ended",
        ),
    ],
    ids=["install", "update", "without a word", "too slow", "locked all the time"],
)
def test_an_apt_get_that_fails_is_told_with_its_last_words_and_what_to_do(
    apt_get: Callable[[str], None], script: str, where: str, what: str, remedy: str
) -> None:
    apt_get(script.format(UNREACHED))
    with pytest.raises(LabError) as failed:
        ensure(("runc",), yes, lambda _: None, seconds=1)
    error = failed.value
    assert (error.code, error.where, error.what) == ("MPK-517", f"apt-get {where}", what)
    assert remedy in error.remedy


def test_a_lock_that_another_package_manager_has_is_waited_for(apt_get: Callable[[str], None], tmp_path: Path) -> None:
    held = tmp_path / "lock"
    held.touch()
    told = f"E: Could not get lock {held}. It is held by process 1 (unattended-upgr)"
    apt_get(f'[ -e {held} ] || exit 0\nrm {held}\necho "{told}" >&2\nexit 100')
    assert ensure(("runc",), yes, lambda _: None) == ("runc",)
