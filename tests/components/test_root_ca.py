"""Which certificate can be the trust anchor of a mesh, and what is said of one that cannot."""

from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.components.root_ca import issued_roots, unfit_root
from meshpki.settings import Root, Settings, defaults
from tests.support import certificates as made
from tests.support.certificates import AT, ROOT, TRUST_DOMAIN
from tests.support.cluster import InMemoryCluster
from tests.support.control_plane import SELF_SIGNED, request

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


@pytest.mark.parametrize("certificate", ["meshpki-root-g1", f"meshpki-root-g{'1' * 5000}", "cacerts"])
@pytest.mark.parametrize("revision", ["x", "²", "-1", "9" * 5000, ""])
def test_what_anybody_writes_on_a_request_keeps_no_generation_from_being_known(certificate: str, revision: str) -> None:
    cluster, place = InMemoryCluster(), {"namespace": "cert-manager", "issuer": SELF_SIGNED}
    stray = request("stray", CA, certificate=certificate, **place)
    stray["metadata"]["annotations"]["cert-manager.io/certificate-revision"] = revision
    cluster.put(request("meshpki-root-g1-1", FIT, certificate="meshpki-root-g1", **place), stray)
    assert issued_roots(cluster, SETTINGS) == {1: FIT.certificate.sha256}
