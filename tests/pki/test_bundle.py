import pytest

from meshpki.pki.bundle import BUNDLE_LIMIT, Difference, difference, read_bundle
from meshpki.pki.certificate import UnparsableError
from tests.support import certificates as made

ONE, TWO, THREE = made.mesh_root(), made.root(), made.root()


def test_two_bundles_trust_the_same_if_their_fingerprints_are_equal_in_whatever_order() -> None:
    assert read_bundle(made.pem(ONE, TWO)).fingerprints == read_bundle(made.pem(TWO, ONE, TWO)).fingerprints


@pytest.mark.parametrize(
    ("held", "pinned", "missing", "strangers", "under_way"),
    [
        ((ONE,), (ONE,), 0, 0, False),
        ((ONE, ONE), (ONE,), 0, 0, False),
        ((ONE, TWO), (ONE, TWO), 0, 0, False),
        ((ONE,), (ONE, TWO), 1, 0, True),
        ((ONE, TWO), (ONE,), 0, 1, False),
        ((TWO,), (ONE,), 1, 1, False),
        ((ONE, THREE), (ONE, TWO), 1, 1, False),
        ((THREE,), (ONE, TWO), 2, 1, False),
    ],
)
def test_a_difference_names_what_is_missing_and_what_does_not_belong(
    held: tuple[made.Issued, ...], pinned: tuple[made.Issued, ...], missing: int, strangers: int, under_way: bool
) -> None:
    found = difference(read_bundle(made.pem(*held)), [root.certificate.sha256 for root in pinned])
    assert (len(found.missing), len(found.strangers), found.under_way) == (missing, strangers, under_way)
    assert bool(found) is bool(missing or strangers)


def test_no_difference_is_false() -> None:
    assert not Difference((), ())


def test_a_bundle_of_more_anchors_than_its_bound_is_not_parsed_however_small_they_are() -> None:
    tiny = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" * 5000
    assert len(tiny) < BUNDLE_LIMIT
    with pytest.raises(UnparsableError, match="5000 certificates, at most 256"):
        read_bundle(tiny)
    assert len(read_bundle(ONE.pem * 256).anchors) == 256


def test_a_bundle_beyond_its_limit_is_not_parsed() -> None:
    with pytest.raises(UnparsableError, match=str(BUNDLE_LIMIT)):
        read_bundle(ONE.pem * 600)
