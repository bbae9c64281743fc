from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509

from meshpki.pki.certificate import Certificate
from meshpki.pki.chain import judge, proves
from meshpki.pki.path import Expected
from meshpki.pki.verdict import Verdict
from tests.support import certificates as made
from tests.support.certificates import AT, CACERTS, CLIENT, ROOT, SERVER, SPIRE_CA, SVID, TRUST_DOMAIN, Issued, Shape

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Case:
    """Three shapes, and what judging leaf and CA against the root must say."""

    name: str
    result: str
    codes: tuple[str, ...] = ()
    leaf: Shape = SVID
    ca: Shape = SPIRE_CA
    root: Shape = ROOT
    warnings: tuple[str, ...] = ()


def uri_constraint() -> x509.NameConstraints:
    return x509.NameConstraints([x509.UniformResourceIdentifier("example.org")], None)


def dns_constraint(domain: str) -> x509.NameConstraints:
    return x509.NameConstraints([x509.DNSName(domain)], None)


GOOD = (
    Case("SPIRE's own shape", "proven"),
    Case("DNS names beside the SPIFFE ID", "proven", leaf=SVID.but(dns=("productpage-1", "productpage"))),
    Case("a critical name beside a subject", "proven", leaf=SVID.but(names_critical=True)),
    Case("an empty subject with a critical name", "proven", leaf=SVID.but(subject=(), names_critical=True)),
    Case("a P-521 leaf", "proven", leaf=SVID.but(key="P-521")),
    Case("an Ed25519 leaf", "proven", leaf=SVID.but(key="Ed25519")),
    Case("an RSA CA", "proven", ca=SPIRE_CA.but(key="RSA-2048")),
    Case("a root with an AKI of its own", "proven", root=ROOT.but(aki=True)),
    Case("a leaf without SKI, as istiod makes it", "proven", leaf=SVID.but(ski=False)),
    Case("a leaf that outlives its CA", "proven", leaf=SVID.but(not_after=AT + timedelta(days=10))),
    Case("a path length of zero at the last CA", "proven", ca=SPIRE_CA.but(path_length=0)),
    Case("a leaf that ends this second", "proven", leaf=SVID.but(not_after=AT)),
    Case("a leaf that begins this second", "proven", leaf=SVID.but(not_before=AT)),
    Case("a DNS constraint that is kept", "proven", leaf=SVID.but(dns=("a.svc",)), ca=SPIRE_CA.but(
        constraints=dns_constraint("svc"))),
    Case("a CA without AKI", "proven", ca=SPIRE_CA.but(aki=False), warnings=("MPK-314",)),
    Case("a root without SKI", "proven", root=ROOT.but(ski=False), warnings=("MPK-314",)),
    Case("the blog's root: usages for leaves, no SPIFFE ID", "proven",
         root=ROOT.but(key_usages=("digital_signature", "key_encipherment", "key_cert_sign"), uris=()),
         warnings=("MPK-328",)),
    Case("a leaf without BasicConstraints", "proven", leaf=SVID.but(ca=None), warnings=("MPK-328",)),
    Case("a leaf without extended key usages", "proven", leaf=SVID.but(extended=None), warnings=("MPK-328",)),
    Case("a leaf for content commitment too", "proven",
         leaf=SVID.but(key_usages=("digital_signature", "content_commitment")), warnings=("MPK-328",)),
    Case("a signer of another trust domain", "proven", root=ROOT.but(uris=("spiffe://other.org",)),
         warnings=("MPK-328",)),
    Case("a signer's key usage not critical, without SPIFFE ID", "proven",
         root=ROOT.but(key_usage_critical=False, uris=()), warnings=("MPK-327", "MPK-328")),
)  # fmt: skip

