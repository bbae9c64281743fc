"""Chains made to keep the judge busy, longer than any that is read. Damaged: tests/conformance/test_mutants.py."""

import time
from collections.abc import Callable

import pytest

from meshpki.pki.certificate import Certificate
from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from tests.support import certificates as made
from tests.support.certificates import AT, SPIRE_CA, SVID, TRUST_DOMAIN

EXPECTED = Expected((made.mesh_root().certificate,), AT, trust_domain=TRUST_DOMAIN)
NAMELESS_CA = SPIRE_CA.but(uris=(), ski=False, aki=False)


def same_name_other_keys() -> tuple[Certificate, ...]:
    authorities = [made.root(NAMELESS_CA)]
    for _ in range(140):
        authorities.append(authorities[-1].issue(NAMELESS_CA))
    return tuple(one.certificate for one in (authorities[-1].issue(SVID.but(aki=False)), *authorities))


def same_name_same_key() -> tuple[Certificate, ...]:
    first = made.root(NAMELESS_CA)
    again = [first.issue(NAMELESS_CA, private_key=first.private_key) for _ in range(140)]
    return tuple(one.certificate for one in (first.issue(SVID.but(aki=False)), *again))


@pytest.mark.parametrize("build", [same_name_other_keys, same_name_same_key])
def test_a_chain_made_to_keep_the_judge_busy_is_refused_in_time(
    build: Callable[[], tuple[Certificate, ...]],
) -> None:
    chain = build()
    started = time.process_time()
    assert judge(chain, EXPECTED).result == "broken"
    assert time.process_time() - started < 1
