"""What a change of certificates does to connections and sessions that there are, and what Envoy refuses to take."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshpki.cluster.envoy import BUNDLE_NAME, CHAIN_NAME
from tests.envoy.judging import proven
from tests.envoy.states import R1, R2, holding
from tests.support.certificates import pem
from tests.support.envoy_config import bundle, identity
from tests.support.envoys import Envoy, Passed, one_way, running

REQUESTS = 20
NONE_OF_THEM = {"fail_verify_error": REQUESTS}
OLD_A, OLD_B = holding("A", "R1", "1"), holding("B", "R1", "1")
STRANGER_A = holding("A", "R2", "2")


def test_connections_that_are_kept_hide_that_neither_side_trusts_the_other_any_more(sides: tuple[Envoy, Envoy]) -> None:
    a, b = sides
    a.hold(OLD_A)
    b.hold(OLD_B)
    before = a.counted()
    assert a.request("pooled", REQUESTS) == REQUESTS
    a.hold(STRANGER_A)
    assert a.request("pooled", REQUESTS) == REQUESTS
    moved = a.counted() - before
    assert moved["cluster.pooled.ssl.handshake"] == moved["cluster.pooled.upstream_cx_total"] == 1
    assert moved["cluster.pooled.ssl.fail_verify_error"] == 0
    assert one_way(a, b, REQUESTS) == Passed(0, NONE_OF_THEM, {"connection_error": REQUESTS})


def test_a_tls_session_does_not_outlive_the_trust_that_it_was_made_with(sides: tuple[Envoy, Envoy]) -> None:
    a, b = sides
    a.hold(holding("A", "R1 R2", "2"))
    b.hold(holding("B", "R1 R2", "1"))
    assert one_way(b, a, REQUESTS, "resumed").server == {"handshake": REQUESTS, "session_reused": REQUESTS - 1}
    # B, the client, changes nothing and still has its session
    a.hold(holding("A", "R2", "2"))
    refused = {"handshake": REQUESTS, "connection_error": REQUESTS}
    assert one_way(b, a, REQUESTS, "resumed") == Passed(0, refused, NONE_OF_THEM)


REFUSED = {
    "no bundle": bundle(b""),
    "no certificate": bundle(b"no certificate"),
    "a certificate cut off": bundle(R1.pem[:-40]),
    # both roots where they belong, and another trust domain's bundle that cannot be read
    "a bundle beside it that is none": bundle(pem(R1, R2), elsewhere=b""),
}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Envoy, Envoy]]:
    """Two of the test's own: what was refused would be in the way of others."""
    with running(tmp_path, OLD_A, OLD_B) as both:
        yield both


@pytest.mark.parametrize("secret", REFUSED.values(), ids=REFUSED)
def test_a_bundle_that_envoy_refuses_is_counted_and_changes_nothing_but_what_envoy_says_of_itself(
    two: tuple[Envoy, Envoy], secret: bytes
) -> None:
    a, b = two
    held = a.secrets()
    assert a.give(BUNDLE_NAME, secret) == {f"sds.{BUNDLE_NAME}.update_rejected": 1}
    assert one_way(a, b, REQUESTS).answered == one_way(b, a, REQUESTS).answered == REQUESTS
    assert a.secrets().bundle_pem != held.bundle_pem
    # so meshpki believes nothing of it: A does not trust the new root, whatever its dump says
    b.hold(holding("B", "R1", "2"))
    assert one_way(b, a, REQUESTS).answered == 0
    assert not proven(b.secrets(), a.secrets())
    a.hold(holding("A", "R1 R2", "1"))
    assert one_way(b, a, REQUESTS).answered == REQUESTS


def test_a_chain_that_envoy_refuses_for_its_key_is_shown_by_envoy_as_if_it_were_in_use(
    two: tuple[Envoy, Envoy],
) -> None:
    """Keys are redacted, so that the counter alone tells."""
    a, b = two
    secret = identity(STRANGER_A.chain, OLD_A.chain[0].key_pem)
    assert a.give(CHAIN_NAME, secret) == {f"sds.{CHAIN_NAME}.update_rejected": 1}
    assert one_way(a, b, REQUESTS).answered == one_way(b, a, REQUESTS).answered == REQUESTS
    assert a.secrets().chain_pem == pem(*STRANGER_A.chain)
