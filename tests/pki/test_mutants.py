"""Damaged and hostile chains: what was not signed is never proven, and nothing takes long."""

import random
import time
from collections.abc import Callable

import pytest

from meshpki.pki.certificate import Certificate, UnparsableError, read_der
from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from tests.support import certificates as made
from tests.support.certificates import AT, SPIRE_CA, SVID, TRUST_DOMAIN

SEED = 20261124
MUTANTS = 4000
EXPECTED = Expected((made.mesh_root().certificate,), AT, trust_domain=TRUST_DOMAIN)
NAMELESS_CA = SPIRE_CA.but(uris=(), ski=False, aki=False)


def damaged(der: bytes, chance: random.Random) -> bytes:
    changed = bytearray(der)
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                changed[place] = chance.randrange(256)
            case 2:
                del changed[place]
            case _:
                changed.insert(place, chance.randrange(256))
    return bytes(changed)


@pytest.mark.filterwarnings("ignore:Attribute's length must be")
def test_no_damaged_chain_is_proven_unless_what_was_signed_is_untouched() -> None:
    chance, chain = random.Random(SEED), made.svid()  # noqa: S311 - a seed makes the mutants repeatable
    signed = {one.parsed.tbs_certificate_bytes for one in chain}
    for _ in range(MUTANTS):
        ders = [one.der for one in chain]
        which = chance.randrange(len(ders))
        ders[which] = damaged(ders[which], chance)
        try:
            mutant = read_der(ders)
        except UnparsableError:
            continue
        verdict = judge(mutant, EXPECTED)
        assert verdict.result != "proven" or mutant[which].parsed.tbs_certificate_bytes in signed, ders[which].hex()
        assert verdict.result == "proven" or verdict.findings, ders[which].hex()


def same_name_other_keys() -> tuple[Certificate, ...]:
    authorities = [made.root(NAMELESS_CA)]
    for _ in range(140):
        authorities.append(authorities[-1].issue(NAMELESS_CA))
    return made.read(authorities[-1].issue(SVID.but(aki=False)), *authorities)


def same_name_same_key() -> tuple[Certificate, ...]:
    first = made.root(NAMELESS_CA)
    again = [first.issue(NAMELESS_CA, private_key=first.private_key) for _ in range(140)]
    return made.read(first.issue(SVID.but(aki=False)), *again)


@pytest.mark.parametrize("build", [same_name_other_keys, same_name_same_key])
def test_a_chain_made_to_keep_the_judge_busy_is_refused_in_time(
    build: Callable[[], tuple[Certificate, ...]],
) -> None:
    chain = build()
    started = time.monotonic()
    assert judge(chain, EXPECTED).result == "broken"
    assert time.monotonic() - started < 1
