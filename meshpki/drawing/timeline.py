"""When what expires: one bar a CA, and one for the leaves below it in a namespace, on a logarithmic scale of time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log
from xml.etree.ElementTree import Element

from meshpki.drawing import measure
from meshpki.drawing.element import element
from meshpki.drawing.mark import Mark, of_result, worst
from meshpki.drawing.words import PLACES, counted, left, moment, short_name
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Result
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict

_SHORTEST = timedelta(minutes=1)
_TICKS = (
    ("10m", timedelta(minutes=10)),
    ("1h", timedelta(hours=1)),
    ("6h", timedelta(hours=6)),
    ("1d", timedelta(days=1)),
    ("1w", timedelta(days=7)),
    ("30d", timedelta(days=30)),
    ("180d", timedelta(days=180)),
    ("2y", timedelta(days=730)),
    ("10y", timedelta(days=3650)),
    ("100y", timedelta(days=36500)),
)
_MOST = 16
ROW, _TOP, _BAR = 48, 34, 10
_EDGE = 0.97
# what a phone of 360 px leaves for the name beside the time left
_NAME_ROOM = 260.0


@dataclass(frozen=True)
class Ending:
    """One bar: what ends, when (UTC), and whether that is an authority or some leaves."""

    name: str
    ends: datetime
    mark: Mark


def endings(report: Report) -> tuple[Ending, ...]:
    """Every CA, and the earliest leaf of each namespace and kind of place, the soonest first."""
    found = [*_authorities(report), *_leaves(report)]
    return tuple(sorted(found, key=lambda ending: (ending.ends, ending.name)))


def timeline(report: Report) -> Element:
    """The bars as SVG, whose widths are shares, so that it fits a page of any width without its text being scaled."""
    every = endings(report)
    shown = every[:_MOST]
    span = max([ending.ends - report.at for ending in shown] + [timedelta(days=1)])
    height = _TOP + ROW * len(shown)
    said = f"{ending_words(shown[0], report.at)}. The table of workloads tells every end." if shown else "nothing ends"
    return element(
        "svg",
        element("title", "When what expires", id="time-title"),
        element("desc", f"Soonest: {said}", id="time-desc"),
        *scale(span),
        *(part for row, ending in enumerate(shown) for part in bar(ending, report.at, span, _TOP + ROW * row)),
        xmlns="http://www.w3.org/2000/svg",
        class_="drawing timeline",
        width="100%",
        height=height,
        role="img",
        aria_labelledby="time-title time-desc",
    )


def ending_words(ending: Ending, at: datetime) -> str:
    """One ending in a sentence."""
    return f"{ending.name}: {left(ending.ends, at)}, {moment(ending.ends)}"


def hidden(report: Report) -> int:
    """How many endings, all of them later, have no bar."""
    return max(len(endings(report)) - _MOST, 0)


def share(remaining: timedelta, span: timedelta) -> float:
    """Where a time left stands between now (0) and the longest (1)."""
    if remaining <= _SHORTEST:
        return 0.0
    return min(log(remaining / _SHORTEST) / log(span / _SHORTEST), 1.0)


def _authorities(report: Report) -> Iterator[Ending]:
    """Each CA once."""
    standing = _standing(report)
    found = {one.sha256: one for one in (*report.roots, *(one for one, _ in _passed(report)))}
    alike = Counter(map(short_name, found.values()))
    for certificate in found.values():
        mark = Mark.PROVEN if certificate.sha256 in standing else Mark.UNKNOWN
        said = _name_of(certificate, alike, report)
        yield Ending(said, certificate.not_after, mark if certificate.valid_at(report.at) else Mark.BROKEN)


def _standing(report: Report) -> frozenset[str]:
    """The CAs that are proven: the roots and, as in the tree, those that a proven chain runs through."""
    proven = {one.sha256 for one, result in _passed(report) if result == "proven"}
    return frozenset(root.sha256 for root in report.roots) | proven


def _passed(report: Report) -> Iterator[tuple[Certificate, Result]]:
    """Each CA on each path, and what became of the path."""
    verdicts: tuple[PodVerdict | PlaceVerdict, ...] = (*report.pods, *report.places)
    return ((certificate, verdict.result) for verdict in verdicts for certificate in _cas(verdict.path))


def _name_of(certificate: Certificate, alike: Mapping[str, int], report: Report) -> str:
    """What a CA is called, with its fingerprint's beginning where another has the same name."""
    name = f"{'root' if certificate in report.roots else 'CA'} {short_name(certificate)}"
    return f"{name} {certificate.sha256[:6]}" if alike[short_name(certificate)] > 1 else name


def _cas(path: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    return path if path and path[0].is_ca else path[1:]


def _leaves(report: Report) -> Iterator[Ending]:
    """Leaves by where they are; one that outlives its CA, as istiod's own does, ends with that."""
    found: dict[str, list[tuple[datetime, Mark]]] = {}
    for pod in report.pods:
        if pod.path and pod.expires:
            mark = of_result(pod.result, pod.findings)
            found.setdefault(f"in {pod.pod.ref.namespace}", []).append((pod.expires, mark))
    for place in report.places:
        if place.path and place.expires and not place.path[0].is_ca:
            mark = of_result(place.result, place.findings)
            found.setdefault(f"of {PLACES[place.place.kind]}", []).append((place.expires, mark))
    for where, ends in found.items():
        name = f"{counted(len(ends), 'leaf', 'leaves')} {where}"
        yield Ending(name, min(end for end, _ in ends), worst(mark for _, mark in ends))


def scale(span: timedelta) -> Iterator[Element]:
    """The words above the bars: now, and the times left that are shorter than the longest."""
    yield element("text", "now", x=0, y=14)
    for name, tick in _ticks(span):
        anchor = "middle" if share(tick, span) < _EDGE else "end"
        yield element("text", name, x=f"{share(tick, span):.2%}", y=14, text_anchor=anchor)


def _ticks(span: timedelta) -> Iterator[tuple[str, timedelta]]:
    return ((name, tick) for name, tick in _TICKS if tick < span)


def bar(
    ending: Ending, at: datetime, span: timedelta, y: float, *, said: str = "", room: float = _NAME_ROOM
) -> Iterator[Element]:
    """One ending with its name, the time left or what is `said` instead, and the bar below both; ROW is its height."""
    name = measure.fit(f"{ending.mark.sign} {ending.name}", 12, room, bold=True)
    squeezed = {} if measure.certain(name) else {"textLength": room, "lengthAdjust": "spacingAndGlyphs"}
    part = max(share(ending.ends - at, span), 0.005)
    yield element("text", name, class_=f"word {ending.mark}", x=0, y=y + 14, **squeezed)
    yield element("text", said or left(ending.ends, at), x="100%", y=y + 14, text_anchor="end")
    yield element("rect", class_="track", x=0, y=y + 21, width="100%", height=_BAR, rx=4)
    for _, tick in _ticks(span):
        x = f"{share(tick, span):.2%}"
        yield element("line", class_="edge", x1=x, x2=x, y1=y + 17, y2=y + 35)
    yield element("rect", class_=f"bar {ending.mark}", x=0, y=y + 21, width=f"{part:.2%}", height=_BAR, rx=4)
