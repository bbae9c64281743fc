"""Tables of pinned roots and Certificates -> the generation to enter next, and the way that is under way."""

import pytest
from cryptography.x509.oid import NameOID

from meshpki.cluster.manifest import Object
from meshpki.components.trust import Pin
from meshpki.errors import PreconditionError
from meshpki.pki.certificate import Certificate
from meshpki.rotate.acts import RETIRED
from meshpki.rotate.generations import next_number, turn_of
from meshpki.rotate.new_root import alike
from tests.support import certificates as made


def issued(number: int) -> made.Issued:
    return made.root(made.ROOT.but(subject=((NameOID.COMMON_NAME, f"meshpki-root-g{number}"),)))


G1, G2, G3 = (issued(number).certificate for number in (1, 2, 3))
KNOWN = {1: G1, 2: G2, 3: G3}


def certificate(name: str, *, left: bool = False) -> Object:
    return {"metadata": {"name": name, "labels": {RETIRED: "true"} if left else None}}


@pytest.mark.parametrize(
    ("pinned", "certificates", "expected"),
    [
        (1, [certificate("meshpki-root-g1")], 2),
        (1, [certificate("meshpki-root-g1"), certificate("meshpki-root-g2")], 2),
        (1, [certificate("meshpki-root-g2", left=True)], 3),
        (1, [certificate("meshpki-root-g2", left=True), certificate("meshpki-root-g3", left=True)], 4),
        (3, [certificate("meshpki-root-g1", left=True), certificate("meshpki-root-g2", left=True)], 4),
        (1, [certificate("meshpki-root-gx", left=True), certificate("cacerts"), certificate("meshpki-root-g²")], 2),
    ],
    ids=["the first", "one that was begun", "one that was left", "two", "on and on", "others' names"],
)
def test_the_next_generation_is_one_that_the_mesh_never_left(
    pinned: int, certificates: list[Object], expected: int
) -> None:
    assert next_number(Pin(pinned, (G1,)), certificates) == expected


def test_a_number_whose_key_was_to_be_destroyed_is_not_taken_again() -> None:
    certificates = [certificate("meshpki-root-g1"), certificate("meshpki-root-g3", left=True)]
    assert next_number(Pin(1, (G1,)), certificates, {2, 7}) == 4


def test_two_pinned_roots_are_a_way_from_the_second_to_the_first() -> None:
    assert turn_of(Pin(1, (G1,)), KNOWN) is None
    forth, back = turn_of(Pin(2, (G2, G1)), KNOWN), turn_of(Pin(1, (G1, G2)), KNOWN)
    assert forth
    assert back
    assert (forth.leaving.number, forth.entering.number) == (1, 2)
    assert forth.back == back
    assert forth.both == back.both == (G1, G2)


@pytest.mark.parametrize(
    ("roots", "known"),
    [((G2, G1), {1: issued(1).certificate, 2: G2}), ((G2, G1), {1: G1}), ((G3, G2, G1), KNOWN)],
    ids=["another key came back", "one is not issued", "three are pinned"],
)
def test_what_is_pinned_has_to_be_what_the_cluster_has(
    roots: tuple[Certificate, ...], known: dict[int, Certificate]
) -> None:
    with pytest.raises(PreconditionError, match="MPK-437"):
        turn_of(Pin(2, roots), known)


KEY = issued(1)


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (issued(2).certificate, ""),
        (made.root(made.ROOT.but(subject=(), key="P-384")).certificate, ""),
        (made.root(made.ROOT.but(subject=((NameOID.COMMON_NAME, "x"),)), private_key=KEY.private_key), "has the key"),
        (issued(1).certificate, "both roots are named"),
        (made.root(made.ROOT.but(subject=((NameOID.COMMON_NAME, "x"),), ski=False)).certificate, "no key identifier"),
    ],
    ids=["another", "without a name", "the same key", "the same name", "no key identifier"],
)
def test_a_new_root_differs_in_all_by_which_an_anchor_is_chosen(new: Certificate | made.Issued, why: str) -> None:
    found = alike(new.certificate if isinstance(new, made.Issued) else new, KEY.certificate)
    assert why in found
    assert bool(found) is bool(why)
