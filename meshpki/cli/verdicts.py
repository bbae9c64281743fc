"""The report of verify as text and as JSON: pure functions, used by `verify` and at the end of `up`.

Names in certificates and messages of the cluster are data: characters that steer a terminal are shown by number.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding
from meshpki.verify.report import PodVerdict, Report, WorkloadVerdict

API_VERSION = "meshpki.dev/v1alpha1"
KIND = "VerifyReport"

_HEADER = ("NAMESPACE", "WORKLOAD", "PODS", "SPIFFE ID", "CHAIN", "LEFT", "RESULT")
_WIDE_HEADER = ("NAMESPACE", "POD", "NODE", "SPIFFE ID", "CHAIN", "SERIAL", "EXPIRES", "RESULT")
_COMMON_NAME = re.compile(r"(?:^|,)CN=((?:[^,\\]|\\.)*)")
_DAYS_FROM = timedelta(days=3)
_HOURS_FROM = timedelta(hours=3)


def table(report: Report, width: int = 0) -> str:
    """One line a workload, the reasons under it where it is not proven, and the sum.

    Where the lines are longer than a terminal's `width` (0: any will do), SPIFFE IDs leave their trust domain out.
    """
    rows = [_row(report, workload) for workload in report.workloads]
    lines = list(_aligned([_HEADER, *rows]))
    if width and max(map(len, lines)) > width:
        prefix = f"spiffe://{report.trust_domain}"
        header = tuple(f"ID IN {plain(prefix)}" if cell == "SPIFFE ID" else cell for cell in _HEADER)
        lines = list(_aligned([header, *(tuple(cell.removeprefix(prefix) for cell in row) for row in rows)]))
    return "\n".join([*lines, *_reasons(report, warnings=False), "", summary(report)])


def wide(report: Report) -> str:
    """One line a pod, with node, serial number and end, and every finding, warnings too."""
    rows = [_wide_row(report, pod) for pod in report.pods]
    return "\n".join([*_aligned([_WIDE_HEADER, *rows]), *_reasons(report, warnings=True), "", summary(report)])


def summary(report: Report) -> str:
    """The sum in one line a root and one of counts."""
    roots = [
        f"root {plain(short_name(root))}  sha256 {root.sha256}  {left(root.not_after, report.at)} left"
        for root in report.roots
    ]
    counts = report.counts
    total = f"{counts['proven']} of {len(report.pods)} pods proven, {counts['broken']} broken"
    return "\n".join([*roots, f"{total}, {counts['unknown']} unknown"])


def as_json(report: Report) -> str:
    """The whole report, versioned; times in RFC 3339 UTC, fingerprints in lower-case hex."""
    counts = report.counts
    content = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": _time(report.at),
        "trustDomain": report.trust_domain,
        "roots": [_certificate(root) for root in report.roots],
        "summary": {
            "pods": len(report.pods),
            "proven": counts["proven"],
            "broken": counts["broken"],
            "unknown": counts["unknown"],
        },
        "workloads": [_workload(workload) for workload in report.workloads],
    }
    return json.dumps(content, indent=2)


def plain(text: str) -> str:
    """Text with every control, format and bidi character written as its code point."""
    return "".join(
        f"\\u{{{ord(char):x}}}" if unicodedata.category(char)[0] == "C" or char in "\u2028\u2029" else char
        for char in text
    )


def left(until: datetime, at: datetime) -> str:
    """The time left in one unit, as kubectl writes ages; `expired` where there is none."""
    remaining = until - at
    if remaining < timedelta():
        return "expired"
    if remaining >= _DAYS_FROM:
        return f"{remaining // timedelta(days=1)}d"
    if remaining >= _HOURS_FROM:
        return f"{remaining // timedelta(hours=1)}h"
    return f"{remaining // timedelta(minutes=1)}m"


def short_name(certificate: Certificate) -> str:
    """What people call a certificate: its common name, or `SPIRE CA` for SPIRE's, which has none."""
    found = _COMMON_NAME.search(certificate.subject)
    if found:
        return found.group(1)
    if certificate.is_ca and any(uri.startswith("spiffe://") for uri in certificate.uris):
        return "SPIRE CA"
    return certificate.subject or f"sha256 {certificate.sha256[:8]}"


