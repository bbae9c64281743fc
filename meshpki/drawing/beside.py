"""What stands beside the tree: places that keep anchors, what was checked besides, peers, and what was not seen."""

from collections import Counter
from collections.abc import Iterator, Sequence

from meshpki.drawing.mark import Mark, of_result, worst
from meshpki.drawing.node import Kind, Node
from meshpki.drawing.words import PLACES, counted, digest, left, short_name
from meshpki.verify.places import PlaceKind, PlaceVerdict
from meshpki.verify.report import Report
from meshpki.words import first_of

_SHOWN = 3


def beside(report: Report) -> tuple[Node, ...]:
    """One box a kind of place, one for the peers, one for what was not seen."""
    boxes = [_kind(kind, found, report) for kind in PlaceKind if (found := _without_chain(report, kind))]
    return (*boxes, *_peers(report), *_unseen(report))


def _without_chain(report: Report, kind: PlaceKind) -> list[PlaceVerdict]:
    return [place for place in report.places if place.place.kind is kind and not place.path]


def _kind(kind: PlaceKind, places: Sequence[PlaceVerdict], report: Report) -> Node:
    """The places of one kind: how many are proven, which anchors they keep, why one is not well."""
    mark = worst(of_result(place.result, place.findings) for place in places)
    proven = sum(1 for place in places if place.result == "proven")
    codes = tuple(sorted({finding.code for place in places for finding in place.findings}))
    reasons = sorted({place.reason for place in places if place.reason})
    said = [first_of(reasons, 1)] if reasons else []
    ends = [left(min(moments), report.at)] if (moments := [one.expires for one in places if one.expires]) else []
    tally = f"{proven:,} of {counted(len(places), 'place')} proven"
    return Node(Kind.PLACE, PLACES[kind], (tally, *_kept(places, report), *said, *ends), mark, codes)


def _kept(places: Sequence[PlaceVerdict], report: Report) -> Iterator[str]:
    """Which sets of anchors are kept, the commonest first."""
    known = {root.sha256: short_name(root) for root in report.roots}
    sets = Counter(place.bundle for place in places if place.bundle).most_common()
    for bundle, count in sets[:_SHOWN]:
        names = [known.get(fingerprint, f"a stranger, {digest(fingerprint)}") for fingerprint in bundle]
        yield f"{count:,} {'keeps' if count == 1 else 'keep'} {first_of(names, _SHOWN)}"
    if len(sets) > _SHOWN:
        yield f"and {counted(len(sets) - _SHOWN, 'other set')} of anchors"


def _peers(report: Report) -> Iterator[Node]:
    if not report.peers:
        return
    proven = sum(1 for pair in report.peers if pair.result == "proven")
    line = f"{proven:,} of {counted(len(report.peers), 'pair')} of groups verify each other"
    codes = tuple(sorted({finding.code for pair in report.peers for finding in pair.findings}))
    yield Node(Kind.PLACE, "peers", (line,), worst(of_result(one.result, one.findings) for one in report.peers), codes)


def _unseen(report: Report) -> Iterator[Node]:
    if report.unseen:
        lines = [f"{one.what}: needs {one.needs}" for one in report.unseen[:_SHOWN]]
        rest = len(report.unseen) - _SHOWN
        more = [f"and {rest:,} more"] if rest > 0 else []
        yield Node(Kind.UNSEEN, "not seen", (*lines, *more), Mark.UNKNOWN)
