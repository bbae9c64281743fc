"""The status report as text and as JSON: pure functions. Messages of the cluster are data, and shown plainly."""

import json
from collections.abc import Iterator
from datetime import datetime

from meshpki.cli.validity import renewal_json, seconds_left, when
from meshpki.cli.verdicts.words import aligned, left, moment, plain
from meshpki.pki.renewal import SPIRE_AGENT
from meshpki.settings import go_duration
from meshpki.settings.model import API_VERSION
from meshpki.status.advice import Advice, advice
from meshpki.status.drift import Drift
from meshpki.status.report import AuthorityStatus, State, StatusReport, StepStatus
from meshpki.status.rotation import RotationStatus

KIND = "StatusReport"
_STEPS = ("STEP", "STATE", "VERSION", "OWNER", "DRIFT")
_AUTHORITIES = ("AUTHORITY", "STATE", "LEFT", "EXPIRES", "NEXT RENEWAL", "BY")
_SHOWN = 5


def text(report: StatusReport) -> str:
    """A line a step and a line a CA, and under each table the reasons for what is not well."""
    steps = [_STEPS, *map(_step_row, report.steps)]
    authorities = [_AUTHORITIES, *(_authority_row(one, report.at) for one in report.authorities)]
    lines = [*_rotation_lines(report.rotation)] if report.rotation else []
    lines += [*aligned(steps), *(line for step in report.steps for line in _step_reasons(step)), ""]
    lines += [*aligned(authorities), *(line for one in report.authorities for line in _reason(one.name, one.reason))]
    lines += [plain(f"next: {one.command}   ({one.state})") for one in _beside_rotation(report)]
    lines.append(f"SVIDs live {go_duration(report.svid_ttl)}: the {SPIRE_AGENT} of a node renews them at half of that")
    return "\n".join(lines)


def as_json(report: StatusReport) -> str:
    """Everything, versioned; times in RFC 3339 UTC. Schema: schemas/status-report.json in the package."""
    content = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "at": moment(report.at),
        "steps": [_step(step) for step in report.steps],
        "authorities": [_authority(one, report.at) for one in report.authorities],
        "rotation": _rotation(report.rotation) if report.rotation else None,
        "next": [{"state": one.state, "command": one.command} for one in advice(report)],
        "svids": {"ttl": go_duration(report.svid_ttl), "renewedBy": SPIRE_AGENT, "renewedAtShareOfLife": 0.5},
    }
    return json.dumps(content, indent=2)


def _beside_rotation(report: StatusReport) -> tuple[Advice, ...]:
    """A rotation says its own, before all else."""
    return () if report.rotation and report.rotation.next_commands else advice(report)


def _rotation_lines(one: RotationStatus) -> Iterator[str]:
    """What comes before all else while it runs: where it stands, who is left, and what may safely be done."""
    yield plain(f"root rotation {one.way}: {f'at stage {one.stage}' if one.stage else one.reason}")
    yield from (plain(f"  left: {target}") for target in one.left[:_SHOWN])
    if len(one.left) > _SHOWN:
        yield f"  left: {len(one.left) - _SHOWN} more; -o json lists all"
    yield from (f"  {deadline}" for deadline in one.deadlines)
    yield from (f"  next: {command}" for command in one.next_commands)
    yield ""


def _rotation(one: RotationStatus) -> dict[str, object]:
    return {
        "way": one.way,
        "stage": one.stage or None,
        "left": list(one.left),
        "deadlines": [{"at": moment(deadline.at), "what": deadline.what} for deadline in one.deadlines],
        "next": list(one.next_commands),
        "reason": one.reason,
    }


def _step_row(step: StepStatus) -> tuple[str, ...]:
    return (step.name, step.state, _version(step), ", ".join(step.owners) or "-", _drift_cell(step))


def _version(step: StepStatus) -> str:
    running = ", ".join(step.versions)
    if not running or not step.wanted or step.versions == (step.wanted,):
        return running or "-"
    return f"{running} (settings: {step.wanted})"


def _drift_cell(step: StepStatus) -> str:
    drift = step.drift
    if step.state is State.ABSENT:
        return "-"
    said = [f"{len(drift.found)} of {drift.compared}" if drift.found else f"none of {drift.compared}"]
    if not drift.compared:
        said = ["not compared"] if drift.unseen else ["-"]
    if drift.outdated:
        said.append(f"{len(drift.outdated)} for `up` to change")
    if drift.unseen and drift.compared:
        said.append("in part")
    return ", ".join(said)


def _step_reasons(step: StepStatus) -> Iterator[str]:
    yield from _reason(step.name, step.reason)
    for changed in step.drift.found[:_SHOWN]:
        yield from _reason(step.name, f"drifted: {changed}")
    if len(step.drift.found) > _SHOWN:
        yield f"  {step.name}: {len(step.drift.found) - _SHOWN} more drifted; -o json lists all"
    for why in step.drift.unseen:
        yield from _reason(step.name, f"not compared: {why}")


def _reason(name: str, why: str) -> Iterator[str]:
    if why:
        yield plain(f"  {name}: {why}")


def _authority_row(one: AuthorityStatus, at: datetime) -> tuple[str, ...]:
    return (
        one.name,
        one.state,
        left(one.not_after, at) if one.not_after else "-",
        moment(one.not_after) if one.not_after else "-",
        _next(one, at),
        one.renewal.by if one.renewal else "-",
    )


def _next(one: AuthorityStatus, at: datetime) -> str:
    if one.renewal is None or one.renewal.at is None or one.not_after is None:
        return "-"
    return f"{moment(one.renewal.at)} ({when(one.renewal, one.not_after, at)})"


def _step(step: StepStatus) -> dict[str, object]:
    return {
        "name": step.name,
        "state": step.state,
        "reason": step.reason,
        "versions": list(step.versions),
        "wantedVersion": step.wanted or None,
        "owners": list(step.owners),
        "drift": _drift(step.drift),
    }


def _drift(drift: Drift) -> dict[str, object]:
    return {
        "compared": drift.compared,
        "changed": [
            {"object": str(one.ref), "gone": not one.fields, "fields": list(one.fields), "managers": list(one.managers)}
            for one in drift.found
        ],
        "outdated": [str(ref) for ref in drift.outdated],
        "notCompared": list(drift.unseen),
    }


def _authority(one: AuthorityStatus, at: datetime) -> dict[str, object]:
    ends = one.not_after
    return {
        "name": one.name,
        "state": one.state,
        "reason": one.reason,
        "subject": one.subject,
        "notBefore": moment(one.not_before) if one.not_before else None,
        "notAfter": moment(ends) if ends else None,
        "secondsLeft": seconds_left(ends, at) if ends else None,
        "renewal": renewal_json(one.renewal, ends, at),
    }
