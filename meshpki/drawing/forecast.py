"""The forecast as a picture: what fails first if a part stops now, and every clock, as bars from now on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from xml.etree.ElementTree import Element

from meshpki.drawing import measure
from meshpki.drawing.element import as_xml, element, style
from meshpki.drawing.mark import Mark
from meshpki.drawing.palette import drawing_css
from meshpki.drawing.svg import NAMESPACE
from meshpki.drawing.timeline import ROW, Ending, bar, scale
from meshpki.drawing.words import left, moment
from meshpki.forecast import Forecast
from meshpki.forecast.clocks import Clock, Event
from meshpki.forecast.outages import Outage, Part

_WIDTH, _MARGIN = 960, 24
_HEAD, _SECTION, _NOTE = 64, 56, 20
_NAME_ROOM = 700.0
_MOST = 16
_NODES = 6
_STOPS = "If it stops now: when the first request on a new connection fails"
_CLOCKS = "Clocks: what happens next, and who sees to it"
_LEGEND = (
    f"{Mark.PROVEN.sign} done by itself, or no request fails   {Mark.WARNED.sign} requests fail, or nobody does it"
    f"   {Mark.BROKEN.sign} overdue, or requests fail already"
)


@dataclass(frozen=True)
class _Row:
    """A bar, what is said of the time at its end, and the line below it."""

    ending: Ending
    said: str
    note: str


def document(found: Forecast) -> str:
    """The picture as a file of its own, light and dark."""
    at = found.seen.at
    stops, ticks = _stops(found), _ticks(found)
    span = max([one.ending.ends - at for one in (*stops, *ticks)] + [timedelta(days=1)])
    parts = (
        (_STOPS, stops, len(found.outages) - len(stops)),
        (_CLOCKS, ticks, len(found.clocks) - len(ticks)),
    )
    body, y = [], float(_HEAD)
    for title, rows, hidden in parts:
        body += [_text(title, 0, y + 18, "title"), element("g", *scale(span), transform=f"translate(0 {y + 28:g})")]
        y += _SECTION
        for row in rows:
            body += [*bar(row.ending, at, span, y, said=row.said, room=_NAME_ROOM), _text(row.note, 0, y + ROW)]
            y += ROW + _NOTE
        body += [_text(f"and {hidden:,} more: -o json tells all", 0, y + 12)] if hidden else []
        y += 2 * _NOTE
    return as_xml(_picture(found, [*body, _text(_LEGEND, 0, y)], y + _NOTE))


def _picture(found: Forecast, body: list[Element], height: float) -> Element:
    seen = found.seen
    title = f"Clocks of {seen.trust_domain}"
    unseen = f"not seen: {', '.join(one.what for one in seen.unseen)}" if seen.unseen else ""
    room = _WIDTH - 2 * _MARGIN
    return element(
        "svg",
        element("title", title, id="clocks-title"),
        element("desc", f"What fails first and what is renewed when, seen at {moment(seen.at)}", id="clocks-desc"),
        style(drawing_css()),
        element("rect", class_="ground", width="100%", height="100%"),
        element(
            "svg",
            _text(measure.fit(title, 20, room, bold=True), 0, 30, "head"),
            _text(measure.fit(f"at {moment(seen.at)}. {unseen}", 12, room), 0, 52),
            *body,
            x=_MARGIN,
            width=room,
            height=f"{height:g}",
        ),
        xmlns=NAMESPACE,
        class_="drawing timeline",
        viewBox=f"0 0 {_WIDTH} {height:g}",
        width=_WIDTH,
        height=f"{height:g}",
        role="img",
        aria_labelledby="clocks-title clocks-desc",
    )


def _stops(found: Forecast) -> list[_Row]:
    """The first failure of each part; of SPIRE's agents those of the nodes where it comes first."""
    agents = sorted((one for one in found.outages if one.part is Part.AGENT), key=_first)[:_NODES]
    shown = [one for one in found.outages if one.part is not Part.AGENT or one in agents]
    return [_stop(one, found.seen.at) for one in sorted(shown, key=_first)]


def _stop(one: Outage, at: datetime) -> _Row:
    name = "if the root is never rotated" if one.part is Part.ROOT else f"if {one.stopped} stops"
    first = one.first
    if first is None:
        ending = Ending(name, at, Mark.PROVEN)
        return _Row(ending, "never", _fitted("; ".join(f"{effect.hits}: {effect.what}" for effect in one.effects)))
    ending = Ending(name, first.at, Mark.BROKEN if first.at <= at else Mark.WARNED)
    latest = f", by {moment(first.until)} at the latest" if first.until else ""
    return _Row(ending, _ahead(first.at, at), _fitted(f"{moment(first.at)}{latest}: {first.what}"))


def _first(one: Outage) -> float:
    return one.first.at.timestamp() if one.first else inf


def _ticks(found: Forecast) -> list[_Row]:
    """The next clocks, and those of the root, which is always worth its line."""
    roots = [one for one in found.clocks if one.event in (Event.ROTATE, Event.ENDS)][-2:]
    rest = [one for one in found.clocks if one not in roots][: _MOST - len(roots)]
    return [_tick(one, found.seen.at) for one in sorted((*rest, *roots), key=lambda one: one.at)]


def _tick(one: Clock, at: datetime) -> _Row:
    pods = f" ({one.holders} pods)" if one.holders > 1 else ""
    by_itself = one.event in (Event.RENEWED, Event.MADE, Event.USED)
    mark = Mark.BROKEN if one.overdue else Mark.PROVEN if by_itself else Mark.WARNED
    note = _fitted(f"{moment(one.at)}, {one.by}; else it ends {moment(one.ends)}")
    said = "overdue" if one.overdue else _ahead(one.at, at)
    return _Row(Ending(f"{one.name}{pods}: {one.event}", one.at, mark), said, note)


def _ahead(until: datetime, at: datetime) -> str:
    return f"in {left(until, at).removesuffix(' left')}" if until > at else "now"


def _fitted(note: str) -> str:
    return measure.fit(note, 12, _WIDTH - 2 * _MARGIN)


def _text(text: str, x: float, y: float, class_: str = "") -> Element:
    squeezed = {}
    if not measure.certain(text):
        reckoned = measure.width(text, 20 if class_ == "head" else 12, bold=bool(class_))
        squeezed = {"textLength": f"{max(reckoned, 1):g}", "lengthAdjust": "spacingAndGlyphs"}
    return element("text", text, class_=class_, x=f"{x:g}", y=f"{y:g}", **squeezed)
