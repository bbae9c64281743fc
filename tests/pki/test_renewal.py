from datetime import datetime, timedelta

import pytest

from meshpki.pki import renewal
from meshpki.pki.certificate import Certificate
from meshpki.pki.renewal import Renewal
from tests.support import certificates as made
from tests.support.certificates import AT

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def lasting(life: timedelta) -> Certificate:
    return made.mesh_root().issue(made.SPIRE_CA.but(not_before=AT, not_after=AT + life)).certificate


@pytest.mark.parametrize(
    ("life", "prepared", "activated"),
    [(24 * HOUR, 12 * HOUR, 20 * HOUR), (6 * HOUR, 3 * HOUR, 5 * HOUR), (365 * DAY, 335 * DAY, 358 * DAY)],
)
def test_spire_makes_its_next_ca_at_half_of_the_life_and_signs_with_it_when_a_sixth_is_left(
    life: timedelta, prepared: timedelta, activated: timedelta
) -> None:
    planned = renewal.of_spire_ca(lasting(life))
    assert (planned.by, planned.prepared, planned.at) == ("spire-server", AT + prepared, AT + activated)


def test_agents_and_the_server_renew_their_svids_at_half_of_the_life() -> None:
    assert renewal.of_svid(lasting(HOUR)) == Renewal("SPIRE agent", AT + HOUR / 2)
    assert renewal.of_spire_server(lasting(HOUR)) == Renewal("spire-server", AT + HOUR / 2)


def test_istiods_own_certificate_changes_with_cacerts_alone() -> None:
    assert renewal.of_istiod(Renewal("cert-manager", AT)).at == AT
    assert renewal.of_istiod(None).at is None


def test_nothing_renews_a_root_and_the_command_that_replaces_it_is_named() -> None:
    assert renewal.of_root().at is None
    assert "meshpki rotate root" in renewal.of_root().by


@pytest.mark.parametrize(
    ("moment", "overdue"),
    [(AT + HOUR / 2, False), (AT + HOUR * 0.6, False), (AT + HOUR * 0.61, True), (AT + 2 * HOUR, True)],
)
def test_a_renewal_is_overdue_when_a_fifth_of_what_was_left_has_passed(moment: datetime, overdue: bool) -> None:
    certificate = lasting(HOUR)
    assert renewal.of_svid(certificate).overdue(certificate.not_after, moment) is overdue
