"""The judge against two others, OpenSSL and `cryptography` with its own defaults, on random graphs of CAs."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from meshpki.pki.verdict import Verdict
from tests.conformance import der, openssl
from tests.conformance.graphs import Graph, graph
from tests.support import certificates as made
from tests.support.certificates import TRUST_DOMAIN

SAMPLE, ALL = 1_000, 20_000
DEPTH = 4
# what one of the two others, or both, do not ask for: rules of X509-SVID, key identifiers, strength, usages, anchors
# that Envoy may take for another
STRICTER = {f"MPK-{code}" for code in (303, 307, 310, 312, 313, 314, 316, 323, 324, 327, 349)}


def ours(given: Graph) -> Verdict:
    anchors = tuple(one.certificate for one in given.pinned)
    expected = Expected(anchors, openssl.MOMENT, max_depth=DEPTH, trust_domain=TRUST_DOMAIN, strict=True)
    return judge(made.read(given.leaf, *given.sent), expected)


def library(given: Graph) -> bool:
    builder = PolicyBuilder().store(Store([one.x509 for one in given.pinned])).time(openssl.MOMENT)
    try:
        builder.max_chain_depth(DEPTH).build_client_verifier().verify(given.leaf.x509, [one.x509 for one in given.sent])
    except (VerificationError, ValueError, x509.DuplicateExtension):
        return False
    return True


def by_openssl(given: Graph, verdict: Verdict, folder: Path) -> bool:
    """With all that is sent; and, as OpenSSL does not try every issuer of a name, along the path that we found."""
    cas, anchors = ([der.of(one.x509) for one in part] for part in (given.sent, given.pinned))
    leaf, *path = (one.der for one in verdict.path) if verdict.result == "proven" else (der.of(given.leaf.x509),)
    if openssl.accepted(folder, [leaf], cas, anchors):
        return True
    return bool(path and openssl.accepted(folder, [leaf], path[:-1], path[-1:]))


@pytest.fixture(scope="module")
def compared(
    seed: int, full: bool, say: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, tuple[Verdict, bool, bool]]:
    folder, found = tmp_path_factory.mktemp("graphs"), {}
    for number in range(ALL if full else SAMPLE):
        given = graph(seed, number)
        verdict = ours(given)
        found[number] = (verdict, library(given), by_openssl(given, verdict, folder))
    kinds = Counter((verdict.result, one, two) for verdict, one, two in found.values())
    say(f"{len(found)} graphs of seed {seed}, by (meshpki, cryptography, openssl): {dict(kinds.most_common())}")
    return found


def test_what_is_proven_both_others_prove_too(compared: dict[int, tuple[Verdict, bool, bool]]) -> None:
    proven = {n: (one, two) for n, (verdict, one, two) in compared.items() if verdict.result == "proven"}
    assert {n: others for n, others in proven.items() if others != (True, True)} == {}


def test_what_both_others_prove_is_refused_only_by_a_rule_that_they_do_not_have(
    compared: dict[int, tuple[Verdict, bool, bool]],
) -> None:
    stricter = {
        n: {finding.code for finding in verdict.findings if finding.severity != "warn"}
        for n, (verdict, one, two) in compared.items()
        if one and two and verdict.result != "proven"
    }
    assert {n: codes for n, codes in stricter.items() if not codes <= STRICTER} == {}


def test_the_graphs_are_neither_all_sound_nor_all_broken(compared: dict[int, tuple[Verdict, bool, bool]]) -> None:
    results = Counter(verdict.result for verdict, _, _ in compared.values())
    assert min(results["proven"], results["broken"]) > len(compared) // 20
