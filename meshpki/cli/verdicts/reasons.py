"""Why something is not proven, in lines: what differs only in its pod is told once."""

from collections.abc import Iterable, Iterator

from meshpki.cli.verdicts.words import plain, some
from meshpki.pki.verdict import Finding
from meshpki.verify.assessment import Judgement, State, counting, let_be, state_of, where_of
from meshpki.verify.peers import PeerVerdict
from meshpki.verify.report import Report

_Why = tuple[State, tuple[Finding, ...], str]


def reasons(verdicts: Iterable[Judgement], *, warnings: bool, most: int) -> Iterator[str]:
    """What is not proven with its findings, or proven with warnings where those are told; `most` names a line."""
    alike: dict[_Why, list[str]] = {}
    for verdict in verdicts:
        findings = tuple(finding for finding in counting(verdict) if warnings or finding.severity != "warn")
        state = state_of(verdict)
        if findings or state in ("broken", "unknown"):
            alike.setdefault((state, findings, "" if findings else _reason(verdict)), []).append(where_of(verdict))
    for (state, findings, reason), names in alike.items():
        yield plain(f"  {some(names, most)}: {state}{': ' if reason else ''}{reason}")
        for finding in findings:
            yield from finding_lines(finding)


def finding_lines(finding: Finding) -> Iterator[str]:
    """A finding and its remedy."""
    yield plain(f"    {finding.code} {finding.severity}  {in_words(finding)}")
    yield plain(f"      {finding.remedy}; see meshpki explain {finding.code}")


def in_words(finding: Finding) -> str:
    """What was expected of which certificate, and what was found; not yet made plain."""
    about = f"{finding.certificate.subject or 'serial ' + finding.certificate.serial}: " if finding.certificate else ""
    return f"{about}expected {finding.expected}; found {finding.found}"


def ignored_lines(report: Report, most: int) -> Iterator[str]:
    """What is let be, by the demand that says so."""
    by: dict[str, list[str]] = {}
    for where, found in let_be(report):
        by.setdefault(found.by, []).append(where)
    for demand, names in by.items():
        yield plain(f"  ignored {demand}: {some(list(dict.fromkeys(names)), most)}")


def _reason(verdict: Judgement) -> str:
    return "" if isinstance(verdict, PeerVerdict) else verdict.reason
