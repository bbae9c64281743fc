"""meshpki's own suite: three meshes, one change each, and what the rules say of it (mesh_table.py)."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509

from meshpki.pki.bundle import read_bundle
from meshpki.pki.certificate import read_chain
from meshpki.pki.chain import CONTRACT, Contract, judge
from meshpki.pki.path import Expected, Refusal, validate, ways
from tests.conformance.judging import judged, without
from tests.conformance.mesh import BASES, Case, build
from tests.conformance.mesh_table import CASES, UNREADABLE, proven
from tests.support.certificates import AT, TRUST_DOMAIN

NO_RULES = Contract((), (), ())
# decided by gate A, whose reason the walk finds (22) or the library alone gives (27, but for leaves)
BY_THE_LIBRARY = {22}
BY_THE_READER = {35}
KEPT_BY_THE_LIBRARY = {
    "a DNS constraint that is broken",
    "an excluded DNS name",
    "an excluded e-mail name",
    "an address constraint that is broken",
}
# told, not judged: `Verdict.expires`
TOLD = {36}
ELSEWHERE = {
    37: "verify/judge.py and verify/authorities.py: which CAs may issue is the mesh's to say",
    38: "verify/judge.py: whose leaf it is the pod says",
    39: "verify/peers.py and verify/judge.py: a pair of pods is no single chain",
    40: "nowhere: bundles are read as PEM, no JWKS is",
    41: "verify: what a listener serves is asked over a connection",
}


CASE = {case.name: case for case in CASES}


@cache
def _material(name: str, seed: int) -> tuple[bytes, bytes]:
    return build(CASE[name], seed)


def material(case: Case, seed: int) -> tuple[bytes, bytes]:
    """The case's PEM, made once a run."""
    return _material(case.name, seed)


def numbers(findings: str) -> set[int]:
    return {int(one.partition(":")[0]) for one in findings.split()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_changed_chain_gets_the_verdict_and_the_codes_that_the_rules_ask_for(case: Case, seed: int) -> None:
    found = judged(*material(case, seed))
    assert found.result == case.expected.result
    assert sorted(found.findings.split()) == sorted(set(case.expected.findings.split()))


def test_there_are_at_least_400_cases_and_each_place_of_each_mesh_has_its_share() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 400
    shares = Counter((case.base, case.position) for case in CASES)
    assert len(shares) == 9
    assert min(shares.values()) >= 40


def test_an_unchanged_mesh_is_proven() -> None:
    for base in BASES:
        case = Case(base, "leaf", proven("nothing"))
        assert judged(*build(case, 1)).result == "proven"


def test_the_same_seed_makes_the_same_keys_and_another_one_others() -> None:
    case = Case("spire", "leaf", proven("nothing"))
    keys = [read_chain(build(case, seed)[0])[0].key_sha256 for seed in (1, 1, 2)]
    assert keys[0] == keys[1] != keys[2]


def test_every_rule_is_shown_by_a_case_that_breaks_only_it_or_is_decided_elsewhere() -> None:
    alone = {number for case in CASES if len(found := numbers(case.row.expected.findings)) == 1 for number in found}
    assert alone | TOLD | set(ELSEWHERE) == {*range(1, 42), 43, 45}
    assert not alone & (TOLD | set(ELSEWHERE))


@pytest.mark.parametrize("number", sorted({*range(1, 37), 43, 45} - BY_THE_LIBRARY - BY_THE_READER - TOLD))
def test_a_judge_without_one_rule_is_caught(number: int, seed: int) -> None:
    only = [case for case in CASES if numbers(case.expected.findings) == {number}]
    weaker = without(number)
    survived = [case.row.name for case in only if judged(*material(case, seed), weaker) == case.expected]
    assert len(survived) < len(only)
    assert not survived or (number == 27 and set(survived) <= KEPT_BY_THE_LIBRARY)


# rules that only gate B knows: with them gone gate A proves the chain
ONLY_OURS = {1, 2, 3, 4, 5, 9, 12, 13, 16, 19, 21, 31, 32, 33, 34, 43, 45}


@pytest.mark.parametrize("number", sorted(ONLY_OURS))
def test_without_a_rule_that_the_library_does_not_know_a_broken_chain_would_be_proven(number: int, seed: int) -> None:
    only = [case for case in CASES if case.expected.result == "broken" and numbers(case.expected.findings) == {number}]
    assert "proven" in {judged(*material(case, seed), without(number)).result for case in only}


def readable() -> list[Case]:
    return [case for case in CASES if case.expected.findings != UNREADABLE]


def test_gate_b_can_refuse_but_never_turns_a_no_of_gate_a_into_a_yes(seed: int) -> None:
    wrong = []
    for case in readable():
        sent, pinned = material(case, seed)
        chain, expected = read_chain(sent), Expected(read_bundle(pinned).anchors, AT, trust_domain=TRUST_DOMAIN)
        verdicts = {judge(chain, expected, contract).result for contract in (CONTRACT, NO_RULES)}
        if isinstance(validate(chain, expected), Refusal) and "proven" in verdicts:
            wrong.append(case.name)
    assert wrong == []


def test_a_judge_without_gate_a_is_caught(seed: int) -> None:
    """Gate B sees nothing wrong with a broken name constraint (27), nor with a signature: it checks none (22)."""
    silent = set()
    for case in (case for case in readable() if case.expected.result == "broken"):
        sent, pinned = material(case, seed)
        chain, expected = read_chain(sent), Expected(read_bundle(pinned).anchors, AT, trust_domain=TRUST_DOMAIN)
        walked, _ = ways(chain, expected)[0]
        found = [finding for rule in CONTRACT.of(expected) for finding in rule(walked, expected)]
        if all(finding.severity == "warn" for finding in found):
            silent |= numbers(case.expected.findings)
    assert silent == {22, 27}


def test_a_reader_that_left_the_counting_of_blocks_to_the_library_is_caught(seed: int) -> None:
    cut = CASE["spire: ca: its block cut off"]
    sent, _ = material(cut, seed)
    assert len(x509.load_pem_x509_certificates(sent)) == 1
    assert judged(*material(cut, seed)).findings == UNREADABLE


@pytest.mark.parametrize("position", ["leaf", "ca", "root"])
def test_a_path_is_said_to_expire_with_whichever_of_its_certificates_ends_first(position: str, seed: int) -> None:
    soon = AT + timedelta(minutes=7)
    case = replace(Case("spire", "leaf", proven("soon", not_after=soon)), position=position)  # type: ignore[arg-type]
    sent, pinned = build(case, seed)
    verdict = judge(read_chain(sent), Expected(read_bundle(pinned).anchors, AT, trust_domain=TRUST_DOMAIN))
    assert verdict.expires == soon
