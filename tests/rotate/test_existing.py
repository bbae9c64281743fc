"""Rotations below a CA of its owner's: its own root is never rotated, what lies below is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.components.existing_root import pin_manifest
from meshpki.components.trust import Pin
from meshpki.errors import PreconditionError
from meshpki.rotate import journey
from meshpki.rotate.issuer import hidden_change, signing_root
from meshpki.rotate.istiod_ca import Facts, intended
from meshpki.rotate.refusals import refusals
from meshpki.settings import IstiodCA
from tests.support import certificates as made
from tests.support.certificates import AT, CACERTS
from tests.support.cluster import InMemoryCluster, namespace
from tests.support.existing import CORPORATE, ISSUING, wish
from tests.support.istiod_ca import certificate

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOP = made.root(CORPORATE)
CA, LATER = TOP.issue(ISSUING), TOP.issue(ISSUING)
PIN = Pin(1, (TOP.certificate,), (CA.certificate, TOP.certificate))
CERT = CA.issue(CACERTS).certificate


def pinned_cluster(name: str = "corporate-ca") -> InMemoryCluster:
    found = InMemoryCluster()
    alias = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "meshpki-root"}}
    found.put(namespace("kube-system"), pin_manifest(PIN.chain), {**alias, "spec": {"ca": {"secretName": name}}})
    return found


def test_the_root_is_its_owner_s_to_rotate() -> None:
    for asked in (lambda one: journey.standing(one, wish(CA, TOP)), journey.required_pin):
        with pytest.raises(PreconditionError) as caught:
            asked(pinned_cluster())
        assert caught.value.code == "MPK-284"
        assert "CN=Corporate Root" in caught.value.what


def test_the_ca_that_signs_is_the_probed_one_while_the_alias_names_its_secret() -> None:
    assert signing_root(pinned_cluster(), wish(CA, TOP)) == CA.certificate
    assert signing_root(pinned_cluster("another"), wish(CA, TOP)) is None


def test_a_ca_that_its_owner_renewed_under_the_same_root_hides_no_change() -> None:
    renewed = replace(PIN, chain=(LATER.certificate, TOP.certificate))
    assert hidden_change(LATER.certificate, renewed, CERT.aki) == ""
    assert "signs with the root" in hidden_change(LATER.certificate, PIN, CERT.aki)


@pytest.mark.parametrize(("days", "codes"), [(400, []), (70, ["MPK-405"])])
def test_istiod_s_ca_does_not_outlive_the_ca_above_it(days: int, codes: list[str]) -> None:
    short = TOP.issue(ISSUING.but(not_after=AT + days * DAY))
    pin = Pin(1, (TOP.certificate,), (short.certificate, TOP.certificate))
    facts = Facts(certificate(), (short.issue(CACERTS).certificate,), pin, short.certificate, 1, DAY)
    rotation = intended(facts, wish(short, TOP), IstiodCA(1440 * HOUR, 360 * HOUR))
    found = refusals(facts, rotation, AT)
    assert [one.code for one in found] == codes
    assert all("owner" in one.remedy for one in found)
