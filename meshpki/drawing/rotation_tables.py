"""The tables of a rotation's page: its stages, who moved, what the probe counted, and what Envoy counted."""

from collections.abc import Iterator

from meshpki.drawing.element import Content, element
from meshpki.drawing.mark import Mark
from meshpki.drawing.page_table import Cell, marked, name, short, table
from meshpki.drawing.rotation_chart import near, stages
from meshpki.drawing.words import counted
from meshpki.pki.certificate import Certificate
from meshpki.probing import Failure, FlowTally, StreamTally, Tally
from meshpki.probing.counters import MUST_BE_ZERO, MUST_GROW, Changes
from meshpki.rotate.proof import NO_PROBE, Proof, Span
from meshpki.rotate.witness import Move

_STAGES = ("Stage", "Began", "Seconds", "Requests meanwhile", "Failed", "Gate")
_PODS = ("Pod", "Leaf before", "Leaf after", "Roots trusted, before and after", "Seen to move", "After activate began")
_FLOWS = ("Flow", "Requests", "Failed", "Gaps", "Client starts", "Verdict")
_STREAMS = ("Stream", "Lines", "Breaks", "Gaps", "Longest silence", "Verdict")
_FAILURES = ("When", "Flow", "Number", "Error", "What was said")
_COUNTERS = ("Counter", "Should", "Grew in pods that ran all along", "In pods that started meanwhile", "Verdict")
_MOST = 1000


def run(proof: Proof) -> list[Content]:
    """A row a stage, with what was sent while it ran."""
    if not proof.spans:
        return [element("p", "No stage was left to go through.")]
    return [table("Times are UTC; a request counts by the clock of its node", _STAGES, _stages(proof))]


def pods(proof: Proof) -> list[Content]:
    """A row a pod, those that did not move first, then the slowest."""
    if not proof.moves:
        return [element("p", "No pod of the mesh was looked at in this run.")]
    ordered = sorted(proof.moves, key=lambda move: (move.after is not None, -(proof.adopted(move) or 0.0), move.pod))
    caption = f"{counted(len(ordered), 'pod')}, {counted(proof.serials, 'different leaf', 'different leaves')} at work"
    return [table(_capped(caption, len(ordered)), _PODS, (_pod(move, proof) for move in ordered[:_MOST]))]


def requests(proof: Proof) -> list[Content]:
    """Flows, streams, and the failures with their classes; the worst first."""
    tally = proof.tally
    if tally is None:
        return [element("p", f"Nothing is known of requests: {NO_PROBE}.")]
    flows = sorted(tally.flows, key=lambda one: (-one.failed, -one.gaps, one.flow))
    streams = sorted(tally.streams, key=lambda one: (-one.breaks, -one.gaps, one.flow))
    target = f", and {tally.target.requests:,} to the target on its own" if tally.target else ""
    said = f"{counted(tally.own.requests, 'request')}, each on a new TCP and TLS connection{target}"
    tables = [
        table(_capped(counted(len(flows), "flow"), len(flows)), _FLOWS, (_flow(one, tally) for one in flows[:_MOST])),
        table(
            _capped(counted(len(streams), "long-lived stream"), len(streams)),
            _STREAMS,
            (_stream(one, tally) for one in streams[:_MOST]),
        ),
    ]
    return [element("p", f"{said}; {tally.per_second:.1f} a second."), *tables, *_failures(tally)]


def counters(changes: Changes | None) -> list[Content]:
    """What should have stayed at zero and grew, and what should have grown."""
    if changes is None:
        return [element("p", "Envoy's counters could not be read, or were not.")]
    grown = [kind for kind in MUST_BE_ZERO if changes.wrong.get(kind) or changes.starting.get(kind)]
    quiet = len(MUST_BE_ZERO) - len(grown)
    said = f"{quiet} of the {len(MUST_BE_ZERO)} counters that should be zero did not grow in any proxy."
    caption = f"Counters of {counted(len(changes.pods), 'proxy', 'proxies')}, before and after"
    rows = [*((kind, True) for kind in grown), *((kind, False) for kind in MUST_GROW)]
    unread = [element("p", f"{one.pod} could not be read: {one.why}.") for one in changes.unread[:_MOST]]
    return [
        element("p", said),
        table(caption, _COUNTERS, (_counter(kind, changes, zero=zero) for kind, zero in rows)),
        *unread,
    ]


