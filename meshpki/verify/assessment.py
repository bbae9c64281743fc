"""A report under a user's demands: what of it counts, and what is let be. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeVar

from meshpki.cluster.manifest import Ref
from meshpki.pki.verdict import Finding, Result
from meshpki.verify.demands import Demands, Ignore, MinValidity, scope_name, short_lived
from meshpki.verify.peers import PeerVerdict
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict
from meshpki.words import first_of

State = Literal["proven", "broken", "unknown", "ignored"]
WORST_FIRST: tuple[State, ...] = ("broken", "unknown", "ignored", "proven")
Judgement = PodVerdict | PlaceVerdict | PeerVerdict

_V = TypeVar("_V", PodVerdict, PlaceVerdict, PeerVerdict)
_Change = Callable[[Judgement], tuple[Result, tuple[Finding, ...]]]


@dataclass(frozen=True)
class LetBe(Finding):
    """A finding that a demand lets be; it stays where it was found, and counts for nothing."""

    by: str = ""


@dataclass(frozen=True)
class Assessment:
    """A report in which what is let be is marked so; `unused` are ignores that met nothing."""

    report: Report
    demands: Demands = field(default_factory=Demands)
    unused: tuple[Ignore, ...] = ()

    @property
    def exit_code(self) -> int:
        """As Report.exit_code under these demands; what is ignored counts neither as broken nor as a warning."""
        counted = _each(self.report, lambda verdict: (_counted(state_of(verdict)), counting(verdict)))
        return counted.exit_code(strict=self.demands.strict, fail_on=self.demands.fail_on)

    def fails(self, verdict: Judgement) -> bool:
        """Whether this verdict alone makes the exit code 5."""
        state = state_of(verdict)
        warned = self.demands.fail_on == "warn" and any(finding.severity == "warn" for finding in counting(verdict))
        return state == "broken" or warned or (self.demands.strict and state == "unknown")


def assess(report: Report, demands: Demands) -> Assessment:
    """The report with a finding for what has too little time left (MPK-346), and with the ignored ones marked."""
    least = demands.min_validity
    lasting = _each(report, lambda verdict: _lasting(verdict, least, report.at)) if least else report
    marked = _each(lasting, lambda verdict: (verdict.result, _marked(verdict, demands.ignores)))
    used = {found.by for _, found in let_be(marked)}
    return Assessment(marked, demands, tuple(one for one in demands.ignores if str(one) not in used))


def counting(verdict: Judgement) -> tuple[Finding, ...]:
    """The findings of a verdict that are not let be."""
    return tuple(finding for finding in verdict.findings if not isinstance(finding, LetBe))


def let_be(report: Report) -> Iterator[tuple[str, LetBe]]:
    """Every finding that is let be, with where it was found."""
    for verdict in judgements(report):
        yield from ((where_of(verdict), finding) for finding in verdict.findings if isinstance(finding, LetBe))


def judgements(report: Report) -> tuple[Judgement, ...]:
    """Every verdict of a report: pods, places, pairs of peers."""
    return (*report.pods, *report.places, *report.peers)


def state_of(verdict: Judgement) -> State:
    """The result of a verdict, `ignored` where it is broken and every finding that breaks it is let be."""
    left = counting(verdict)
    severities = {finding.severity for finding in left}
    if verdict.result != "broken" or "fail" in severities or len(left) == len(verdict.findings):
        return verdict.result
    return "unknown" if "unknown" in severities else "ignored"


def worst(verdicts: Iterable[Judgement]) -> State:
    """The worst state of some; proven without any."""
    found = set(map(state_of, verdicts))
    return next((state for state in WORST_FIRST if state in found), "proven")


def states(verdicts: Iterable[Judgement]) -> Counter[State]:
    """How many there are of each state."""
    return Counter(map(state_of, verdicts))


def where_of(verdict: Judgement) -> str:
    """What a verdict is about, in words: a pod, a place, a pair of groups of pods."""
    match verdict:
        case PodVerdict(pod=pod):
            return f"pod {scope_name(pod.ref)}"
        case PlaceVerdict(place=place):
            return f"{place.kind} {place}"
        case PeerVerdict(presenter=presenter, verifier=verifier):
            return f"peers {_group(presenter.pods)} to {_group(verifier.pods)}"


def _each(report: Report, change: _Change) -> Report:
    """The report with every verdict's result and findings changed."""

    def changed(verdict: _V) -> _V:
        result, findings = change(verdict)
        same = (result, findings) == (verdict.result, verdict.findings)
        return verdict if same else replace(verdict, result=result, findings=findings)

    workloads = (WorkloadVerdict(one.workload, tuple(map(changed, one.pods))) for one in report.workloads)
    places, peers = map(changed, report.places), map(changed, report.peers)
    return replace(report, workloads=tuple(workloads), places=tuple(places), peers=tuple(peers))


def _lasting(verdict: Judgement, least: MinValidity, at: datetime) -> tuple[Result, tuple[Finding, ...]]:
    # what is broken, too: its findings may be let be
    if isinstance(verdict, PeerVerdict) or verdict.result == "unknown":
        return verdict.result, verdict.findings
    found = tuple(short_lived(verdict.path, least, at))
    return ("broken" if found else verdict.result), (*verdict.findings, *found)


def _marked(verdict: Judgement, ignores: Sequence[Ignore]) -> tuple[Finding, ...]:
    return tuple(_mark(finding, verdict, ignores) for finding in verdict.findings)


def _mark(finding: Finding, verdict: Judgement, ignores: Sequence[Ignore]) -> Finding:
    met = (one for one in ignores if any(one.covers(finding, about) for about in _about(verdict)))
    by = next(met, None)
    return finding if by is None else LetBe(**vars(finding), by=str(by))


def _about(verdict: Judgement) -> tuple[Sequence[Ref], ...]:
    """The objects by which a verdict can be meant; a pair of groups by all the pods of either side."""
    match verdict:
        case PodVerdict(pod=pod):
            return ((pod.ref,),)
        case PlaceVerdict(place=place):
            return ((place.ref,),)
        case PeerVerdict(presenter=presenter, verifier=verifier):
            return (presenter.pods, verifier.pods)


def _counted(state: State) -> Result:
    return "proven" if state == "ignored" else state


def _group(pods: Sequence[Ref]) -> str:
    if not pods:
        return "everybody after the next stage"
    return first_of([*map(scope_name, pods)], 1)
