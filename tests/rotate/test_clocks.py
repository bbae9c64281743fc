"""Tables of slots and dates -> what comes by itself, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from meshpki.cluster.manifest import Object
from meshpki.components.spire_authorities import Authority, Slots
from meshpki.rotate.clocks import deadlines, imminent

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
PREPARES, ACTIVATES = "SPIRE prepares its next CA by itself", "SPIRE activates its next CA by itself"
RENEWS = "cert-manager renews cacerts by itself"


def slot(hours: float) -> Authority:
    """A CA that ends in so many hours."""
    return Authority("ab", "cd", AT + timedelta(hours=hours))


def cacerts(hours: float) -> Object:
    return {"status": {"renewalTime": f"{AT + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"}}


@pytest.mark.parametrize(
    ("slots", "certificate", "expected"),
    [
        ([], None, []),
        ([Slots()], {"status": {}}, []),
        ([Slots(active=slot(24))], None, [(12, PREPARES), (20, ACTIVATES)]),
        ([Slots(active=slot(24), prepared=slot(36))], None, [(20, ACTIVATES)]),
        ([Slots(active=slot(24), old=slot(2))], None, [(12, PREPARES), (20, ACTIVATES)]),
        ([Slots(active=slot(3))], None, [(-9, PREPARES), (-1, ACTIVATES)]),
        ([], cacerts(7), [(7, RENEWS)]),
        (
            [Slots(active=slot(24)), Slots(active=slot(22))],
            cacerts(11),
            [(10, PREPARES), (11, RENEWS), (12, PREPARES), (18, ACTIVATES), (20, ACTIVATES)],
        ),
    ],
    ids=["nothing", "nothing told", "active", "prepared", "an old one", "overdue", "cacerts", "of two servers"],
)
def test_what_comes_by_itself_is_told_in_its_order(
    slots: list[Slots], certificate: Object | None, expected: list[tuple[float, str]]
) -> None:
    found = deadlines(slots, DAY, certificate)
    assert [((one.at - AT) / timedelta(hours=1), one.what) for one in found] == expected


def test_a_deadline_is_told_with_its_moment_in_utc() -> None:
    assert str(deadlines([], DAY, cacerts(7))[0]) == f"{RENEWS} at 2026-11-24T19:00:00Z"


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, False), (0, True), (30, True), (31, False)], ids=["gone by", "now", "soon", "later"]
)
def test_what_is_about_to_happen_keeps_a_gate_shut_and_what_is_over_does_not(seconds: int, *, said: bool) -> None:
    due = deadlines([], DAY, cacerts(7))
    assert (imminent(due, due[0].at - timedelta(seconds=seconds)) == str(due[0])) is said


@pytest.mark.parametrize(
    ("ends", "said"),
    [(6, False), (6.9, False), (7, True), (8, True), (-1, False)],
    ids=["before it", "just before it", "with it", "after it", "over already"],
)
def test_what_happens_before_the_planned_end_is_told_however_long_it_is_until_then(ends: float, *, said: bool) -> None:
    due = deadlines([], DAY, cacerts(7))
    assert (imminent(due, AT, AT + timedelta(hours=ends)) == str(due[0])) is said


def test_a_rotation_that_takes_longer_than_planned_still_minds_what_is_about_to_happen() -> None:
    due = deadlines([], DAY, cacerts(7))
    assert imminent(due, due[0].at - timedelta(seconds=20), AT)
