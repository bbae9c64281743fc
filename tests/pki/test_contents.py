import base64
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from meshpki.pki.bundle import BUNDLE_LIMIT
from meshpki.pki.certificate import UnparsableError
from meshpki.pki.contents import read_contents
from tests.support import certificates as made

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
LEAF = CA.issue(made.SVID)
CHAIN = made.pem(LEAF, CA)
DER = LEAF.x509.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (CHAIN, 2),
        (b"some words\n" + CHAIN + b"more words\n", 2),
        (CHAIN.replace(b"\n", b"\r\n"), 2),
        (DER, 1),
        (base64.b64encode(CHAIN), 2),
        (base64.encodebytes(CHAIN), 2),
        (base64.b64encode(DER), 1),
    ],
    ids=["PEM", "text between", "CR LF", "DER", "base64 of PEM", "base64 in lines", "base64 of DER"],
)
def test_certificates_are_read_in_every_form_people_have_them_in(content: bytes, count: int) -> None:
    read = read_contents(content)
    assert len(read.certificates) == count
    assert read.certificates[0] == LEAF.certificate
    assert (read.others, read.damaged) == ((), ())


def test_a_private_key_is_named_and_nothing_of_it_is_kept() -> None:
    read = read_contents(made.pem(LEAF) + LEAF.key_pem + made.pem(CA))
    assert [one.sha256 for one in read.certificates] == [LEAF.certificate.sha256, CA.certificate.sha256]
    assert read.others == ("PRIVATE KEY",)
    secret = b"".join(LEAF.key_pem.splitlines()[1:-1]).decode()
    assert secret[:40] not in repr(read)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (made.pem(LEAF)[:-30] + made.pem(CA), "cut off"),
        (made.pem(CA) + b"-----BEGIN CERTIFICATE-----\n", "cut off"),
        (made.pem(CA) + b"-----END CERTIFICATE-----\n", "cut off"),
        (
            made.pem(CA) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "no certificate could be read",
        ),
    ],
    ids=["in the middle", "no end", "no beginning", "no certificate inside"],
)
def test_a_damaged_block_is_told_and_the_whole_ones_are_still_read(content: bytes, why: str) -> None:
    read = read_contents(content)
    assert [one.sha256 for one in read.certificates] == [CA.certificate.sha256]
    assert why in " ".join(read.damaged)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe", b"0", b"0\x82\x01", base64.b64encode(b"hello")])
def test_garbage_is_refused_with_a_code(content: bytes) -> None:
    with pytest.raises(UnparsableError) as caught:
        read_contents(content)
    assert caught.value.code == "MPK-301"


def test_what_is_larger_than_a_bundle_may_be_is_refused_unread() -> None:
    with pytest.raises(UnparsableError, match="at most"):
        read_contents(CHAIN + b" " * BUNDLE_LIMIT)


def test_many_blocks_that_never_end_cost_no_time() -> None:
    hostile = b"-----BEGIN CERTIFICATE-----\n" * (BUNDLE_LIMIT // 28)
    started = time.process_time()
    with pytest.raises(UnparsableError, match="at most 256 are read"):
        read_contents(hostile)
    assert time.process_time() - started < 5
