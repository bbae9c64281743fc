"""The forecast as a table with a paragraph a part, and as JSON: pure functions. Names in it are data, shown plainly."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from meshpki.cli.validity import apart, seconds_left
from meshpki.cli.verdicts.words import aligned, moment, plain
from meshpki.forecast import Forecast
from meshpki.forecast.clocks import Clock
from meshpki.forecast.outages import Effect, Outage, Part
from meshpki.settings.model import API_VERSION

KIND = "Forecast"
_HEADER = ("IN", "WHEN", "WHAT", "EVENT", "BY", "ELSE IT ENDS")
_NODES = 5


def table(found: Forecast) -> str:
    """The clocks, the next first; then what each part's stopping does."""
    at = found.seen.at
    blocks = ["\n".join(aligned([_HEADER, *(_row(one, at) for one in found.clocks)]))]
    shown, more = _few(found.outages)
    blocks += ["\n".join(_outage(one, at)) for one in shown]
    return "\n\n".join([*blocks, *([f"and {more} more nodes: -o json tells all"] if more else [])])


def as_json(found: Forecast) -> str:
    """Everything, versioned; times in RFC 3339 UTC. Schema: schemas/forecast.json in the package."""
    seen = found.seen
    content = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": moment(seen.at),
        "trustDomain": seen.trust_domain,
        "clocks": [_clock(one, seen.at) for one in found.clocks],
        "outages": [_entry(one, seen.at) for one in found.outages],
        "notSeen": [{"what": one.what, "needs": one.needs} for one in seen.unseen],
    }
    return json.dumps(content, indent=2)


def _few(every: Sequence[Outage]) -> tuple[list[Outage], int]:
    """All parts; of SPIRE's agents those of the nodes on which requests fail first."""
    agents = [one for one in every if one.part is Part.AGENT and one.first]
    kept = sorted(agents, key=lambda one: one.first.at if one.first else one.effects[0].at)[:_NODES]
    return [one for one in every if one.part is not Part.AGENT or one in kept], len(agents) - len(kept)


def _row(one: Clock, at: datetime) -> tuple[str, ...]:
    name = f"{one.name} ({one.holders} pods)" if one.holders > 1 else one.name
    due = "overdue" if one.overdue else apart(one.at, at)
    return due, moment(one.at), name, one.event, one.by, moment(one.ends)


def _outage(one: Outage, at: datetime) -> Iterator[str]:
    stopped = "THE ROOT IS NEVER ROTATED" if one.part is Part.ROOT else f"{one.stopped} STOPS NOW"
    yield plain(f"IF {stopped}: {_first(one, at)}")
    rows = [(f"  {apart(effect.at, at)}", _when(effect), effect.hits, effect.what) for effect in one.effects]
    yield from aligned(rows) if rows else ()


def _first(one: Outage, at: datetime) -> str:
    first = one.first
    if first is None:
        return "no request between running workloads fails"
    earliest = "not before " if first.until else ""
    latest = f", by {moment(first.until)} ({apart(first.until, at)}) at the latest" if first.until else ""
    return f"the first request fails {earliest}{moment(first.at)} ({apart(first.at, at)}){latest}"


def _when(one: Effect) -> str:
    return f"{moment(one.at)} or later" if one.until else moment(one.at)


def _clock(one: Clock, at: datetime) -> dict[str, object]:
    return {
        "name": one.name,
        "event": one.event,
        "by": one.by,
        "at": moment(one.at),
        "secondsLeft": seconds_left(one.at, at),
        "ends": moment(one.ends),
        "overdue": one.overdue,
        "holders": one.holders,
    }


def _entry(one: Outage, at: datetime) -> dict[str, object]:
    return {
        "stopped": one.part,
        "node": one.node or None,
        "first": _effect(one.first, at) if one.first else None,
        "effects": [_effect(effect, at) for effect in one.effects],
    }


def _effect(one: Effect, at: datetime) -> dict[str, object]:
    return {
        "at": moment(one.at),
        "until": moment(one.until) if one.until else None,
        "secondsLeft": seconds_left(one.at, at),
        "hits": one.hits,
        "what": one.what,
        "source": one.source,
    }
