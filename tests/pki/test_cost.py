"""What the judgement of many chains costs, counted: CAs read, paths proven whole, leaves verified. And that none of
what is kept between them turns a no into a yes."""

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import FrameType

import pytest
from cryptography import x509

from meshpki.pki import chain
from meshpki.pki.bundle import read_bundle
from meshpki.pki.certificate import Certificate, read_chain
from meshpki.pki.path import Expected
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR, SPIRE_CA, SVID, TRUST_DOMAIN, Issued

LEAF_KEY = made.new_key("P-256")


def expected(root: Issued, **changes: object) -> Expected:
    return Expected((root.certificate,), changes.pop("at", AT), trust_domain=TRUST_DOMAIN, **changes)  # type: ignore[arg-type]


def pems(ca: Issued, size: int) -> list[bytes]:
    return [
        made.pem(ca.issue(SVID.but(uris=(f"{SVID.uris[0]}-{number}",)), private_key=LEAF_KEY), ca)
        for number in range(size)
    ]


def calls(work: Callable[[], object]) -> Counter[str]:
    """How often functions of the library, and our own reading of a certificate, were called."""
    counted: Counter[str] = Counter()

    def look(frame: FrameType, event: str, what: object) -> None:
        if event == "c_call":
            counted[getattr(what, "__qualname__", "")] += 1
        elif event == "call":
            counted[frame.f_code.co_name] += 1

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def test_signatures_are_checked_once_for_each_leaf_and_each_intermediate() -> None:
    root = made.root()
    cas = [root.issue(SPIRE_CA), root.issue(SPIRE_CA)]
    texts = [pem for ca in cas for pem in pems(ca, 20)]
    asked = expected(root)
    counted = calls(lambda: [chain.judge(read_chain(pem), asked) for pem in texts])
    # the library verifies a whole path for the first leaf of each intermediate, and each other leaf alone
    assert (counted["ClientVerifier.verify"], counted["_whole"]) == (40, 2)
    assert counted["_certificate"] == 40 + 2
    assert counted["Certificate.verify_directly_issued_by"] == counted["_certificate"]


def test_a_bundle_that_many_pods_hold_is_read_once() -> None:
    pem = made.pem(made.root(), made.root())
    counted = calls(lambda: [read_bundle(pem) for _ in range(20)])
    assert (counted["_certificate"], counted["load_pem_x509_certificates"]) == (2, 1)


def test_a_verdict_keeps_a_leaf_as_it_was_read_and_nothing_of_the_librarys_view() -> None:
    root = made.root()
    ca, asked, count = root.issue(SPIRE_CA), expected(root), 50
    chain.judge(read_chain(pems(ca, 1)[0]), asked)
    texts = pems(ca, count)
    tracemalloc.start()
    verdicts = [chain.judge(read_chain(pem), asked) for pem in texts]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one.result for one in verdicts] == ["proven"] * count
    # of it 600 bytes are DER; with the library's view of its names and extensions it was 8,000
    assert kept / count < 3_500


def shortcut(root: Issued, ca: Issued) -> Expected:
    """Expectations below which the intermediate is proven already."""
    asked = expected(root)
    assert chain.judge(made.svid(ca=ca), asked).result == "proven"
    return asked


def forged(ca: Issued) -> Sequence[Certificate]:
    """A leaf that another key signed in the name of the CA."""
    stranger = made.root().issue(SPIRE_CA)
    return made.read(stranger.issue(SVID), ca)


REFUSED: dict[str, Callable[[Issued], Sequence[Certificate]]] = {
    "signed by another key": forged,
    "expired": lambda ca: made.svid(SVID.but(not_before=AT - 2 * HOUR, not_after=AT - HOUR), ca=ca),
    "a CA itself": lambda ca: made.read(ca.issue(SPIRE_CA), ca),
    "without its name": lambda ca: made.svid(SVID.but(uris=()), ca=ca),
    "without key usage": lambda ca: made.svid(SVID.but(key_usages=None), ca=ca),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_leaf_below_a_proven_intermediate_is_refused_as_it_is_below_another(name: str) -> None:
    root = made.root()
    ca, fresh = root.issue(SPIRE_CA), root.issue(SPIRE_CA)
    asked = shortcut(root, ca)
    below_proven, below_fresh = (chain.judge(REFUSED[name](one), asked) for one in (ca, fresh))
    assert below_proven.result == below_fresh.result == "broken"
    assert [one.code for one in below_proven.findings] == [one.code for one in below_fresh.findings]


def test_an_intermediate_is_proven_for_its_anchors_and_its_moment_alone() -> None:
    root, other = made.root(), made.root()
    ca = root.issue(SPIRE_CA)
    shortcut(root, ca)
    sent = made.svid(ca=ca)
    assert chain.judge(sent, expected(other)).result == "broken"
    late = SPIRE_CA.not_after + timedelta(seconds=1)
    long = made.svid(SVID.but(not_after=late + HOUR), ca=ca)
    assert chain.judge(long, expected(root, at=late)).result == "broken"
    assert chain.judge(sent, expected(root, max_depth=0)).result == "broken"


def test_a_constraint_on_names_is_judged_for_every_leaf() -> None:
    only = x509.NameConstraints([x509.DNSName("example.org")], None)
    root = made.root()
    ca = root.issue(SPIRE_CA.but(constraints=only))
    asked = expected(root)
    inside, outside = (SVID.but(dns=(name,)) for name in ("a.example.org", "a.example.com"))
    assert chain.judge(made.svid(inside, ca=ca), asked).result == "proven"
    assert chain.judge(made.svid(outside, ca=ca), asked).result == "broken"
