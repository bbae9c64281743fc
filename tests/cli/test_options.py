"""What `--help` says of an option is what may be typed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import typer
from typer.main import get_command

from meshpki.cli import options, preflight, rotate_root
from meshpki.cli.app import app
from meshpki.install import EVERY
from meshpki.preflight import CHECKS
from meshpki.rotate.goals import NAMES
from meshpki.settings.durations import parse


def commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    for name, one in below.items():
        yield from commands(one, *path, name)
    if not below:
        yield " ".join(path), command


def with_a_duration() -> Iterator[Any]:
    for name, command in commands(get_command(app)):
        for one in command.params:
            if isinstance(one.default, timedelta):
                yield pytest.param(one.default, id=f"{name} {one.opts[0]}")


@pytest.mark.parametrize("default", [*with_a_duration()])
def test_a_default_is_shown_as_a_duration_that_may_be_typed(default: timedelta) -> None:
    assert parse(str(default)) == default


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("0", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
        ("-5m", None),
        ("5", None),
        ("1mm", None),
        ("1y", None),
        ("1w", None),
        ("0:05:00", None),
        ("", None),
    ],
)
def test_durations_are_written_alike_everywhere_and_never_below_zero(typed: str, meant: timedelta | None) -> None:
    if meant is None:
        with pytest.raises(typer.BadParameter, match="write it as 90s"):
            options.duration(typed)
    else:
        assert options.duration(typed) == meant


def test_the_names_that_help_lists_are_those_there_are() -> None:
    assert options.STEPS.split(", ") == [one.name for one in EVERY]
    assert rotate_root.STAGES.split(", ") == [*NAMES]
    listed = preflight.EXAMPLES.partition("Checks: ")[2].partition(".\n")[0].replace("\n", " ")
    listed = listed.replace("; of a root of your own besides:", ",")
    assert sorted(listed.split(", ")) == sorted(check.name for check in CHECKS)


def test_every_command_shows_an_example() -> None:
    without = [name for name, command in commands(get_command(app)) if "Example" not in (command.epilog or "")]
    assert without == []
