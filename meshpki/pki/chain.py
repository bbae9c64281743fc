"""The judgement of one chain: gate A decides whether there is a path, gate B refuses or explains."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from meshpki.pki import rules, svid
from meshpki.pki.certificate import Certificate
from meshpki.pki.path import Expected, Refusal, Way, validate, ways
from meshpki.pki.verdict import Finding, Verdict, named, result_of


@dataclass(frozen=True)
class Contract:
    """The rules of gate B: of any path, of an X509-SVID's besides, and those asked only where gate A refused.

    With a rule less the judge is weaker: that is for the tests which show that each of them is needed.
    """

    path: tuple[rules.Rule, ...] = rules.RULES
    svid: tuple[rules.Rule, ...] = svid.RULES
    explanations: tuple[rules.Rule, ...] = rules.EXPLANATIONS

    def of(self, expected: Expected) -> tuple[rules.Rule, ...]:
        """The rules for this kind of leaf."""
        return (*self.svid, *self.path) if expected.trust_domain else self.path


CONTRACT = Contract()


def judge(chain: Sequence[Certificate], expected: Expected, contract: Contract = CONTRACT) -> Verdict:
    """Whether the chain, leaf first, proves its leaf against the pinned anchors at one moment.

    `proven` needs a yes from both gates:

    A. `cryptography` finds a path (RFC 5280 section 6) from the leaf to a pinned anchor, and to nothing else.
    B. No rule below fails. Each is one numbered pure function; a no of gate A is explained by them, and where
       none of them sees the reason the library's own words are the finding. They never turn a no into a yes.

    Of any chain (`rules.py`, RFC 5280):
      13 an empty subject makes the alternative name critical
      12 the leaf's extended key usages allow what it is needed for
      14 signers are CAs, critically so · 15 with keyCertSign, which is theirs alone
      22 every link: issuer name byte for byte, signature good (`path.ways`)
      23 all valid at the moment, bounds and anchor included
      24 pathLenConstraint · 25 number of intermediates
      26 no unknown critical extension
      27 name constraints kept, in CAs only · 28 or of a kind that cannot be judged, as are Edwards keys of CAs
      29 extended key usages of CAs allow the leaf's
      30 key identifiers are there (warning, failure with `strict`) · 31 and agree
      32 serial number in range · 33 strong keys and hashes
      34 the anchors are CAs

    Of a workload's X509-SVID besides, where a trust domain is expected (`svid.py`):
      1 exactly one URI name · 2-5 a well-formed SPIFFE ID with a path
      6 no CA · 7 says so (warning) · 8, 9 critical key usage for signatures · 10 for no more (warning)
      11 has extended key usages (warning) · 12 for both sides
      16 signers' key usage critical · 17 for signing only (warning)
      18, 20 signers' SPIFFE ID (warning; of the mesh's own CAs) · 19 without a path · 21 the leaf's trust domain
      43 no other anchor can be taken for one of the path: Envoy would not try the right one after it
      45 no root is sent between the leaf and the anchor: Envoy would end there

    What cannot be judged (28) is `unknown`, never `proven`. Raises nothing; an empty chain is `broken`.
    """
    if not chain:
        return Verdict("broken", (), (_EMPTY,))
    path = validate(chain, expected)
    if not isinstance(path, Refusal):
        findings = _apply(contract.of(expected), path, expected)
        return Verdict(result_of(findings), path, findings)
    return min((_explained(way, path, expected, contract) for way in ways(chain, expected)), key=_failures)


def proves(
    chain: Sequence[Certificate], anchors: Sequence[Certificate], at: datetime, max_depth: int = 1
) -> str | None:
    """None where a path leads from the first certificate to an anchor, else the reason in words.

    Any kind of leaf will do: a serving certificate with DNS names, a CA below the root, the root itself. Of
    intermediates there may be `max_depth`.
    """
    verdict = judge(chain, Expected(tuple(anchors), at, max_depth))
    if verdict.result == "proven":
        return None
    return "; ".join(map(_words, (finding for finding in verdict.findings if finding.severity != "warn")))


_EMPTY = Finding("MPK-302", "fail", 22, "a certificate", "the chain is empty", "restart the pod")


def _apply(judged: Sequence[rules.Rule], path: Sequence[Certificate], expected: Expected) -> tuple[Finding, ...]:
    return tuple(finding for rule in judged for finding in rule(path, expected))


def _explained(way: Way, refusal: Refusal, expected: Expected, contract: Contract) -> Verdict:
    walked, gap = way
    asked = (*contract.of(expected), *contract.explanations)
    findings = (*((gap,) if gap else ()), *_apply(asked, walked, expected))
    if result_of(findings) == "proven":
        findings = (*findings, _unexplained(walked, refusal))
    return Verdict(result_of(findings), walked, findings)


def _failures(verdict: Verdict) -> int:
    """Of several ways the one that lacks least explains a refusal best."""
    return sum(1 for finding in verdict.findings if finding.severity != "warn")


def _unexplained(path: Sequence[Certificate], refusal: Refusal) -> Finding:
    constrained = next((signer for signer in path[1:] if signer.extensions.name_constraints), None)
    code, rule = ("MPK-310", 27) if constrained else ("MPK-317", 22)
    remedy = "have the certificate issued again, or the CA without that constraint"
    return Finding(
        code, "fail", rule, "a path that RFC 5280 accepts", refusal.words, remedy, named(constrained or path[0])
    )


def _words(finding: Finding) -> str:
    subject = f"{finding.certificate.subject or 'certificate without subject'}: " if finding.certificate else ""
    return f"{subject}expected {finding.expected}, found {finding.found} ({finding.code})"
