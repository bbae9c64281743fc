"""The page's tables: every workload, the places besides, and what was not judged or not seen."""

from collections.abc import Iterator

from meshpki.drawing.element import Content, element
from meshpki.drawing.mark import Mark, of_result, rank, worst
from meshpki.drawing.page_table import Cell, identity, marked, name, short, table
from meshpki.drawing.words import PLACES, counted, left, short_name
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict
from meshpki.words import first_of

_WORKLOADS = ("Workload", "Namespace", "Pods", "SPIFFE ID", "Chain", "Left", "Verdict")
_PLACES = ("Place", "Object", "Seen", "Left", "Verdict")
_REASONS = 100


def workloads(report: Report) -> list[Content]:
    """A row a workload, those that are not proven first."""
    if not report.workloads:
        return [element("p", "There is no pod of the mesh here.")]
    caption = f"{counted(len(report.workloads), 'workload')}, {counted(len(report.pods), 'pod')}"
    ordered = sorted(report.workloads, key=lambda one: -rank(_mark(one)))
    return [table(caption, _WORKLOADS, (_workload(one, report) for one in ordered))]


def places(report: Report) -> list[Content]:
    """A row a place, those that are not proven first, and whether peers verify each other."""
    said: list[Content] = []
    if report.peers:
        proven = sum(1 for pair in report.peers if pair.result == "proven")
        total = counted(len(report.peers), "pair")
        said.append(element("p", f"Peers: {proven:,} of {total} of groups of pods verify each other."))
    if not report.places:
        return [*said, element("p", "Only pods were looked at.")]
    caption = f"{counted(len(report.places), 'place')} where trust is served or kept"
    return [*said, table(caption, _PLACES, (_place(alike, report) for alike in _alike(report)))]


def unseen(report: Report) -> list[Content]:
    """What could not be judged, with the reason, and what verify did not look at, with what it needs."""
    said = [*_unjudged(report), *_uncompared(report), *_not_looked_at(report)]
    return said or [element("p", "Everything that verify looks at was seen and judged.")]


def _unjudged(report: Report) -> Iterator[Content]:
    verdicts: tuple[PodVerdict | PlaceVerdict, ...] = (*report.pods, *report.places)
    unknown = [(one.name, one.reason) for one in verdicts if one.result == "unknown"]
    if unknown:
        more = f", of which {_REASONS} are shown" if len(unknown) > _REASONS else ""
        caption = f"{counted(len(unknown), 'pod or place', 'pods and places')} that could not be judged{more}"
        yield table(caption, ("What", "Why"), ((name(whom), name(reason)) for whom, reason in unknown[:_REASONS]))


def _uncompared(report: Report) -> Iterator[Content]:
    pairs = sum(1 for pair in report.peers if pair.result == "unknown")
    if pairs:
        yield element("p", f"{counted(pairs, 'pair')} of groups of pods could not be compared.")


def _not_looked_at(report: Report) -> Iterator[Content]:
    if report.unseen:
        rows = ((name(one.what), name(one.needs)) for one in report.unseen)
        yield table("Not looked at", ("What", "It needs"), rows)


def _workload(one: WorkloadVerdict, report: Report) -> Iterator[Cell]:
    shown = max(one.pods, key=lambda pod: rank(of_result(pod.result, pod.findings)))
    ends = [pod.expires for pod in one.pods if pod.expires]
    yield name(one.workload.name)
    yield name(one.workload.namespace)
    yield short(f"{one.proven:,} of {len(one.pods):,}")
    yield identity(shown.spiffe_id)
    yield name(_chain(shown, report))
    yield short(left(min(ends), report.at).removesuffix(" left") if ends else "-")
    yield marked(_mark(one), (finding.code for pod in one.pods for finding in pod.findings))


def _chain(pod: PodVerdict, report: Report) -> str:
    if not pod.path:
        return ""
    names = ["leaf", *(short_name(certificate) for certificate in pod.path[1:])]
    return " > ".join(names if pod.path[-1] in report.roots else [*names, "no pinned root"])


def _alike(report: Report) -> list[list[PlaceVerdict]]:
    """The places, the worst first; proven ones of a kind that show the same are together."""
    groups: dict[tuple[str, ...], list[PlaceVerdict]] = {}
    for number, one in enumerate(report.places):
        alone = "" if one.result == "proven" and not one.findings else str(number)
        groups.setdefault((alone, one.place.kind, _shown(one, report)), []).append(one)
    return sorted(groups.values(), key=lambda alike: -rank(of_result(alike[0].result, alike[0].findings)))


def _place(alike: list[PlaceVerdict], report: Report) -> Iterator[Cell]:
    first = alike[0]
    ends = [one.expires for one in alike if one.expires]
    yield name(PLACES[first.place.kind])
    yield name(first_of([one.name for one in alike], 1))
    yield name(_shown(first, report))
    yield short(left(min(ends), report.at).removesuffix(" left") if ends else "-")
    yield marked(of_result(first.result, first.findings), (finding.code for finding in first.findings))


def _shown(one: PlaceVerdict, report: Report) -> str:
    """Why a place is as it is, or the chain that is served there, or the anchors that are kept."""
    known = {root.sha256: short_name(root) for root in report.roots}
    served = " > ".join(short_name(certificate) if certificate.is_ca else "leaf" for certificate in one.path)
    kept = ", ".join(known.get(sha256, f"a stranger, sha256 {sha256}") for sha256 in one.bundle)
    return one.reason or served or kept


def _mark(one: WorkloadVerdict) -> Mark:
    return worst(of_result(pod.result, pod.findings) for pod in one.pods)
