"""The report as a table: one line a workload, quiet where all is well, and every reason where it is not."""

from collections.abc import Iterator, Sequence

from meshpki.cli.verdicts.reasons import ignored_lines, reasons
from meshpki.cli.verdicts.words import aligned, chain, lasting, left, plain, short_name
from meshpki.pki.verdict import Finding
from meshpki.verify.assessment import WORST_FIRST, Judgement, counting, judgements, state_of, states, worst
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict

_HEADER = ("NAMESPACE", "WORKLOAD", "PODS", "SPIFFE ID", "CHAIN", "LEFT", "RESULT")
_NAMED = 3


def table(report: Report, width: int = 0, *, warnings: bool = False) -> str:
    """One line a workload, the reasons under it where it is not proven, and the sum.

    Where the lines are longer than a terminal's `width` (0: any will do), SPIFFE IDs leave their trust domain out.
    """
    rows = [_row(report, workload) for workload in report.workloads]
    lines = list(aligned([_HEADER, *rows]))
    if width and max(map(len, lines)) > width:
        prefix = f"spiffe://{report.trust_domain}"
        header = tuple(f"ID IN {plain(prefix)}" if cell == "SPIFFE ID" else cell for cell in _HEADER)
        lines = list(aligned([header, *(tuple(cell.removeprefix(prefix) for cell in row) for row in rows)]))
    why = reasons(judgements(report), warnings=warnings, most=_NAMED)
    return "\n".join([*lines, *why, *ignored_lines(report, _NAMED), *_unseen(report), "", summary(report)])


def summary(report: Report) -> str:
    """The sum in one line a root, one of pods, and one each of places and peers where there are any."""
    roots = [
        f"root {plain(short_name(root))}  sha256 {root.sha256}  {lasting(root.not_after, report.at)}"
        for root in report.roots
    ]
    return "\n".join([*roots, *totals(report)])


def short(report: Report) -> str:
    """The sum, and how much was not looked at."""
    return "\n".join([summary(report), *(line.strip() for line in _unseen(report))])


def totals(report: Report) -> Iterator[str]:
    """How many of what were looked at are proven."""
    counts = states(report.pods)
    ignored = f", {counts['ignored']} ignored" if counts["ignored"] else ""
    proven = f"{counts['proven']} of {len(report.pods)} pods proven"
    yield f"{proven}, {counts['broken']} broken, {counts['unknown']} unknown{ignored}"
    if report.places:
        yield _total(report.places, "places proven")
    if report.peers:
        yield _total(report.peers, "pairs of peers can verify each other")


def _total(verdicts: Sequence[Judgement], what: str) -> str:
    counts = states(verdicts)
    others = [f"{counts[state]} {state}" for state in WORST_FIRST if counts[state] and state != "proven"]
    return ", ".join([f"{counts['proven']} of {len(verdicts)} {what}", *others])


def _row(report: Report, verdict: WorkloadVerdict) -> tuple[str, ...]:
    state = worst(verdict.pods)
    shown = next(pod for pod in verdict.pods if state_of(pod) == state)
    ends = [pod.expires for pod in verdict.pods if pod.expires]
    return (
        verdict.workload.namespace,
        verdict.workload.name,
        f"{verdict.proven}/{len(verdict.pods)}",
        shown.spiffe_id or "-",
        chain(shown.path, report.roots),
        left(min(ends), report.at) if ends else "-",
        " ".join([state, *failing_codes(verdict.pods)]),
    )


def failing_codes(verdicts: Sequence[PodVerdict]) -> list[str]:
    """The codes of what is not merely warned of, each once."""
    findings: Iterator[Finding] = (finding for verdict in verdicts for finding in counting(verdict))
    return sorted({finding.code for finding in findings if finding.severity != "warn"})


def _unseen(report: Report) -> Iterator[str]:
    if report.unseen:
        things = "1 thing was" if len(report.unseen) == 1 else f"{len(report.unseen)} things were"
        yield f"  {things} not looked at; -o wide lists each with what it needs"
