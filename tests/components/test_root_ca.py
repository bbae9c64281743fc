"""Which certificate can be the trust anchor of a mesh, and what is said of one that cannot."""

from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.components.root_ca import unfit_root
from meshpki.settings import Root, Settings, defaults
from tests.support import certificates as made
from tests.support.certificates import AT, ROOT, TRUST_DOMAIN

SETTINGS = replace(defaults(), trust_domain=TRUST_DOMAIN)
FIT, CA = made.root(), made.root().issue(made.SPIRE_CA)
DATED = made.root(ROOT.but(not_before=AT - timedelta(days=2), not_after=AT))
NAMED = replace(SETTINGS, root=replace(Root(), fingerprint="0" * 64))


@pytest.mark.parametrize(
    ("one", "settings", "later", "why"),
    [
        (FIT, SETTINGS, timedelta(0), ""),
        (CA, SETTINGS, timedelta(0), "is no self-signed CA"),
        (DATED, SETTINGS, timedelta(0), ""),
        (
            DATED,
            SETTINGS,
            timedelta(seconds=1),
            "is valid from 2026-11-22T12:00:00Z to 2026-11-24T12:00:00Z, and now it is 2026-11-24T12:00:01Z",
        ),
        (FIT, replace(SETTINGS, trust_domain="other.example"), timedelta(0), "expected spiffe://other.example"),
        (FIT, NAMED, timedelta(0), f"but root.fingerprint is {'0' * 64}"),
    ],
)
def test_a_root_that_is_unfit_is_told_why(one: made.Issued, settings: Settings, later: timedelta, why: str) -> None:
    said = unfit_root(one.certificate, settings, AT + later)
    assert said.endswith(why)
    assert bool(said) is bool(why)
