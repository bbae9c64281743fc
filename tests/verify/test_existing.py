"""A mesh below a CA of its owner's: leaf <- SPIRE CA <- that CA <- its root, which alone is pinned."""

from dataclasses import replace

import pytest
from cryptography.x509.oid import NameOID

from meshpki.cluster.envoy import Secrets
from meshpki.cluster.manifest import Ref
from meshpki.components.trust import Pin
from meshpki.pki.renewal import OWNER
from meshpki.verify.control_plane import judge as judge_places
from meshpki.verify.expiry import inventory
from meshpki.verify.issuance import rogues
from meshpki.verify.judge import Pinned, judge
from meshpki.verify.observation import Observation, Signed
from meshpki.verify.peers import Trust, judge_peers
from meshpki.verify.pods import MeshPod, Workload
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, grouped
from tests.support import certificates as made
from tests.support.certificates import AT, CACERTS, SPIRE_CA, SVID, TRUST_DOMAIN, Issued
from tests.support.existing import CORPORATE, ISSUING

TOP = made.root(CORPORATE)
CA = TOP.issue(ISSUING)
CHAIN = (CA.certificate, TOP.certificate)
PINNED = Pinned((TOP.certificate,), TRUST_DOMAIN, AT, None, CHAIN)
SPIRE = CA.issue(SPIRE_CA)
POD = MeshPod(
    Ref("v1", "Pod", "bookinfo", "a"),
    "1",
    Workload("bookinfo", "Pod", "a"),
    "bookinfo-productpage",
    "node-1",
    has_proxy=True,
    running=True,
    promised=True,
    trouble="",
)


def judged(*sent: Issued, pinned: Pinned = PINNED) -> PodVerdict:
    return judge(POD, Secrets(made.pem(*sent), {TRUST_DOMAIN: TOP.pem}), pinned)


def codes(verdict: PodVerdict) -> list[str]:
    return [one.code for one in verdict.findings]


def test_a_leaf_two_cas_below_the_pinned_root_is_proven_without_advice_on_what_is_not_ours() -> None:
    verdict = judged(SPIRE.issue(SVID), SPIRE, CA)
    assert (verdict.result, codes(verdict)) == ("proven", [])
    assert [one.sha256 for one in verdict.path[2:]] == [CA.certificate.sha256, TOP.certificate.sha256]


def test_without_the_chain_of_an_existing_ca_two_intermediates_are_one_too_many() -> None:
    assert judged(SPIRE.issue(SVID), SPIRE, CA, pinned=replace(PINNED, chain=())).result == "broken"


def test_a_ca_below_spire_s_is_still_one_too_many() -> None:
    rogue = SPIRE.issue(SPIRE_CA.but(subject=((NameOID.COMMON_NAME, "another"),)))
    assert judged(rogue.issue(SVID), rogue, SPIRE, CA).result == "broken"


def test_a_leaf_of_the_existing_ca_itself_is_not_spire_s() -> None:
    bearing = TOP.issue(ISSUING.but(uris=(f"spiffe://{TRUST_DOMAIN}",)))
    pinned = replace(PINNED, chain=(bearing.certificate, TOP.certificate))
    assert "MPK-342" in codes(judged(bearing.issue(SVID), bearing, pinned=pinned))


def signed(certificate: Issued, party: str = "") -> Signed:
    return Signed(
        Ref("cert-manager.io/v1", "CertificateRequest", "x", "mine"),
        "ClusterIssuer meshpki-root",
        asks_ca=True,
        certificate="cacerts" if party else "",
        revision=1,
        chain=(certificate.certificate, CA.certificate),
        party="istiod-ca" if party else "",
        requester="eve",
    )


def test_a_ca_that_somebody_else_obtained_below_the_existing_ca_is_found() -> None:
    stranger = CA.issue(SPIRE_CA)
    seen = Observation(pin=Pin(1, (TOP.certificate,), CHAIN, TOP.certificate.sha256), signed=(signed(stranger),))
    assert set(rogues(seen, CHAIN)) == {stranger.certificate.key_sha256}
    found = [one for verdict in judge_places(seen, PINNED) for one in verdict.findings]
    assert "MPK-358" in [one.code for one in found]


def test_a_ca_that_was_obtained_from_the_owner_s_ca_of_before_is_found_too() -> None:
    before = TOP.issue(ISSUING)
    stranger = before.issue(SPIRE_CA)
    asked = replace(signed(stranger), chain=made.read(stranger, before))
    pin = Pin(1, (TOP.certificate,), CHAIN, TOP.certificate.sha256)
    assert set(rogues(Observation(pin=pin, signed=(asked,)), CHAIN)) == {stranger.certificate.key_sha256}


def test_the_root_needs_no_request_and_istiod_s_ca_is_proven_below_the_existing_one() -> None:
    cacerts = CA.issue(CACERTS)
    pin = Pin(1, (TOP.certificate,), CHAIN, TOP.certificate.sha256)
    seen = Observation(pin=pin, signed=(signed(cacerts, "istiod-ca"),))
    verdicts = {one.place.kind: one for one in judge_places(seen, PINNED)}
    assert {(one.result, one.findings) for kind, one in verdicts.items() if kind in ("root", "istiod-ca")} == {
        ("proven", ())
    }
    assert verdicts[next(kind for kind in verdicts if kind == "root")].reason == ""


@pytest.mark.parametrize(("depth", "result"), [(1, "broken"), (2, "proven")])
def test_peers_accept_each_other_through_as_many_cas_as_the_pin_has(depth: int, result: str) -> None:
    pod = judged(SPIRE.issue(SVID), SPIRE, CA)
    trust = Trust({TOP.certificate.sha256: TOP.certificate}, PINNED.roots, TRUST_DOMAIN, AT, depth)
    assert [one.result for one in judge_peers((pod,), trust)] == [result]


def test_what_is_above_the_mesh_is_renewed_by_its_owner() -> None:
    report = Report(AT, TRUST_DOMAIN, PINNED.roots, grouped([judged(SPIRE.issue(SVID), SPIRE, CA)]), chain=CHAIN)
    held = {one.certificate.sha256: one.renewal for one in inventory(report, {})}
    for one in CHAIN:
        renewal = held[one.sha256]
        assert renewal is not None
        assert (renewal.by, renewal.at) == (OWNER, None)
