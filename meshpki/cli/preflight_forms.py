"""The checks of a preflight as text and as JSON, and what they found there: pure functions of an outcome."""

import json

from meshpki.cli import output
from meshpki.cli.verdicts.words import aligned
from meshpki.preflight import CHECKS, Found, Outcome
from meshpki.settings.model import API_VERSION

_OK, _WARNED, _REFUSED, _UNSEEN = "ok", "ignored", "refused", "not looked at"


def text(outcome: Outcome) -> str:
    """A line a check, and under them what is the matter and what is there already."""
    found = _by_name(outcome)
    rows = [("CHECK", "RESULT", "CODE"), *((one.name, found.get(one.name, (_OK, None))[0], one.code) for one in CHECKS)]
    remedies = [f"  {name}: {one.error}; {one.error.remedy}" for name, (_, one) in found.items() if one]
    there = [("THERE ALREADY", "VERSION", "OWNER"), *((str(one.ref), one.version, one.owner) for one in outcome.there)]
    lines = [*aligned(rows), *remedies]
    return output.plain("\n".join([*lines, "", *aligned(there)] if outcome.there else lines))


def as_json(outcome: Outcome) -> str:
    """Everything, versioned."""
    found = _by_name(outcome)
    checks = [_check(one.name, one.code, *found.get(one.name, (_OK, None))) for one in CHECKS]
    there = [{"object": str(one.ref), "version": one.version, "owner": one.owner} for one in outcome.there]
    content = {"apiVersion": API_VERSION, "kind": "PreflightReport", "checks": checks, "there": there}
    return json.dumps(content, indent=2)


def _by_name(outcome: Outcome) -> dict[str, tuple[str, Found | None]]:
    ignored: dict[str, tuple[str, Found | None]] = {one.check.name: (_WARNED, one) for one in outcome.ignored}
    unseen: dict[str, tuple[str, Found | None]] = {one.name: (_UNSEEN, None) for one in outcome.unseen}
    return {**unseen, **ignored, **{one.check.name: (_REFUSED, one) for one in outcome.refused}}


def _check(name: str, code: str, result: str, found: Found | None) -> dict[str, str]:
    told = {"name": name, "code": code, "result": result}
    if found is None:
        return told
    return {**told, "what": found.error.what, "where": found.error.where, "remedy": found.error.remedy}
