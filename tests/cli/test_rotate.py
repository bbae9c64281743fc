"""`meshpki rotate` on a mesh in memory: what it says before it is asked, what it shows, and when it does nothing."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.ca_rotation import Asked, Told, kept, rotate_istiod_ca, rotate_spire_ca
from meshpki.cli.format import Format
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.install import wish_manifest
from meshpki.lease.holder import Holder
from meshpki.lease.record import LEASE, written
from meshpki.rotate.lifetime import RenewBefore
from meshpki.settings import Settings, defaults
from tests.support.cluster import InMemoryCluster, namespace
from tests.support.mesh import Mesh
from tests.support.rotation import Rotating
from tests.support.spire_servers import Spire, mesh_of, two

HOUR = timedelta(hours=1)
DONE, DRY = Asked(ask=False), Asked(dry_run=True)


def where(there: InMemoryCluster) -> tuple[InMemoryCluster, Settings]:
    return there, kept(there, there.context)


def text(told: Told) -> str:
    return told.told(Format.TEXT)


def document(told: Told) -> dict[str, Any]:
    return json.loads(told.told(Format.JSON))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("words", "example"),
    [
        ([], "meshpki rotate --duration 720h"),
        (["istiod-ca"], "meshpki rotate --duration 720h"),
        (["spire-ca"], "meshpki rotate spire-ca --restart-agents"),
    ],
)
def test_help_shows_examples_and_what_the_exit_codes_mean(words: list[str], example: str) -> None:
    said = CliRunner().invoke(app, ["rotate", *words, "--help"], env={"COLUMNS": "120"}).output
    assert example in said
    assert "Exit codes: 0 done and proven" in said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--duration", "12"], "`12` has no unit; write it as 90s, 5m, 1h or 30d"),
        (["--duration", "3w"], "`3w` has the unit 'w'"),
        (["istiod-ca", "--renew-before", "0%"], "`0%` is no share between 1% and 99%"),
        (["spire-ca", "--duration", "1h"], "No such option"),
    ],
)
def test_a_wrong_option_is_told_before_any_cluster_is_asked(argv: Sequence[str], said: str) -> None:
    result = CliRunner().invoke(app, ["rotate", *argv], env={"COLUMNS": "120"})
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("option", [("--duration", "720h"), ("--timeout", "3m"), ("-o", "text"), ("--yes",)], ids=str)
def test_options_before_the_name_of_a_ca_are_not_swallowed(option: tuple[str, ...]) -> None:
    error = CliRunner().invoke(app, ["rotate", *option, "spire-ca"]).exception
    assert isinstance(error, UsageError)
    assert (error.code, error.remedy) == ("MPK-411", "write them behind it: meshpki rotate spire-ca ...")


def cells(said: str, row: str) -> list[str]:
    """The columns of a row of the table, which two blanks keep apart."""
    line = next(line for line in said.splitlines() if line.split()[:1] == [row])
    return [cell.strip() for cell in line.split("  ") if cell.strip()][1:]


def test_before_anything_is_done_old_and_new_stand_side_by_side() -> None:
    mesh = Rotating()
    there = mesh.cluster()
    said = text(rotate_istiod_ca(*where(there), DRY, 300 * HOUR))
    ca = mesh.issued[0].certificate
    assert "meshpki-root-g1" in said
    assert f"serial    {ca.serial:x}" in said
    assert cells(said, "lifetime") == ["1440h, renewed 360h before its end", "300h, renewed 75h before its end"]
    assert f"{ca.not_after:%Y-%m-%dT%H:%M:%SZ}" in said
    assert "renewBefore is scaled" in said
    assert "2 istiod to take it up" in said
    assert "nothing was changed" in said
    assert there.writes == []


@pytest.mark.parametrize(
    ("duration", "renewal"), [(300, RenewBefore(percent=25)), (None, None)], ids=["said", "as before"]
)
def test_a_renewal_that_was_said_or_did_not_move_is_not_called_scaled(
    duration: int | None, renewal: RenewBefore | None
) -> None:
    asked = None if duration is None else duration * HOUR
    assert "scaled" not in text(rotate_istiod_ca(*where(Rotating().cluster()), DRY, asked, renewal))


def test_the_result_names_old_and_new_and_each_replica() -> None:
    mesh = Rotating()
    there = mesh.cluster()
    told = rotate_istiod_ca(*where(there), DONE, 720 * HOUR)
    old, new = (one.certificate for one in mesh.issued)
    said = text(told)
    assert "revision 1 -> 2" in said
    assert f"{old.serial:x} until" in said
    assert f"-> {new.serial:x} until" in said
    assert "istiod-1" in said
    assert "/ns/meshpki-rotate/sa/default" in said
    assert "file given with -f has to say 720h" in said
    content = document(told)
    assert (content["old"]["serial"], content["new"]["serial"]) == (f"{old.serial:x}", f"{new.serial:x}")
    assert content["wish"] == {"duration": "720h", "renewBefore": "180h"}
    assert content["old"]["duration"] == "1440h"
    assert [one["served"] for one in content["replicas"]] == [dict.fromkeys(("15012", "15017"), f"{new.serial:x}")] * 2
    assert {step["state"] for step in content["steps"]} == {"done"}
    assert {(one["step"], one["gate"]) for one in content["timeline"] if one["state"] == "open"} >= {
        ("istiod-ca", "issued"),
        ("istiod", "served"),
        ("leaf", "signed"),
    }
    assert content["exposure"] is None


def test_a_lost_key_is_replaced_and_what_it_is_good_for_is_told_before_and_after() -> None:
    mesh = Rotating()
    asked = Asked(compromised=True, dry_run=True)
    there = mesh.cluster()
    ends = f"{mesh.issued[0].certificate.not_after:%Y-%m-%dT%H:%M:%SZ}"
    for told in (
        rotate_istiod_ca(*where(there), asked),
        rotate_istiod_ca(*where(there), Asked(compromised=True, ask=False)),
    ):
        said, content = text(told), document(told)
        assert f"whoever has the old key can, until {ends}:" in said
        assert "every proxy accepts it" in said
        assert "meshpki rotate root --compromised" in said
        assert (content["exposure"]["until"], content["compromised"]) == (ends, True)
    assert mesh.revision(there) == 2


def test_without_a_person_and_without_yes_nothing_is_changed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    there = Rotating().cluster()
    with pytest.raises(UsageError, match="MPK-112"):
        rotate_istiod_ca(*where(there), Asked(), 720 * HOUR)
    assert there.writes == []
    assert "context memory" in capsys.readouterr().err


def test_every_reason_is_told_and_the_first_decides(capsys: pytest.CaptureFixture[str]) -> None:
    there = Rotating().cluster()
    with pytest.raises(MeshpkiError, match="MPK-022"):
        rotate_istiod_ca(*where(there), DONE, HOUR / 2)
    assert "MPK-404" in capsys.readouterr().err
    assert there.writes == []


def test_a_cluster_that_meshpki_has_installed_nothing_on_is_refused() -> None:
    with pytest.raises(PreconditionError, match="MPK-400"):
        where(Mesh())


def spire_place(spire: Spire) -> tuple[InMemoryCluster, Settings]:
    there = mesh_of(spire)
    there.put(namespace("kube-system"), wish_manifest(defaults()))
    return where(there)


def test_spire_shows_its_cas_and_its_clock_before_and_after() -> None:
    spire = two()
    demo = spire_place(spire)
    before = text(rotate_spire_ca(*demo, DRY))
    assert "spire-server-0: a1a1a1a1, until 2026-11-25T08:00:00Z" in before
    assert "the next is prepared 2026-11-24T20:00:00Z, and used from 2026-11-25T04:00:00Z" in before
    assert spire.asked == []
    told = rotate_spire_ca(*demo, DONE)
    after, content = text(told), document(told)
    assert "spire-server-0: a1a1a1a1 -> b2b2b2b2, until 2026-11-25T12:00:00Z" in after
    assert "the pinned root alone, as before" in after
    assert [(one["before"], one["after"]) for one in content["servers"]] == [
        ("a1a1a1a1", "b2b2b2b2"),
        ("a2a2", "c3c3c3c3"),
    ]
    assert (content["certificates"]["moved"], len(content["certificates"]["silent"])) == (0, 2)
    assert content["exposure"] is None


def test_spire_with_a_lost_key_says_until_when_it_is_good() -> None:
    content = document(rotate_spire_ca(*spire_place(two()), Asked(compromised=True, dry_run=True)))
    assert content["exposure"]["until"] == "2026-11-25T08:00:00Z"


def test_a_rotation_holds_the_lease_from_its_first_write_to_its_end() -> None:
    there = Rotating().cluster()
    rotate_istiod_ca(*where(there), DONE, 720 * HOUR)
    assert there.writes[0] == ("create", str(LEASE))
    assert there.writes[-1] == ("delete", str(LEASE))


@pytest.mark.parametrize("asked", [DONE, DRY], ids=["to be done", "a dry run"])
def test_while_another_run_holds_the_lease_a_rotation_is_refused_but_not_a_dry_run(asked: Asked) -> None:
    there = Rotating().cluster()
    now = there.server_date or datetime.now(UTC)
    there.put(written(Holder("ci@runner pid 1 x", "meshpki up --yes"), now, since=now))
    if asked is DRY:
        rotate_istiod_ca(*where(there), asked, 720 * HOUR)
    else:
        with pytest.raises(PreconditionError) as caught:
            rotate_istiod_ca(*where(there), asked, 720 * HOUR)
        assert caught.value.code == "MPK-230"
    assert there.writes == []
