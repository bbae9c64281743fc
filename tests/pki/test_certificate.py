from datetime import UTC, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpki.pki.certificate import Certificate, UnparsableError, read_chain, read_der
from tests.support import certificates as made
from tests.support.certificates import AT, SVID

LEAF = made.mesh_spire_ca().issue(SVID)
CA = made.mesh_spire_ca()
BOTH = made.pem(LEAF, CA)


def test_a_certificate_tells_who_it_is_of_and_until_when() -> None:
    leaf, ca = read_chain(BOTH)
    assert (leaf.subject, leaf.issuer) == ("O=SPIRE,C=US", ca.subject)
    assert leaf.uris == SVID.uris
    assert leaf.not_after == AT + timedelta(hours=1)
    assert leaf.not_after.tzinfo is UTC
    assert (leaf.is_ca, ca.is_ca) == (False, True)
    assert leaf.aki == ca.ski
    assert leaf.key == "EC secp256r1"
    assert leaf.sha256 == LEAF.x509.fingerprint(made.hashes.SHA256()).hex()
    assert leaf.pem == LEAF.pem
    assert leaf.der == LEAF.x509.public_bytes(Encoding.DER)


def test_self_signed_means_a_signature_by_its_own_key_not_two_equal_names() -> None:
    root = made.root()
    impostor = root.issue(made.ROOT)
    assert root.certificate.self_signed
    assert impostor.certificate.self_issued
    assert not impostor.certificate.self_signed


@pytest.mark.parametrize(
    ("seconds", "valid"), [(-3601, False), (-3600, True), (0, True), (3600, True), (3600.9, True), (3601, False)]
)
def test_both_ends_of_the_validity_belong_to_it_in_whole_seconds(seconds: float, valid: bool) -> None:
    certificate = made.mesh_root().issue(made.Shape()).certificate
    assert certificate.valid_at(AT + timedelta(seconds=seconds)) is valid


def test_text_between_blocks_is_passed_over() -> None:
    assert len(read_chain(b"# leaf\n" + LEAF.pem + b"\n# its CA\n" + CA.pem)) == 2


def test_the_same_chain_is_read_from_der() -> None:
    assert read_der([one.x509.public_bytes(Encoding.DER) for one in (LEAF, CA)]) == read_chain(BOTH)


# a thousand of them are 57 kB; that they are no certificates is not even seen
TINY = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
REFUSED = {
    "nothing": (b"", "no certificate"),
    "text": (b"hello", "no certificate"),
    "cut in the second block": (BOTH[:-200], "cut off"),
    "a second block without its end": (BOTH.replace(b"-----END", b"-----BEGIN", 1), "cut off"),
    "a private key among them": (BOTH + LEAF.key_pem, "private key"),
    "a block of another kind": (BOTH.replace(b"CERTIFICATE", b"X509 CRL"), "no CERTIFICATE"),
    "rubbish inside a block": (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "could be read"),
    "a chain that is too long": (CA.pem * 200, "at most 95000"),
    "more certificates than a chain has, however small": (TINY * 1000, "1000 certificates, at most 16"),
    "one more than a chain may have": (CA.pem * 17, "17 certificates, at most 16"),
    "a CA that is too large": (
        made.pem(LEAF, made.mesh_root().issue(made.SPIRE_CA.but(dns=tuple(f"{n:0>60}.svc" for n in range(90))))),
        "larger than 6500",
    ),
    "a leaf that is too large": (
        made.mesh_root().issue(SVID.but(dns=tuple(f"{n:0>60}.svc" for n in range(600)))).pem,
        "larger than 36500",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_whole_certificates_within_the_limits_is_refused(name: str) -> None:
    pem, reason = REFUSED[name]
    with pytest.raises(UnparsableError, match=reason):
        read_chain(pem)


def test_a_chain_of_as_many_as_may_be_is_read() -> None:
    assert len(read_chain(CA.pem * 16)) == 16


def test_a_chain_in_der_has_the_same_bound() -> None:
    with pytest.raises(UnparsableError, match="17 certificates, at most 16"):
        read_der([CA.x509.public_bytes(Encoding.DER)] * 17)


def test_a_refused_private_key_is_never_repeated() -> None:
    with pytest.raises(UnparsableError) as caught:
        read_chain(LEAF.key_pem)
    assert "BEGIN" not in repr(caught.value)
    assert caught.value.code == "MPK-301"


@given(place=st.integers(min_value=0), mask=st.integers(min_value=1, max_value=255))
@settings(max_examples=400, deadline=None)
def test_a_damaged_certificate_is_read_or_refused_and_never_raises_anything_else(place: int, mask: int) -> None:
    der = bytearray(LEAF.x509.public_bytes(Encoding.DER))
    der[place % len(der)] ^= mask
    try:
        read = read_der([bytes(der)])
    except UnparsableError:
        return
    assert isinstance(read[0], Certificate)


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused_and_never_raise_anything_else(noise: bytes) -> None:
    with pytest.raises(UnparsableError):
        read_chain(noise)


# text that is neither a label nor a key, as RFC 7468 allows between blocks
BETWEEN = st.text(st.characters(codec="utf-8", exclude_characters="-"), max_size=60).map(str.encode)


@given(st.lists(BETWEEN, min_size=3, max_size=3), st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=200, deadline=None)
def test_any_text_around_whole_blocks_is_passed_over(texts: list[bytes], end: bytes) -> None:
    before, between, after = texts
    blocks = [one.pem.replace(b"\n", end) for one in (LEAF, CA)]
    pem = before + end + blocks[0] + between + end + blocks[1] + after
    assert read_chain(pem) == read_chain(BOTH)


@given(st.integers(min_value=0, max_value=len(BOTH) - 2))
@settings(max_examples=300, deadline=None)
def test_a_chain_cut_off_anywhere_is_refused_unless_whole_blocks_are_left(place: int) -> None:
    cut = BOTH[:place]
    if place in (len(LEAF.pem) - 1, len(LEAF.pem)):
        assert read_chain(cut) == read_chain(LEAF.pem)
        return
    with pytest.raises(UnparsableError):
        read_chain(cut)