BAD = (
    Case("no URI", "broken", ("MPK-320",), leaf=SVID.but(uris=(), dns=("a.svc",))),
    Case("two URIs", "broken", ("MPK-320",), leaf=SVID.but(uris=(*SVID.uris, SVID.uris[0] + "2"))),
    Case("an e-mail name only", "broken", ("MPK-320",), leaf=SVID.but(uris=(), emails=("a@example.org",))),
    Case("a URI that is no SPIFFE ID", "broken", ("MPK-321",), leaf=SVID.but(uris=("https://example.org/a",))),
    Case("a SPIFFE ID with a dot segment", "broken", ("MPK-321",), leaf=SVID.but(uris=("spiffe://example.org/../a",))),
    Case("the trust domain's own ID on a leaf", "broken", ("MPK-321",), leaf=SVID.but(uris=("spiffe://example.org",))),
    Case("a foreign trust domain", "broken", ("MPK-322",), leaf=SVID.but(uris=("spiffe://other.org/ns/a/sa/b",))),
    Case("a leaf that is a CA", "broken", ("MPK-325",), leaf=SVID.but(ca=True)),
    Case("a leaf without key usage", "broken", ("MPK-323",), leaf=SVID.but(key_usages=None)),
    Case("a leaf's key usage not critical", "broken", ("MPK-323",), leaf=SVID.but(key_usage_critical=False)),
    Case("a leaf that may sign CRLs", "broken", ("MPK-323",),
         leaf=SVID.but(key_usages=("digital_signature", "crl_sign"))),
    Case("a leaf that may not sign", "broken", ("MPK-323",), leaf=SVID.but(key_usages=("key_agreement",))),
    Case("a leaf for clients only", "broken", ("MPK-324",), leaf=SVID.but(extended=(CLIENT,))),
    Case("a leaf for servers only", "broken", ("MPK-324",), leaf=SVID.but(extended=(SERVER,))),
    Case("an empty subject, names not critical", "broken", ("MPK-326",), leaf=SVID.but(subject=())),
    Case("a signer's SPIFFE ID with a path", "broken", ("MPK-327",), ca=SPIRE_CA.but(uris=("spiffe://example.org/ca",))),
    Case("a SPIFFE signer's key usage not critical", "broken", ("MPK-327",), ca=SPIRE_CA.but(key_usage_critical=False)),
    Case("a signer that is no CA", "broken", ("MPK-307",), ca=SPIRE_CA.but(ca=False, key_usages=("crl_sign",))),
    Case("a root whose BasicConstraints are not critical", "broken", ("MPK-307",), root=ROOT.but(ca_critical=False)),
    Case("a signer without keyCertSign", "broken", ("MPK-307",), ca=SPIRE_CA.but(key_usages=("crl_sign",))),
    Case("a signer for code only", "broken", ("MPK-307",),
         ca=SPIRE_CA.but(extended=(x509.oid.ExtendedKeyUsageOID.CODE_SIGNING,))),
    Case("a leaf that ended a second ago", "broken", ("MPK-305",), leaf=SVID.but(not_after=AT - SECOND)),
    Case("a CA that ended a second ago", "broken", ("MPK-305",), ca=SPIRE_CA.but(not_after=AT - SECOND)),
    Case("a root that ended a second ago", "broken", ("MPK-305",), root=ROOT.but(not_after=AT - SECOND)),
    Case("a leaf that begins in a second", "broken", ("MPK-306",), leaf=SVID.but(not_before=AT + SECOND)),
    Case("a path length of zero at the root", "broken", ("MPK-308",), root=ROOT.but(path_length=0)),
    Case("an unknown critical extension", "broken", ("MPK-309",), leaf=SVID.but(unknown_critical=True)),
    Case("a DNS constraint that is broken", "broken", ("MPK-310",), leaf=SVID.but(dns=("a.com",)),
         ca=SPIRE_CA.but(constraints=dns_constraint("svc"))),
    Case("name constraints in a leaf", "broken", ("MPK-310",), leaf=SVID.but(constraints=dns_constraint("svc"))),
    Case("a weak RSA leaf", "broken", ("MPK-312",), leaf=SVID.but(key="RSA-1024")),
    Case("a weak RSA CA", "broken", ("MPK-312",), ca=SPIRE_CA.but(key="RSA-1024")),
    Case("a P-192 leaf", "broken", ("MPK-312",), leaf=SVID.but(key="P-192")),
    Case("another authority key id than the CA's", "broken", ("MPK-313",), leaf=SVID.but(aki=b"\1" * 20)),
    Case("a URI constraint", "unknown", ("MPK-311",), ca=SPIRE_CA.but(constraints=uri_constraint())),
    Case("an Ed25519 CA", "unknown", ("MPK-311",), ca=SPIRE_CA.but(key="Ed25519")),
)  # fmt: skip


def judged(case: Case) -> Verdict:
    root = made.root(case.root)
    ca = root.issue(case.ca)
    return judge(made.read(ca.issue(case.leaf), ca), expected(root))


def expected(*roots: Issued) -> Expected:
    return Expected(tuple(root.certificate for root in roots), AT, trust_domain=TRUST_DOMAIN)


def codes(verdict: Verdict, *severities: str) -> tuple[str, ...]:
    return tuple(sorted({finding.code for finding in verdict.findings if finding.severity in severities}))


@pytest.mark.parametrize("case", [*GOOD, *BAD], ids=lambda case: case.name)
def test_a_chain_is_judged_by_its_shape(case: Case) -> None:
    verdict = judged(case)
    assert (verdict.result, codes(verdict, "fail", "unknown")) == (case.result, case.codes)
    if case in GOOD:
        assert codes(verdict, "warn") == case.warnings