def _capped(caption: str, number: int) -> str:
    return f"{caption}, of which {_MOST:,} are shown" if number > _MOST else caption


def _stages(proof: Proof) -> Iterator[Iterator[Cell]]:
    seconds = near(proof)
    for span in stages(proof):
        during = [one for one in seconds if span.began.replace(microsecond=0) <= one.at <= span.ended]
        yield _stage(span, sum(one.requests for one in during), sum(one.failed for one in during))


def _stage(span: Span, sent: int, failed: int) -> Iterator[Cell]:
    yield name(span.stage)
    yield short(f"{span.began:%H:%M:%S}")
    yield short(f"{(span.ended - span.began).total_seconds():.1f}")
    yield short(f"{sent:,}")
    yield short(f"{failed:,}")
    yield [_word(Mark.PROVEN, "everybody followed") if span.done else _word(Mark.BROKEN, "stayed shut")]


def _pod(move: Move, proof: Proof) -> Iterator[Cell]:
    seconds = proof.adopted(move)
    yield name(move.pod)
    yield _leaf(move.before)
    yield _leaf(move.after) if move.after else [_word(Mark.UNKNOWN, "was not seen to move")]
    yield short(f"{move.trusted[0]}, then {move.trusted[1]}")
    yield short(f"{move.at:%H:%M:%S}" if move.at else "at the first look" if move.after else "-")
    yield short(f"{seconds:.1f} s" if seconds is not None else "-")


def _leaf(leaf: Certificate | None) -> Cell:
    if leaf is None:
        return ["-"]
    issuer = element("code", leaf.aki or "-")
    return ["serial ", element("code", f"{leaf.serial:x}"), element("br"), "issuer's key ", issuer]


def _flow(one: FlowTally, tally: Tally) -> Iterator[Cell]:
    yield name(one.flow.title)
    yield short(f"{one.requests:,}")
    yield short(f"{one.failed:,}")
    yield short(f"{one.gaps:,}")
    yield short(f"{one.runs:,}")
    open_ = one.gaps or not one.requests or one.flow in tally.silent
    yield marked(_mark(lost=one.failed, open_=bool(open_)))


def _stream(one: StreamTally, tally: Tally) -> Iterator[Cell]:
    yield name(one.flow.title)
    yield short(f"{one.echoes:,}")
    yield short(f"{one.breaks:,}")
    yield short(f"{one.gaps:,}")
    yield short(f"{one.silence.total_seconds():.1f} s")
    yield marked(_mark(lost=one.breaks, open_=bool(one.gaps or one.flow in tally.silent)))


def _failures(tally: Tally) -> Iterator[Content]:
    if not tally.failures and not tally.errors:
        return
    classes = ", ".join(f"{count:,} x {error}" for error, count in tally.errors)
    yield element("h3", "Failures")
    yield element("p", f"By class: {classes}. The first of each are below.")
    yield table("The first failures", _FAILURES, map(_failure, tally.failures[:_MOST]))


def _failure(one: Failure) -> Iterator[Cell]:
    yield short(f"{one.at:%H:%M:%S}.{one.at.microsecond // 1000:03}")
    yield name(one.flow.title)
    yield short(f"{one.number}")
    yield name(one.error)
    yield name(one.text)


def _counter(kind: str, changes: Changes, *, zero: bool) -> Iterator[Cell]:
    grown = changes.wrong.get(kind, 0) if zero else changes.total(kind)
    starting = changes.starting.get(kind, 0) if zero else 0
    mark = _mark(lost=grown if zero else 0, open_=bool(starting) if zero else not grown)
    yield [element("code", kind)]
    yield short("stay at zero" if zero else "grow")
    yield short(f"{grown:,}")
    yield short(f"{starting:,}" if zero else "counted with the others")
    yield marked(mark)


def _mark(*, lost: int, open_: bool) -> Mark:
    return Mark.BROKEN if lost else Mark.UNKNOWN if open_ else Mark.PROVEN


def _word(mark: Mark, words: str) -> Content:
    return element("span", f"{mark.sign} {words}", class_=f"mark {mark}")
