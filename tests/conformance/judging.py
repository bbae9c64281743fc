"""What meshpki says of PEM from a peer and PEM that is pinned, in the words of the table."""

from collections.abc import Iterator
from dataclasses import replace

from meshpki.pki.bundle import read_bundle
from meshpki.pki.certificate import UnparsableError, read_chain
from meshpki.pki.chain import CONTRACT, Contract, judge
from meshpki.pki.path import Expected
from meshpki.pki.rules import Path, Rule
from meshpki.pki.verdict import Finding
from tests.conformance.mesh import Expectation
from tests.support.certificates import AT, TRUST_DOMAIN


def judged(sent: bytes, pinned: bytes, contract: Contract = CONTRACT) -> Expectation:
    """The verdict with its findings; of a proven chain the warnings, of any other all but them."""
    try:
        chain, anchors = read_chain(sent), read_bundle(pinned).anchors
    except UnparsableError as error:
        return Expectation("broken", f"35:{error.code.removeprefix('MPK-')}")
    verdict = judge(chain, Expected(anchors, AT, trust_domain=TRUST_DOMAIN), contract)
    found = {
        (finding.rule, finding.code.removeprefix("MPK-"))
        for finding in verdict.findings
        if (finding.severity == "warn") == (verdict.result == "proven")
    }
    return Expectation(verdict.result, " ".join(f"{rule}:{code}" for rule, code in sorted(found)))


def without(number: int) -> Contract:
    """The contract less the rule of this number."""

    def silent(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(_silenced(rule, number) for rule in rules)

    return replace(
        CONTRACT, path=silent(CONTRACT.path), svid=silent(CONTRACT.svid), explanations=silent(CONTRACT.explanations)
    )


def _silenced(rule: Rule, number: int) -> Rule:
    def asked(path: Path, expected: Expected) -> Iterator[Finding]:
        return (finding for finding in rule(path, expected) if finding.rule != number)

    return asked
