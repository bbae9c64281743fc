from datetime import datetime, timedelta

import pytest

from meshpki.components.spire_authorities import Slots
from meshpki.forecast.clocks import Event, clocks
from meshpki.forecast.observation import Observation
from meshpki.forecast.signing import signing
from meshpki.pki.renewal import NOBODY, OWNER
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR
from tests.support.existing import CORPORATE, ISSUING
from tests.support.forecasts import DAY, MINUTE, certificate, seen, slots, svid

ROOT_ENDS = AT + 900 * DAY


def test_every_clock_of_the_tree_is_there_the_next_one_first() -> None:
    assert [(one.name, one.event, one.by, one.at) for one in clocks(seen())] == [
        ("SVID bookinfo/reviews-v1", Event.RENEWED, "SPIRE agent", AT + 10 * MINUTE),
        ("SVID bookinfo/details-v1", Event.RENEWED, "SPIRE agent", AT + 15 * MINUTE),
        ("server spire-server/spire-server-0", Event.RENEWED, "spire-server", AT + 25 * MINUTE),
        ("SPIRE CA", Event.MADE, "spire-server", AT + 11 * HOUR),
        ("SPIRE CA", Event.USED, "spire-server", AT + 19 * HOUR),
        ("istiod's CA (cacerts)", Event.RENEWED, "cert-manager", AT + 40 * DAY),
        ("server istio-system/istiod-1", Event.RENEWED, "istiod with cacerts", AT + 40 * DAY),
        ("root CN=meshpki-root-g1", Event.ROTATE, NOBODY, ROOT_ENDS - 60 * DAY),
        ("root CN=meshpki-root-g1", Event.ENDS, NOBODY, ROOT_ENDS),
    ]


def test_the_pod_whose_certificate_is_renewed_first_stands_for_its_workload() -> None:
    first = clocks(seen())[0]
    assert (first.holders, first.ends) == (2, AT + 40 * MINUTE)


@pytest.mark.parametrize(
    ("observation", "row"),
    [
        (seen(svids=(svid("a", 5 * MINUTE),)), ("SVID bookinfo/a", Event.RENEWED, "SPIRE agent", True)),
        (seen(svids=(svid("a", 29 * MINUTE),)), ("SVID bookinfo/a", Event.RENEWED, "SPIRE agent", False)),
        (seen(svids=(svid("a", HOUR, from_spire=False),)), ("SVID bookinfo/a", Event.RENEWED, "istiod", False)),
        (seen(cacerts_renewal=None), ("istiod's CA (cacerts)", Event.ENDS, "not known", False)),
        (seen(at=ROOT_ENDS + HOUR), ("root CN=meshpki-root-g1", Event.ENDS, NOBODY, True)),
        (seen(at=ROOT_ENDS - 59 * DAY), ("root CN=meshpki-root-g1", Event.ROTATE, NOBODY, True)),
        (seen(at=AT + 22 * HOUR), ("SPIRE CA", Event.USED, "spire-server", True)),
    ],
)  # fmt: skip
def test_who_renews_and_whether_that_is_overdue(observation: Observation, row: tuple[str, Event, str, bool]) -> None:
    assert row in [(one.name, one.event, one.by, one.overdue) for one in clocks(observation)]


LATER = AT + 12 * HOUR


@pytest.mark.parametrize(
    ("at", "listed", "mint", "ends", "certain"),
    [
        # before half of the life: the next one is not made yet, whoever was asked
        (AT, None, AT + 11 * HOUR, AT + 23 * HOUR, True),
        (AT, (slots(AT + 23 * HOUR),), AT + 11 * HOUR, AT + 23 * HOUR, True),
        # after it: made long ago, or due now
        (LATER, None, LATER, AT + 23 * HOUR, False),
        (LATER, (slots(AT + 23 * HOUR),), LATER, AT + 23 * HOUR, True),
        (LATER, (slots(AT + 23 * HOUR, AT + 35 * HOUR),), AT + 23 * HOUR, AT + 35 * HOUR, True),
        # of two servers the one that lasts longer goes on signing
        (AT, (slots(AT + 20 * HOUR), slots(AT + 22 * HOUR)), AT + 10 * HOUR, AT + 22 * HOUR, True),
    ],
)
def test_spire_needs_cert_manager_again_at_half_the_life_of_the_last_ca_that_it_has(
    at: datetime, listed: tuple[Slots, ...] | None, mint: datetime, ends: datetime, *, certain: bool
) -> None:
    plan = signing(seen(at=at, slots=listed))
    assert plan is not None
    assert (plan.mint, plan.ends, plan.certain) == (mint, ends, certain)


def test_a_prepared_ca_has_its_own_half_and_the_active_one_its_last_sixth() -> None:
    found = clocks(seen(at=LATER, slots=(slots(AT + 23 * HOUR, AT + 35 * HOUR),), svids=()))
    spires = [(one.name, one.event, one.at, one.ends) for one in found if "SPIRE CA" in one.name]
    assert spires == [
        ("SPIRE CA", Event.USED, AT + 19 * HOUR, AT + 23 * HOUR),
        ("SPIRE CA, prepared", Event.MADE, AT + 23 * HOUR, AT + 35 * HOUR),
    ]


@pytest.mark.parametrize(
    ("listed", "deadline"),
    [
        (None, []),
        ((slots(AT + 23 * HOUR),), []),
        ((slots(AT + 23 * HOUR, old="root"),), []),
        ((slots(AT + 23 * HOUR, old="retired"),), [AT + 11 * HOUR]),
    ],
)
def test_a_root_that_was_left_can_be_tainted_until_spire_makes_its_next_ca(
    listed: tuple[Slots, ...] | None, deadline: list[datetime]
) -> None:
    assert [one.at for one in clocks(seen(slots=listed)) if one.event is Event.TAINT] == deadline


def test_what_was_not_seen_has_no_clock() -> None:
    alone = seen(cacerts=None, cacerts_renewal=None, spire_ca=None, listeners=(), svids=(), anchors=())
    assert [(one.name, one.event) for one in clocks(alone)] == [("root CN=meshpki-root-g1", Event.ENDS)]


def test_the_longest_life_below_it_says_when_a_root_is_to_be_rotated() -> None:
    long = certificate(-HOUR, 99 * DAY - HOUR, ca=True)
    (clock,) = [one for one in clocks(seen(spire_ca=long)) if one.event is Event.ROTATE]
    assert clock.at == ROOT_ENDS - timedelta(days=99)


def test_what_lies_above_the_mesh_is_its_owner_s_to_renew_the_ca_between_too() -> None:
    top = made.root(CORPORATE.but(not_after=AT + 900 * DAY))
    between = top.issue(ISSUING.but(not_after=AT + 400 * DAY)).certificate
    observation = seen(roots=(top.certificate,), anchors=(top.certificate,), chain=(between, top.certificate))
    found = [(one.name, one.event, one.at) for one in clocks(observation) if one.by == OWNER]
    assert found == [
        ("CA CN=Corporate Issuing CA", Event.ROTATE, AT + 340 * DAY),
        ("CA CN=Corporate Issuing CA", Event.ENDS, AT + 400 * DAY),
        ("root CN=Corporate Root", Event.ROTATE, AT + 840 * DAY),
        ("root CN=Corporate Root", Event.ENDS, AT + 900 * DAY),
    ]
    assert NOBODY not in {one.by for one in clocks(observation)}