# 32 needs a serial number that no builder writes: x509-limbo has one (tests/conformance)
NUMBERS = {1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 26, 27, 28, 29, 30, 31, 33}


def test_every_rule_of_the_contract_is_shown_by_a_case() -> None:
    assert {finding.rule for case in (*GOOD, *BAD) for finding in judged(case).findings} == NUMBERS


def test_a_proven_path_runs_from_the_leaf_to_the_pinned_root_and_ends_with_its_first_expiry() -> None:
    verdict = judge(made.svid(), expected(made.mesh_root()))
    assert [certificate.subject for certificate in verdict.path] == [
        "O=SPIRE,C=US",
        "2.5.4.5=1234567890,O=SPIFFE,C=US",
        "CN=meshpki-root-g1",
    ]
    assert verdict.expires == AT + timedelta(hours=1)


def test_the_root_may_be_sent_along_and_the_order_of_the_rest_is_free() -> None:
    leaf, ca = made.svid()
    assert judge((leaf, made.mesh_root().certificate, ca), expected(made.mesh_root())).result == "proven"


def test_a_chain_to_another_root_of_the_same_name_is_broken() -> None:
    stranger = made.root()
    ca = stranger.issue(SPIRE_CA)
    verdict = judge(made.read(ca.issue(SVID), ca), expected(made.mesh_root()))
    assert codes(verdict, "fail") == ("MPK-304",)


def test_a_chain_that_brings_its_own_root_is_told_from_a_forged_one() -> None:
    stranger = made.root(ROOT.but(subject=CACERTS.subject))
    ca = stranger.issue(SPIRE_CA)
    verdict = judge(made.read(ca.issue(SVID), ca, stranger), expected(made.mesh_root()))
    assert codes(verdict, "fail") == ("MPK-303",)


def test_a_chain_without_its_intermediate_says_whose_certificate_is_missing() -> None:
    leaf, _ = made.svid()
    verdict = judge((leaf,), expected(made.mesh_root()))
    assert codes(verdict, "fail") == ("MPK-302",)
    assert "O=SPIFFE" in verdict.findings[0].expected


def test_a_leaf_signed_by_another_key_than_its_ca_is_broken() -> None:
    impostor = made.mesh_root().issue(SPIRE_CA)
    leaf = impostor.issue(SVID.but(aki=False))
    verdict = judge(made.read(leaf, made.mesh_spire_ca()), expected(made.mesh_root()))
    assert codes(verdict, "fail") == ("MPK-304",)


def test_one_intermediate_too_many_is_broken_even_where_the_path_is_sound() -> None:
    ca = made.mesh_root().issue(CACERTS)
    below = ca.issue(SPIRE_CA)
    verdict = judge(made.read(below.issue(SVID), below, ca), expected(made.mesh_root()))
    assert codes(verdict, "fail") == ("MPK-308",)


def test_a_short_path_is_found_where_a_self_issued_certificate_would_allow_a_longer_one_too() -> None:
    anchor = made.mesh_root()
    above = anchor.issue(CACERTS)
    cross_signed = above.issue(SPIRE_CA)
    direct = anchor.issue(SPIRE_CA, private_key=cross_signed.private_key)
    leaf = direct.issue(SVID)
    verdict = judge(made.read(leaf, cross_signed, above, direct, made.root(ROOT)), expected(anchor))
    assert (verdict.result, len(verdict.path)) == ("proven", 3)


def test_an_empty_chain_is_broken() -> None:
    assert judge((), expected(made.mesh_root())).result == "broken"


def test_no_anchor_proves_nothing() -> None:
    assert judge(made.svid(), expected()).result == "broken"


def test_a_leaf_among_the_anchors_does_not_prove_itself() -> None:
    leaf, ca = made.svid()
    verdict = judge((leaf, ca), Expected((leaf,), AT, trust_domain=TRUST_DOMAIN))
    assert verdict.result == "broken"
    assert "MPK-316" in codes(verdict, "fail")


def test_during_a_rotation_a_chain_to_either_root_is_proven() -> None:
    new = made.root(ROOT.but(subject=((x509.NameOID.COMMON_NAME, "meshpki-root-g2"),)))
    ca = new.issue(SPIRE_CA)
    both = expected(made.mesh_root(), new)
    assert judge(made.svid(), both).result == judge(made.read(ca.issue(SVID), ca), both).result == "proven"


def test_missing_key_ids_fail_only_where_strictness_is_asked_for() -> None:
    root = made.mesh_root()
    ca = root.issue(SPIRE_CA.but(aki=False))
    chain, anchors = made.read(ca.issue(SVID), ca), (root.certificate,)
    strict = judge(chain, Expected(anchors, AT, trust_domain=TRUST_DOMAIN, strict=True))
    assert (strict.result, codes(strict, "fail")) == ("broken", ("MPK-314",))
    somebody_elses = Expected(anchors, AT, trust_domain=TRUST_DOMAIN, strict=True, owned=frozenset({chain[1].sha256}))
    assert judge(chain, somebody_elses).result == "proven"


