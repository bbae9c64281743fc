"""The report as JUnit XML, the form in which CI systems take tests: a suite a namespace, a case a pod and a place."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from meshpki.cli.verdicts.reasons import finding_lines
from meshpki.cli.verdicts.words import moment, plain
from meshpki.errors import MeshpkiError
from meshpki.verify.assessment import Assessment, Judgement, counting, judgements, state_of, where_of
from meshpki.verify.peers import PeerVerdict
from meshpki.verify.places import PlaceVerdict, Unseen
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict

_NAME = "meshpki.verify"
# what lies in no namespace, and pairs of peers
_CLUSTER = "cluster"


def as_junit(assessment: Assessment, properties: Mapping[str, str], error: Exception | None = None) -> str:
    """Every pod, place and pair of peers as a case; an error that ended the command is a failed case of its own.

    A case fails where it alone makes the exit code 5; unknown is skipped, unless --strict fails on it, as is what
    is ignored, and what was not looked at.
    """
    suites = defaultdict[str, list[Element]](list)
    for verdict in judgements(assessment.report):
        suites[_namespace(verdict)].append(_case(assessment, verdict))
    for one in assessment.report.unseen:
        suites[_CLUSTER].append(_not_seen(one))
    if error is not None:
        suites[_CLUSTER].append(_aborted(error))
    root = {"root": " ".join(one.sha256 for one in assessment.report.roots), "scope": _scope(assessment.report)}
    return _written(suites, {**properties, **root}, assessment.report.at)


def _scope(report: Report) -> str:
    return f"pods {report.scope.words}" if report.scope.words else "every pod"


def aborted(error: BaseException, properties: Mapping[str, str], at: datetime) -> str:
    """A whole file with one failed case, for a command without a report: CI shall not take silence for success."""
    return _written({_CLUSTER: [_aborted(error)]}, properties, at)


def _written(suites: Mapping[str, list[Element]], properties: Mapping[str, str], at: datetime) -> str:
    every = _sums(case for cases in suites.values() for case in cases)
    top = Element("testsuites", {"name": "meshpki verify", **every})
    for name, cases in sorted(suites.items()):
        about = {"name": plain(name), "timestamp": moment(at)[:-1], "time": "0", **_sums(cases)}
        suite = SubElement(top, "testsuite", about)
        held = SubElement(suite, "properties")
        for key, value in properties.items():
            SubElement(held, "property", name=key, value=plain(value))
        suite.extend(cases)
    indent(top)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(top, encoding="unicode")}\n'


def _sums(cases: Iterable[Element]) -> dict[str, str]:
    kinds = [part.tag for case in cases for part in (case if len(case) else (case,))]
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    return {"tests": str(len(kinds)), **{name: str(kinds.count(tag)) for name, tag in counts.items()}}


def _case(assessment: Assessment, verdict: Judgement) -> Element:
    namespace, name = _namespace(verdict), where_of(verdict)
    case = Element("testcase", classname=plain(f"{_NAME}.{namespace}"), name=plain(name), time="0")
    if assessment.fails(verdict):
        codes = " ".join(dict.fromkeys(finding.code for finding in counting(verdict))) or state_of(verdict)
        failure = SubElement(case, "failure", message=plain(_message(verdict)), type=codes)
        failure.text = "\n".join(_lines(verdict))
    elif state_of(verdict) != "proven":
        SubElement(case, "skipped", message=plain(_message(verdict)))
    return case


def _not_seen(one: Unseen) -> Element:
    case = Element("testcase", classname=f"{_NAME}.{_CLUSTER}", name=plain(f"not seen: {one.what}"), time="0")
    SubElement(case, "skipped", message=plain(f"it needs {one.needs}"))
    return case


def _message(verdict: Judgement) -> str:
    first = next((one for one in counting(verdict) if one.severity != "warn"), None)
    told = f"{first.code} expected {first.expected}; found {first.found}" if first else _reason(verdict)
    return f"{state_of(verdict)}: {told}" if told else state_of(verdict)


def _lines(verdict: Judgement) -> Iterator[str]:
    yield plain(f"{where_of(verdict)}: {_message(verdict)}")
    for finding in counting(verdict):
        yield from finding_lines(finding)


def _reason(verdict: Judgement) -> str:
    return "" if isinstance(verdict, PeerVerdict) else verdict.reason


def _namespace(verdict: Judgement) -> str:
    match verdict:
        case PodVerdict(pod=pod):
            return pod.ref.namespace or _CLUSTER
        case PlaceVerdict(place=place):
            return place.ref.namespace or _CLUSTER
        case PeerVerdict():
            return _CLUSTER


def _aborted(error: BaseException) -> Element:
    case = Element("testcase", classname=_NAME, name="verify came to its end", time="0")
    what = str(error) or type(error).__name__
    code = error.code if isinstance(error, MeshpkiError) else type(error).__name__
    told = SubElement(case, "error", message=plain(what), type=code)
    told.text = plain(error.remedy) if isinstance(error, MeshpkiError) else ""
    return case
