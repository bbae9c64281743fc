"""The report as a versioned document, in JSON and YAML; its schema lies in the package."""

import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files

from meshpki.cli.verdicts.words import moment
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding
from meshpki.settings.model import API_VERSION
from meshpki.verify.assessment import State, counting, let_be, state_of, states, worst
from meshpki.verify.peers import PeerGroup, PeerVerdict
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict

KIND = "VerifyReport"


def as_json(report: Report) -> str:
    """The whole report; times in RFC 3339 UTC, fingerprints in lower-case hex, nothing but ASCII."""
    return json.dumps(document(report), indent=2)


def as_yaml(report: Report) -> str:
    """The same content in YAML 1.1, nothing but ASCII."""
    return in_yaml(document(report))


def in_yaml(content: object) -> str:
    """Plain data as YAML, its keys in their order."""
    import yaml

    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=False, width=120)


def schema() -> str:
    """The JSON Schema (2020-12) that every document of verify keeps."""
    return files("meshpki").joinpath("schemas", "verify-report.json").read_text(encoding="utf-8")


def document(report: Report) -> dict[str, object]:
    """The report as plain data."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": moment(report.at),
        "trustDomain": report.trust_domain,
        "scope": {
            "namespace": report.scope.namespace,
            "selector": report.scope.selector,
            "workloads": list(report.scope.names),
        },
        "roots": [certificate(root) for root in report.roots],
        "summary": {
            "pods": len(report.pods),
            **_counts(states(report.pods)),
            "places": {"total": len(report.places), **_counts(states(report.places))},
            "peers": {"total": len(report.peers), **_counts(states(report.peers))},
        },
        "workloads": [_workload(workload) for workload in report.workloads],
        "places": [_place(place) for place in report.places],
        "peers": _peers(report.peers),
        "unseen": [{"what": one.what, "needs": one.needs} for one in report.unseen],
        "ignored": [{"where": where, "by": one.by, "finding": finding(one)} for where, one in let_be(report)],
    }


def certificate(one: Certificate) -> dict[str, object]:
    """A certificate's names, dates and key."""
    return {
        "subject": one.subject,
        "issuer": one.issuer,
        "serial": f"{one.serial:x}",
        "sha256": one.sha256,
        "notBefore": moment(one.not_before),
        "notAfter": moment(one.not_after),
        "key": one.key,
    }


def finding(one: Finding) -> dict[str, object]:
    """A finding whole; rule 0 is a demand of the command line."""
    about = one.certificate
    return {
        "code": one.code,
        "severity": one.severity,
        "rule": one.rule,
        "expected": one.expected,
        "found": one.found,
        "remedy": one.remedy,
        "certificate": {"subject": about.subject, "serial": about.serial, "sha256": about.sha256} if about else None,
    }


def _counts(counts: Counter[State]) -> dict[str, int]:
    states_in_order: tuple[State, ...] = ("proven", "broken", "unknown", "ignored")
    return {state: counts[state] for state in states_in_order}


def _workload(verdict: WorkloadVerdict) -> dict[str, object]:
    return {
        "namespace": verdict.workload.namespace,
        "kind": verdict.workload.kind,
        "name": verdict.workload.name,
        "result": worst(verdict.pods),
        "pods": [_pod(pod) for pod in verdict.pods],
    }


def _pod(verdict: PodVerdict) -> dict[str, object]:
    return {
        "name": verdict.pod.ref.name,
        "node": verdict.pod.node,
        "serviceAccount": verdict.pod.service_account,
        "result": state_of(verdict),
        "reason": verdict.reason,
        "spiffeID": verdict.spiffe_id,
        "expires": moment(verdict.expires) if verdict.expires else None,
        "path": [certificate(one) for one in verdict.path],
        "bundle": list(verdict.bundle),
        "findings": [finding(one) for one in counting(verdict)],
    }


def _place(verdict: PlaceVerdict) -> dict[str, object]:
    ref = verdict.place.ref
    return {
        "kind": str(verdict.place.kind),
        "object": {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "detail": verdict.place.detail,
        "result": state_of(verdict),
        "reason": verdict.reason,
        "expires": moment(verdict.expires) if verdict.expires else None,
        "path": [certificate(one) for one in verdict.path],
        "bundle": list(verdict.bundle),
        "findings": [finding(one) for one in counting(verdict)],
    }


def _peers(peers: Sequence[PeerVerdict]) -> dict[str, object]:
    """Each group once, and the pairs by the groups' places in that list: a group can be ten thousand pods."""
    known = list(dict.fromkeys(group for pair in peers for group in (pair.presenter, pair.verifier)))
    number = {group: index for index, group in enumerate(known)}
    pairs = [
        {
            "presenter": number[pair.presenter],
            "verifier": number[pair.verifier],
            "result": state_of(pair),
            "findings": [finding(one) for one in counting(pair)],
        }
        for pair in peers
    ]
    return {"groups": [_group(group) for group in known], "pairs": pairs}


def _group(group: PeerGroup) -> dict[str, object]:
    pods = [{"namespace": pod.namespace, "name": pod.name} for pod in group.pods]
    return {"cas": list(group.cas), "anchors": sorted(group.anchors), "pods": pods}
