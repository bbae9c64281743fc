"""Tables of what is wrong with an existing CA -> the code that refuses it; the certificates are real."""

from datetime import timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from meshpki.pki.issuing import Below, Child, unfit
from tests.support import certificates as made
from tests.support.certificates import AT, ROOT, Issued, Shape

DAY = timedelta(days=1)
BELOW = Below((Child("istiod's CA", 75 * DAY), Child("two of SPIRE's CAs", 2 * DAY)), "example.org", ("istiod.x.svc",))
CORPORATE = ROOT.but(subject=((NameOID.COMMON_NAME, "Corporate Root"),), uris=(), not_after=AT + 3000 * DAY)
ISSUING = CORPORATE.but(subject=((NameOID.COMMON_NAME, "Corporate Issuing CA"),), aki=True, not_after=AT + 1000 * DAY)
HIGHER = ISSUING.but(subject=((NameOID.COMMON_NAME, "Corporate Policy CA"),))


def codes(*chain: Issued, below: Below = BELOW) -> set[str]:
    return {one.code for one in unfit(made.read(*chain), below, AT)}


def under(root: Shape = CORPORATE, *lower: Shape) -> tuple[Issued, ...]:
    """The chain from the lowest up."""
    chain = (made.root(root),)
    for shape in lower:
        chain = (chain[0].issue(shape), *chain)
    return chain


def within(*permitted: x509.GeneralName, excluded: tuple[x509.GeneralName, ...] = ()) -> x509.NameConstraints:
    return x509.NameConstraints(list(permitted) or None, list(excluded) or None)


@pytest.mark.parametrize(
    "shapes",
    [
        (CORPORATE,),
        (CORPORATE.but(path_length=1),),
        (CORPORATE.but(key="RSA-2048"), ISSUING.but(key="RSA-3072")),
        (CORPORATE.but(path_length=2), ISSUING.but(path_length=1)),
        (CORPORATE.but(path_length=3), HIGHER.but(path_length=2), ISSUING.but(path_length=1, key="P-384")),
        (CORPORATE, ISSUING.but(constraints=within(x509.IPAddress(ip_network("10.0.0.0/8"))))),
        (CORPORATE, ISSUING.but(constraints=within(x509.DNSName("svc")))),
        (ROOT,),
    ],
)
def test_a_ca_that_is_fit_is_taken(shapes: tuple[Shape, ...]) -> None:
    assert codes(*under(*shapes)) == set()


LEAF_USAGES = ("digital_signature", "key_encipherment", "key_agreement")


@pytest.mark.parametrize(
    ("shapes", "code"),
    [
        ((CORPORATE, ISSUING.but(ca=False, key_usages=LEAF_USAGES)), "MPK-272"),
        ((CORPORATE, ISSUING.but(ca=None)), "MPK-272"),
        ((CORPORATE, ISSUING.but(ca_critical=False)), "MPK-272"),
        ((CORPORATE.but(not_before=AT - 9 * DAY, not_after=AT - DAY),), "MPK-273"),
        ((CORPORATE, ISSUING.but(not_before=AT + DAY)), "MPK-273"),
        ((CORPORATE, ISSUING.but(not_after=AT + 60 * DAY)), "MPK-274"),
        ((CORPORATE.but(not_after=AT + 74 * DAY), ISSUING), "MPK-274"),
        ((CORPORATE, ISSUING.but(key_usages=("crl_sign",))), "MPK-275"),
        ((CORPORATE, ISSUING.but(key_usages=None)), "MPK-275"),
        ((CORPORATE, ISSUING.but(extended=(made.SERVER,))), "MPK-275"),
        ((CORPORATE.but(path_length=0),), "MPK-276"),
        ((CORPORATE, ISSUING.but(path_length=0)), "MPK-276"),
        ((CORPORATE.but(path_length=1), ISSUING), "MPK-276"),
        ((CORPORATE.but(path_length=2), HIGHER, ISSUING), "MPK-276"),
        ((CORPORATE, ISSUING.but(key="RSA-1024")), "MPK-277"),
        ((CORPORATE, ISSUING.but(key="K-256")), "MPK-277"),
        ((CORPORATE, ISSUING.but(key="Ed25519")), "MPK-277"),
        ((CORPORATE, ISSUING.but(digest="SHA224")), "MPK-277"),
        ((CORPORATE, ISSUING.but(constraints=within(x509.DNSName("corp.example")))), "MPK-278"),
        ((CORPORATE, ISSUING.but(constraints=within(excluded=(x509.DNSName("svc"),)))), "MPK-278"),
        ((CORPORATE, ISSUING.but(constraints=within(x509.UniformResourceIdentifier("corp.example")))), "MPK-278"),
        ((CORPORATE, ISSUING.but(unknown_critical=True)), "MPK-287"),
        ((CORPORATE, ISSUING.but(ski=False)), "MPK-287"),
        ((CORPORATE, ISSUING.but(uris=("spiffe://example.org/ca",))), "MPK-287"),
    ],
)
def test_each_kind_of_unfit_ca_has_a_code_of_its_own(shapes: tuple[Shape, ...], code: str) -> None:
    assert code in codes(*under(*shapes))


def test_one_fault_is_told_under_one_code() -> None:
    assert codes(*under(CORPORATE, ISSUING.but(path_length=0))) == {"MPK-276"}
    assert codes(*under(CORPORATE, ISSUING.but(not_after=AT + 60 * DAY))) == {"MPK-274"}
    assert codes(*under(CORPORATE, ISSUING.but(digest="SHA224"))) == {"MPK-277"}


def test_every_fault_is_told_at_once() -> None:
    assert codes(*under(CORPORATE, ISSUING.but(path_length=0, not_after=AT + DAY))) == {"MPK-274", "MPK-276"}


def test_a_chain_out_of_order_with_a_gap_or_without_its_root_is_refused() -> None:
    issuing, higher, root = under(CORPORATE, HIGHER, ISSUING)
    other = made.root(CORPORATE)
    assert codes(issuing, higher, root) == set()
    for chain in (
        (higher, issuing, root),
        (root, higher, issuing),
        (issuing, root),
        (issuing, higher),
        (issuing,),
        (issuing, higher, root, root),
        (issuing, higher, other),
        (issuing, higher, root, other),
    ):
        assert "MPK-271" in codes(*chain)
    assert {one.code for one in unfit((), BELOW, AT)} == {"MPK-271"}


def test_what_is_wrong_with_the_order_says_which_certificate_and_why() -> None:
    issuing, higher, root = under(CORPORATE, HIGHER, ISSUING)
    (gap,) = unfit(made.read(issuing, root), BELOW, AT)
    assert "Corporate Issuing CA" in gap.what
    assert "gap" in gap.what
    told = [one.what for one in unfit(made.read(higher, issuing, root), BELOW, AT)]
    assert any("out of order" in what for what in told)
    assert any("not the last" in one.what for one in unfit(made.read(root, higher), BELOW, AT))


def test_a_ca_must_outlast_what_is_below_it_by_the_settings() -> None:
    chain = under(CORPORATE, ISSUING.but(not_after=AT + 60 * DAY))
    assert codes(*chain, below=Below((Child("a short CA", 59 * DAY),), "example.org", ())) == set()