def test_extended_key_usages_that_the_caller_needs_are_asked_of_any_leaf() -> None:
    root = made.mesh_root()
    leaf = made.read(root.issue(made.ISTIOD_SERVING.but(extended=(CLIENT,))))
    asked = judge(leaf, Expected((root.certificate,), AT, usages=frozenset({SERVER.dotted_string})))
    assert codes(asked, "fail") == ("MPK-324",)


def istiod_serving() -> tuple[Certificate, ...]:
    ca = made.mesh_root().issue(CACERTS)
    return made.read(ca.issue(made.ISTIOD_SERVING), ca)


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param(made.svid, id="a workload's chain"),
        pytest.param(istiod_serving, id="istiod's serving certificate, by DNS names only"),
        pytest.param(lambda: made.read(made.mesh_spire_ca()), id="a CA below the root"),
        pytest.param(lambda: made.read(made.mesh_root()), id="the root itself"),
    ],
)
def test_any_kind_of_leaf_is_proven_by_its_path(chain: Callable[[], tuple[Certificate, ...]]) -> None:
    assert proves(chain(), [made.mesh_root().certificate], AT) is None


def test_a_refusal_names_the_certificate_the_expectation_and_the_code() -> None:
    reason = proves(istiod_serving(), [made.root().certificate], AT)
    assert reason is not None
    assert "CN=istiod.istio-system.svc" in reason
    assert "MPK-304" in reason


def test_an_authority_key_identifier_that_names_another_certificate_by_serial_is_refused() -> None:
    ca = made.mesh_spire_ca()
    wrong = x509.AuthorityKeyIdentifier(
        x509.SubjectKeyIdentifier.from_public_key(ca.private_key.public_key()).digest,
        [x509.DirectoryName(made.mesh_root().x509.subject)],
        ca.x509.serial_number + 1,
    )
    leaf = ca.issue(made.SVID.but(aki=False, more=(("2.5.29.35", False, wrong.public_bytes()),)))
    verdict = judge(made.read(leaf, ca), Expected((made.mesh_root().certificate,), AT, trust_domain=TRUST_DOMAIN))
    assert (verdict.result, {one.code for one in verdict.findings}) == ("broken", {"MPK-313"})


def test_a_ca_sent_twice_is_judged_the_same_whether_it_was_proven_before_or_not() -> None:
    anchor, ca = made.mesh_root().certificate, made.mesh_spire_ca()
    expected = Expected((anchor,), AT + timedelta(seconds=1))
    (one,) = made.read(ca)
    before = judge((one, one), expected).result
    assert judge(made.read(ca.issue(made.SVID), ca), expected).result == "proven"
    assert judge((one, one), expected).result == before


def test_a_flawed_leaf_is_explained_by_the_way_that_reaches_the_anchor_not_by_a_twin_of_its_signer() -> None:
    anchor, namesake = made.mesh_root(), made.root()
    above = anchor.issue(SPIRE_CA.but(subject=((x509.NameOID.COMMON_NAME, "above"),)))
    signer = above.issue(SPIRE_CA)
    twin = namesake.issue(SPIRE_CA, private_key=signer.private_key)
    leaf = signer.issue(SVID.but(key_usage_critical=False))
    expected = Expected((anchor.certificate,), AT, max_depth=2, trust_domain=TRUST_DOMAIN)
    verdict = judge(made.read(leaf, twin, signer, above), expected)
    assert (verdict.result, codes(verdict, "fail")) == ("broken", ("MPK-323",))


def test_a_flawed_leaf_is_explained_by_the_way_that_lacks_least_of_those_that_reach_an_anchor() -> None:
    unfit = made.root(made.ROOT.but(more=(("1.3.6.1.4.1.99999.1", True, b"\x05\x00"),)))
    fit = made.root(made.ROOT.but(subject=((x509.NameOID.COMMON_NAME, "fit"),)))
    below = fit.issue(SPIRE_CA.but(subject=((x509.NameOID.COMMON_NAME, "below"),)))
    signer = unfit.issue(SPIRE_CA)
    twin = below.issue(SPIRE_CA, private_key=signer.private_key)
    leaf = signer.issue(SVID.but(key_usage_critical=False))
    expected = Expected((unfit.certificate, fit.certificate), AT, max_depth=2, trust_domain=TRUST_DOMAIN)
    verdict = judge(made.read(leaf, signer, twin, below), expected)
    assert (verdict.result, codes(verdict, "fail")) == ("broken", ("MPK-323",))
    assert verdict.path[-1] == fit.certificate
