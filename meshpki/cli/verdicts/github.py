"""The report for GitHub Actions: workflow commands that annotate the run, and a page for its summary.

Escapes as docs.github.com, "Workflow commands": % and line ends in messages, in properties also : and the comma.
"""

import re
from collections.abc import Iterator, Sequence

from meshpki.cli.verdicts.reasons import in_words
from meshpki.cli.verdicts.table import failing_codes, totals
from meshpki.cli.verdicts.words import lasting, plain, short_name
from meshpki.pki.verdict import Finding
from meshpki.verify.assessment import Assessment, Judgement, counting, judgements, state_of, where_of
from meshpki.verify.peers import PeerVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict

# a step's summary may have 1 MiB, and nobody reads more rows
_ROWS = 500
_MARKED = re.compile(r"[^A-Za-z0-9 ,/-]")


def annotations(assessment: Assessment) -> str:
    """A workflow command for each finding, each verdict without one that is not proven, each thing unseen; the sum."""
    report = assessment.report
    lines = [line for verdict in judgements(report) for line in _of(assessment, verdict)]
    unseen = (_command("notice", "not seen", f"{one.what}; it needs {one.needs}") for one in report.unseen)
    return "\n".join([*lines, *unseen, *(_command("notice", "meshpki verify", total) for total in totals(report))])


def summary_page(report: Report) -> str:
    """The workloads as a Markdown table, what is not proven as a list, and the sum."""
    rows = [
        (one.workload.namespace, one.workload.name, f"{one.proven}/{len(one.pods)}", _result(one.pods))
        for one in report.workloads
    ]
    told = [_bullet(verdict) for verdict in judgements(report) if state_of(verdict) in ("broken", "unknown")]
    roots = [
        f"root {short_name(one)}, sha256 {one.sha256}, {lasting(one.not_after, report.at)}" for one in report.roots
    ]
    parts = [
        "### meshpki verify\n",
        *(f"{_text(total)}  " for total in (*totals(report), *roots)),
        "\n| namespace | workload | pods proven | result |\n|---|---|---|---|",
        *("| " + " | ".join(map(_text, row)) + " |" for row in rows[:_ROWS]),
        *_more(len(rows), "workloads"),
        "",
        *told[:_ROWS],
        *_more(len(told), "results"),
    ]
    return "\n".join(parts) + "\n"


def _of(assessment: Assessment, verdict: Judgement) -> Iterator[str]:
    where, fails = where_of(verdict), assessment.fails(verdict)
    for finding in counting(verdict):
        yield _command(
            _level(finding, fails=fails), f"{finding.code} {where}", f"{in_words(finding)}. {finding.remedy}"
        )
    if state_of(verdict) == "unknown" and not counting(verdict):
        reason = "" if isinstance(verdict, PeerVerdict) else verdict.reason
        yield _command("error" if fails else "warning", where, f"unknown: {reason}")


def _level(finding: Finding, *, fails: bool) -> str:
    return "error" if finding.severity == "fail" or (fails and finding.severity == "unknown") else "warning"


def _command(level: str, title: str, message: str) -> str:
    data = plain(message).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    name = plain(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{data}"


def _result(pods: Sequence[PodVerdict]) -> str:
    return " ".join([*sorted({state_of(pod) for pod in pods}), *failing_codes(pods)])


def _bullet(verdict: Judgement) -> str:
    first = next((one for one in counting(verdict) if one.severity != "warn"), None)
    reason = "" if isinstance(verdict, PeerVerdict) else verdict.reason
    told = f"{first.code} {in_words(first)}" if first else reason
    return f"- **{state_of(verdict)}** {_text(where_of(verdict))}: {_text(told)}"


def _more(count: int, what: str) -> Iterator[str]:
    if count > _ROWS:
        yield f"\n{count - _ROWS} more {what} are not shown here."


def _text(text: str) -> str:
    """Text that Markdown and HTML take for nothing but text: whatever could mean something is written by number."""
    return _MARKED.sub(lambda found: f"&#{ord(found.group())};", plain(text))
