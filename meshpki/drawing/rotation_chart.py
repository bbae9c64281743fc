"""A rotation over time: a bar a stage, and on the same axis the requests of each moment, with those that failed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from xml.etree.ElementTree import Element

from meshpki.drawing import measure
from meshpki.drawing.element import element
from meshpki.drawing.mark import Mark
from meshpki.drawing.svg import NAMESPACE
from meshpki.drawing.words import counted
from meshpki.probing import Second
from meshpki.rotate.proof import Proof, Span

_TOP, _ROW, _BAR = 30, 40, 10
_HEAD, _CROSSES, _PLOT, _FOOT = 30, 18, 96, 24
_COLUMNS = 240
_LINES = 6
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MINUTE, _HOUR = 60, 3600
# what a phone of 360 px leaves for a stage's name beside its seconds
_NAME_ROOM = 220.0
# nodes' clocks place the requests, ours the stages: what lies further off belongs to another run, or to a wrong clock
_SLACK = timedelta(minutes=2)
_THINNEST = 0.004


@dataclass(frozen=True)
class Column:
    """The requests of some seconds in a row, drawn as one bar; `at` is seconds after the axis begins."""

    at: int
    requests: int
    failed: int


@dataclass(frozen=True)
class Axis:
    """The stretch of time that is drawn, in whole seconds; a column stands for `width` of them."""

    began: datetime
    seconds: int

    @property
    def width(self) -> int:
        """Seconds that one column stands for."""
        return max(ceil(self.seconds / _COLUMNS), 1)

    def share(self, at: datetime) -> float:
        """Where a moment stands between the beginning (0) and the end (1)."""
        return min(max((at - self.began).total_seconds() / self.seconds, 0.0), 1.0)

    def lines(self) -> Iterator[tuple[str, float]]:
        """Round times after the beginning, with the share at which each stands."""
        step = next((one for one in _STEPS if self.seconds / one <= _LINES), ceil(self.seconds / _LINES))
        for second in range(step, self.seconds, step):
            yield _after(second), second / self.seconds


def near(proof: Proof) -> tuple[Second, ...]:
    """The seconds of the probe that can belong to this run, oldest first."""
    every = proof.tally.timeline if proof.tally else ()
    kept = (one for one in every if proof.began - _SLACK <= one.at <= proof.ended + _SLACK)
    return tuple(sorted(kept, key=lambda one: one.at))


def stages(proof: Proof) -> tuple[Span, ...]:
    """The stages in the order in which they began; one that was gone through both ways is there twice."""
    return tuple(sorted(proof.spans, key=lambda span: (span.began, span.ended)))


def axis(proof: Proof) -> Axis:
    """From the first thing that happened to the last."""
    seconds, spans = near(proof), proof.spans
    began = min([proof.began, *(one.at for one in seconds), *(span.began for span in spans)])
    ended = max([proof.ended, *(one.at for one in seconds), *(span.ended for span in spans)])
    began = began.replace(microsecond=0)
    return Axis(began, max(ceil((ended - began).total_seconds()), 1) + 1)


def columns(seconds: Sequence[Second], over: Axis) -> tuple[Column, ...]:
    """The seconds summed into as many columns as there is room for; none where nothing was sent."""
    found: dict[int, tuple[int, int]] = {}
    for one in seconds:
        at = int((one.at - over.began).total_seconds()) // over.width * over.width
        requests, failed = found.get(at, (0, 0))
        found[at] = requests + one.requests, failed + one.failed
    return tuple(Column(at, *counts) for at, counts in sorted(found.items()))


def chart(proof: Proof) -> Element:
    """The picture as SVG; its widths are shares, so that it fits a page of any width without its text being scaled."""
    over, spans = axis(proof), stages(proof)
    below = _TOP + _ROW * len(spans)
    drawn = columns(near(proof), over)
    height = below + _HEAD + _CROSSES + _PLOT + _FOOT
    return element(
        "svg",
        element("title", "Stages, requests and failures over time", id="run-title"),
        element("desc", description(proof), id="run-desc"),
        *_grid(over, height - _FOOT),
        *(part for row, span in enumerate(spans) for part in _stage(span, over, _TOP + _ROW * row)),
        *_plot(drawn, over, below),
        xmlns=NAMESPACE,
        class_="drawing timeline",
        width="100%",
        height=height,
        role="img",
        aria_labelledby="run-title run-desc",
    )


def description(proof: Proof) -> str:
    """What the picture shows, for who hears it."""
    spans = stages(proof)
    shut = [span.stage for span in spans if not span.done]
    ended = f"; not through: {', '.join(shut)}" if shut else ""
    said = "no requests were sent"
    if proof.tally:
        said = f"{proof.tally.failed:,} of {counted(proof.tally.requests, 'request')} failed"
    return (
        f"{counted(len(spans), 'stage')} in {_after(axis(proof).seconds - 1)}{ended}; {said}. Tables below tell each."
    )


def _grid(over: Axis, bottom: float) -> Iterator[Element]:
    yield element("text", "0s", x=0, y=14)
    for words, at in over.lines():
        # the word at the left edge has its room to itself
        if at > 1 / _LINES:
            yield element("text", f"+{words}", x=f"{at:.2%}", y=14, text_anchor="end")
        yield element("line", class_="edge", x1=f"{at:.2%}", x2=f"{at:.2%}", y1=20, y2=bottom, stroke_opacity="0.35")


def _stage(span: Span, over: Axis, y: float) -> Iterator[Element]:
    mark = Mark.PROVEN if span.done else Mark.BROKEN
    word = "" if span.done else " (not through)"
    name = measure.fit(f"{mark.sign} {span.stage}{word}", 12, _NAME_ROOM, bold=True)
    start = over.share(span.began)
    part = max(over.share(span.ended) - start, _THINNEST)
    yield element("text", name, class_=f"word {mark}", x=0, y=y + 14)
    yield element("text", f"{(span.ended - span.began).total_seconds():.1f} s", x="100%", y=y + 14, text_anchor="end")
    yield element("rect", class_="track", x=0, y=y + 20, width="100%", height=_BAR, rx=4)
    yield element(
        "rect", class_=f"bar {mark}", x=f"{min(start, 1 - part):.2%}", y=y + 20, width=f"{part:.2%}", height=_BAR, rx=3
    )


def _plot(drawn: Sequence[Column], over: Axis, y: float) -> Iterator[Element]:
    foot = y + _HEAD + _CROSSES + _PLOT
    most = max((one.requests for one in drawn), default=0)
    said = f"Requests per second: at most {most / over.width:,.0f}" if most else "No requests were counted"
    yield element("text", said, class_="title", x=0, y=y + 22)
    for one in drawn:
        yield from _column(one, over, most, foot)
    yield element("line", class_="edge", x1=0, x2="100%", y1=foot, y2=foot)
    lost = sum(one.failed for one in drawn)
    legend = f"{Mark.BROKEN.sign} marks failed requests: {lost:,}; a bar is {over.width} s" if drawn else ""
    yield element("text", legend, class_=f"word {Mark.BROKEN}" if lost else "", x=0, y=foot + 17)


def _column(one: Column, over: Axis, most: int, foot: float) -> Iterator[Element]:
    x, width = one.at / over.seconds, over.width / over.seconds
    height = _PLOT * one.requests / max(most, 1)
    place = {"x": f"{x:.3%}", "width": f"{min(width * 0.85, 1 - x):.3%}"}
    yield element("rect", class_=f"bar {Mark.PROVEN}", y=f"{foot - height:.1f}", height=f"{height:.1f}", **place)
    if one.failed:
        # a single one of thousands has to be seen
        lost = max(_PLOT * one.failed / max(most, 1), 4.0)
        yield element("rect", class_=f"bar {Mark.BROKEN}", y=f"{foot - lost:.1f}", height=f"{lost:.1f}", **place)
        middle = f"{x + width / 2:.3%}"
        cross = foot - _PLOT - 5
        yield element("text", Mark.BROKEN.sign, class_=f"word {Mark.BROKEN}", x=middle, y=cross, text_anchor="middle")


def _after(seconds: int) -> str:
    """A time as Go writes it, without the units that are zero."""
    parts = ((seconds // _HOUR, "h"), (seconds % _HOUR // _MINUTE, "m"), (seconds % _MINUTE, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
