"""Who presents a chain, and how many of them share a box: a workload while there are few, else a namespace."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from meshpki.drawing.mark import Mark, of_result, rank, worst
from meshpki.drawing.node import Kind, Node
from meshpki.drawing.words import PLACES, counted, left
from meshpki.pki.certificate import Certificate
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.pods import Workload
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict
from meshpki.words import first_of

Key = TypeVar("Key", bound=Hashable)
_NAMED = 3


@dataclass(frozen=True)
class Holder:
    """A pod or a port and the chain it presents, leaf first.

    `serves` is a port of a place, whose kind `owner` names; `is_authority` means that the chain is a CA's own.
    """

    owner: Workload
    path: tuple[Certificate, ...]
    mark: Mark
    codes: tuple[str, ...]
    expires: datetime | None
    spiffe_id: str = ""
    detail: str = ""
    reason: str = ""
    serves: bool = False
    is_authority: bool = False

    @property
    def line(self) -> tuple[Certificate, ...]:
        """The CAs from the anchor downwards."""
        return self.path[::-1] if self.is_authority else self.path[:0:-1]


def holders(report: Report) -> tuple[Holder, ...]:
    """Every pod, and every place that presents a chain."""
    pods = [_pod(workload, pod) for workload in report.workloads for pod in workload.pods]
    return (*pods, *(_place(place) for place in report.places if place.path))


def nodes(members: Sequence[Holder], report: Report, most: int) -> tuple[Node, ...]:
    """One box for each owner, or each namespace where there are more than `most`; what is still too much is summed."""
    serving = _by((one for one in members if one.serves), lambda holder: holder.owner.name)
    pods = [one for one in members if not one.serves]
    return (*_workloads(pods, report, most), *(_serving(name, found, report) for name, found in serving.items()))


def _workloads(members: Sequence[Holder], report: Report, most: int) -> tuple[Node, ...]:
    by_owner = _by(members, lambda holder: holder.owner)
    if len(by_owner) <= most:
        boxes = (_owner(one, found, report) for one, found in by_owner.items())
        return tuple(sorted(boxes, key=lambda node: node.importance))
    by_namespace = _by(members, lambda holder: holder.owner.namespace)
    ranked = sorted(by_namespace.items(), key=lambda item: (-rank(worst(_marks(item[1]))), -len(item[1]), item[0]))
    kept, rest = ranked[:most], [holder for _, found in ranked[most:] for holder in found]
    summed = [_namespace(f"{counted(len(ranked) - most, 'namespace')} more", rest, report)] if rest else []
    return (*(_namespace(name, found, report) for name, found in kept), *summed)


def _pod(workload: WorkloadVerdict, pod: PodVerdict) -> Holder:
    return Holder(
        workload.workload,
        pod.path,
        of_result(pod.result, pod.findings),
        tuple(finding.code for finding in pod.findings),
        pod.expires,
        pod.spiffe_id,
        reason=pod.reason,
    )


def _place(place: PlaceVerdict) -> Holder:
    return Holder(
        Workload("", "", PLACES[place.place.kind]),
        place.path,
        of_result(place.result, place.findings),
        tuple(finding.code for finding in place.findings),
        place.expires,
        detail=place.place.detail,
        serves=True,
        is_authority=place.path[0].is_ca,
    )


def _serving(name: str, members: Sequence[Holder], report: Report) -> Node:
    details = sorted({holder.detail for holder in members if holder.detail})
    lines = (_tally(members, "served chain"), *([", ".join(details)] if details else []), *_ends(members, report))
    return Node(Kind.SERVING, name, lines, worst(_marks(members)), _codes(members))


def _owner(owner: Workload, members: Sequence[Holder], report: Report) -> Node:
    known = sorted({_within(holder.spiffe_id, report) for holder in members if holder.spiffe_id})
    reasons = sorted({holder.reason for holder in members if holder.reason and not holder.path})
    said = [first_of(words, 1) for words in (known, reasons) if words]
    lines = (", ".join((f"{owner.kind} in {owner.namespace}", *_ends(members, report))), _tally(members, "pod"), *said)
    return Node(Kind.WORKLOADS, owner.name, lines, worst(_marks(members)), _codes(members))


def _namespace(name: str, members: Sequence[Holder], report: Report) -> Node:
    bad = sorted({holder.owner.name for holder in members if holder.mark in (Mark.BROKEN, Mark.UNKNOWN)})
    named = [f"not proven: {first_of(bad, _NAMED)}"] if bad else []
    workloads = counted(len({holder.owner for holder in members}), "workload")
    lines = (", ".join((workloads, *_ends(members, report))), _tally(members, "pod"), *named)
    return Node(Kind.WORKLOADS, name, lines, worst(_marks(members)), _codes(members))


def _tally(members: Sequence[Holder], noun: str) -> str:
    counts = Counter(holder.mark for holder in members)
    good = counts[Mark.PROVEN] + counts[Mark.WARNED]
    bad = [f"{counts[mark]:,} {mark}" for mark in (Mark.BROKEN, Mark.UNKNOWN) if counts[mark]]
    return ", ".join([f"{good:,} of {counted(len(members), noun)} proven", *bad])


def _ends(members: Iterable[Holder], report: Report) -> list[str]:
    ends = [holder.expires for holder in members if holder.expires]
    return [left(min(ends), report.at)] if ends else []


def _within(spiffe_id: str, report: Report) -> str:
    """An ID of the mesh's own trust domain by its path alone, so that a foreign one stands out."""
    return spiffe_id.removeprefix(f"spiffe://{report.trust_domain}") or spiffe_id


def _codes(members: Iterable[Holder]) -> tuple[str, ...]:
    return tuple(sorted({code for holder in members for code in holder.codes}))


def _marks(members: Iterable[Holder]) -> list[Mark]:
    return [holder.mark for holder in members]


def _by(members: Iterable[Holder], key: Callable[[Holder], Key]) -> dict[Key, list[Holder]]:
    found: dict[Key, list[Holder]] = {}
    for holder in members:
        found.setdefault(key(holder), []).append(holder)
    return found
