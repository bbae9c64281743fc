"""The verdict on a file as text and as a document: the same words as for a pod."""

import json
from collections.abc import Iterator

from meshpki.cli.verdicts.document import certificate, finding, in_yaml
from meshpki.cli.verdicts.reasons import finding_lines
from meshpki.cli.verdicts.words import aligned, left, moment, plain, short_name
from meshpki.pki.certificate import Certificate
from meshpki.settings.model import API_VERSION
from meshpki.verify.offline import FileVerdict

KIND = "ChainReport"

_HEADER = ("CERTIFICATE", "NAME", "SERIAL", "SHA256", "LEFT")


def file_line(verdict: FileVerdict) -> str:
    """The verdict in one line: what was judged, when, and by which rules."""
    expected = verdict.expected
    rules = f"SPIFFE's rules in {expected.trust_domain}" if expected.trust_domain else "the rules of RFC 5280 alone"
    return plain(f"{verdict.file}: {verdict.result} at {moment(expected.at)} by {rules}")


def file_table(verdict: FileVerdict, *, warnings: bool) -> str:
    """A line a certificate as far as the path was followed, every reason why it is not proven, and the verdict."""
    rows = [_row(verdict, position, one) for position, one in enumerate(verdict.path)]
    lines = list(aligned([_HEADER, *rows])) if rows else []
    return "\n".join([*lines, *_reasons(verdict, warnings=warnings), file_line(verdict)])


def file_json(verdict: FileVerdict) -> str:
    """The verdict as JSON, nothing but ASCII."""
    return json.dumps(_document(verdict), indent=2)


def file_yaml(verdict: FileVerdict) -> str:
    """The same content in YAML."""
    return in_yaml(_document(verdict))


def _row(verdict: FileVerdict, position: int, one: Certificate) -> tuple[str, ...]:
    is_anchor = one in verdict.expected.anchors
    role = "anchor" if is_anchor else ("CA" if position else "leaf")
    name = ", ".join(one.uris) if position == 0 and one.uris else short_name(one)
    return (role, name, f"{one.serial:x}", one.sha256[:16], left(one.not_after, verdict.expected.at))


def _reasons(verdict: FileVerdict, *, warnings: bool) -> Iterator[str]:
    for one in verdict.findings:
        if warnings or one.severity != "warn":
            yield from finding_lines(one)


def _document(verdict: FileVerdict) -> dict[str, object]:
    expected = verdict.expected
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": moment(expected.at),
        "file": verdict.file,
        "rules": "spiffe" if expected.trust_domain else "path",
        "trustDomain": expected.trust_domain,
        "maxDepth": expected.max_depth,
        "usages": sorted(expected.usages),
        "anchors": [certificate(one) for one in expected.anchors],
        "result": verdict.result,
        "expires": moment(verdict.expires) if verdict.expires else None,
        "path": [certificate(one) for one in verdict.path],
        "bundle": list(verdict.bundle),
        "findings": [finding(one) for one in verdict.findings],
    }