def _row(report: Report, verdict: WorkloadVerdict) -> tuple[str, ...]:
    newest = next((pod for pod in verdict.pods if pod.result == verdict.result), verdict.pods[0])
    ends = [pod.expires for pod in verdict.pods if pod.expires]
    codes = sorted({finding.code for pod in verdict.pods for finding in pod.findings if finding.severity != "warn"})
    return (
        verdict.workload.namespace,
        verdict.workload.name,
        f"{verdict.proven}/{len(verdict.pods)}",
        newest.spiffe_id or "-",
        _chain(report, newest),
        left(min(ends), report.at) if ends else "-",
        " ".join([verdict.result, *codes]),
    )


def _wide_row(report: Report, pod: PodVerdict) -> tuple[str, ...]:
    return (
        pod.pod.ref.namespace,
        pod.pod.ref.name,
        pod.pod.node or "-",
        pod.spiffe_id or "-",
        _chain(report, pod),
        f"{pod.path[0].serial:x}" if pod.path else "-",
        _time(pod.expires) if pod.expires else "-",
        pod.result,
    )


def _chain(report: Report, pod: PodVerdict) -> str:
    if not pod.path:
        return "-"
    names = ["leaf", *(short_name(certificate) for certificate in pod.path[1:])]
    return " > ".join(names if pod.path[-1] in report.roots else [*names, "?"])


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    shown = [tuple(plain(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _reasons(report: Report, *, warnings: bool) -> Iterator[str]:
    for pod in report.pods:
        findings = [finding for finding in pod.findings if warnings or finding.severity != "warn"]
        if not findings and pod.result == "proven":
            continue
        yield plain(f"  pod {pod.pod.ref.namespace}/{pod.pod.ref.name}: {pod.result}") + _because(pod, findings)
        for finding in findings:
            yield from _finding_lines(finding)


def _because(pod: PodVerdict, findings: Sequence[Finding]) -> str:
    return "" if findings or not pod.reason else plain(f": {pod.reason}")


def _finding_lines(finding: Finding) -> Iterator[str]:
    about = f"{finding.certificate.subject or 'serial ' + finding.certificate.serial}: " if finding.certificate else ""
    yield plain(f"    {finding.code} {finding.severity}  {about}expected {finding.expected}; found {finding.found}")
    yield plain(f"      {finding.remedy}; see meshpki explain {finding.code}")


def _workload(verdict: WorkloadVerdict) -> dict[str, object]:
    return {
        "namespace": verdict.workload.namespace,
        "kind": verdict.workload.kind,
        "name": verdict.workload.name,
        "result": verdict.result,
        "pods": [_pod(pod) for pod in verdict.pods],
    }


def _pod(verdict: PodVerdict) -> dict[str, object]:
    return {
        "name": verdict.pod.ref.name,
        "node": verdict.pod.node,
        "serviceAccount": verdict.pod.service_account,
        "result": verdict.result,
        "reason": verdict.reason,
        "spiffeID": verdict.spiffe_id,
        "expires": _time(verdict.expires) if verdict.expires else None,
        "path": [_certificate(certificate) for certificate in verdict.path],
        "findings": [_finding(finding) for finding in verdict.findings],
    }


def _certificate(certificate: Certificate) -> dict[str, object]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": f"{certificate.serial:x}",
        "sha256": certificate.sha256,
        "notBefore": _time(certificate.not_before),
        "notAfter": _time(certificate.not_after),
        "key": certificate.key,
    }


def _finding(finding: Finding) -> dict[str, object]:
    about = finding.certificate
    return {
        "code": finding.code,
        "severity": finding.severity,
        "rule": finding.rule,
        "expected": finding.expected,
        "found": finding.found,
        "remedy": finding.remedy,
        "certificate": {"subject": about.subject, "serial": about.serial, "sha256": about.sha256} if about else None,
    }


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
