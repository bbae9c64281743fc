"""A plan as text, as a diff and as JSON: pure functions. What comes from the cluster is data, and shown plainly."""

import json
from collections.abc import Iterable, Iterator
from difflib import unified_diff

from meshpki.cli.verdicts.words import plain
from meshpki.cluster.documents import document
from meshpki.cluster.manifest import Object, Ref
from meshpki.planning import Action, ObjectPlan, PlanReport, ProgramPlan, StepPlan
from meshpki.planning.difference import Field, Kind
from meshpki.planning.report import counted
from meshpki.settings.model import API_VERSION

KIND = "PlanReport"
_SIGNS = {Kind.ADD: "+", Kind.CHANGE: "~", Kind.REMOVE: "-"}
_VALUE_WIDTH = 100


def text(report: PlanReport) -> str:
    """By step: an object a line, under each its fields that change; then what runs; then the summary."""
    lines = [line for step in report.steps for line in _step_lines(step)]
    return "\n".join(map(plain, (*lines, report.summary())))


def _step_lines(step: StepPlan) -> Iterator[str]:
    told = [*_object_lines(step.objects), *(line for one in step.programs for line in _program_lines(one))]
    if told:
        yield f"{step.name}: {counted(step.objects)}"
    elif step.objects:
        yield f"{step.name}: {len(step.objects)} unchanged"
    else:
        yield f"{step.name}: nothing to do for {', '.join(one.name for one in step.programs)}"
    yield from (f"  {line}" for line in told)


def _object_lines(objects: Iterable[ObjectPlan]) -> Iterator[str]:
    for one in objects:
        if one.action is Action.SAME:
            continue
        offline = f"  (validated offline: {one.offline})" if one.offline else ""
        yield f"{one.action}  {one.ref}{offline}"
        for field in one.fields:
            yield from (f"          {line}" for line in _field_lines(field))


def _program_lines(program: ProgramPlan) -> Iterator[str]:
    if not program.pending:
        return
    yield f"run     {program.name}: {program.does}"
    yield from (f"  {line}" for line in _object_lines(program.objects))


def _field_lines(field: Field) -> Iterator[str]:
    """One line, or the lines of a text that differ."""
    before, after = field.before, field.after
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        yield f"~ {field.path}:"
        changed = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
        yield from (f"    {line}" for line in changed if not line.startswith("@@"))
        return
    values = {
        Kind.ADD: _value(after),
        Kind.REMOVE: _value(before),
        Kind.CHANGE: f"{_value(before)} -> {_value(after)}",
    }
    yield f"{_SIGNS[field.kind]} {field.path}: {values[field.kind]}"


def _value(value: object) -> str:
    told = json.dumps(value, ensure_ascii=False)
    return told if len(told) <= _VALUE_WIDTH else f"{told[:_VALUE_WIDTH]}..."


def diff(report: PlanReport) -> str:
    """A unified diff of every object that is made or changes; empty where none is."""
    objects = [*report.objects, *(one for program in report.programs for one in program.objects)]
    shown = "".join(_unified(one) for one in objects if one.action is not Action.SAME)
    return "\n".join(map(plain, shown.split("\n")))


def _unified(one: ObjectPlan) -> str:
    name = _file_name(one.ref)
    if one.action is Action.REMOVE:
        return f"--- live/{name}\n+++ /dev/null\n"
    before, after = _lines(one.before), _lines(one.after)
    shown = "".join(unified_diff(before, after, f"live/{name}", f"plan/{name}"))
    return shown or f"--- live/{name}\n+++ plan/{name}\n# {one.action}; its content is not shown{_because(one)}\n"


def _because(one: ObjectPlan) -> str:
    return f": {one.offline}" if one.offline else ""


def _file_name(ref: Ref) -> str:
    return "/".join(filter(None, (ref.api_version.replace("/", "."), ref.kind, ref.namespace, ref.name)))


def _lines(content: Object) -> list[str]:
    return document(content).splitlines(keepends=True) if content else []


def as_json(report: PlanReport, context: str, server: str, version: str) -> str:
    """Everything, versioned. Schema: schemas/plan-report.json in the package."""
    content = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "context": context,
        "server": {"url": server, "version": version},
        "pending": report.pending,
        "summary": _counts(report.objects),
        "steps": [
            {
                "name": step.name,
                "objects": [_object(one) for one in step.objects],
                "programs": [_program(one) for one in step.programs],
            }
            for step in report.steps
        ],
    }
    return json.dumps(content, indent=2)


def _counts(objects: Iterable[ObjectPlan]) -> dict[str, int]:
    actions = [one.action for one in objects]
    return {str(action): actions.count(action) for action in Action}


def _program(one: ProgramPlan) -> dict[str, object]:
    return {
        "name": one.name,
        "pending": one.pending,
        "does": one.does,
        "summary": _counts(one.objects),
        "objects": [_object(each) for each in one.objects],
    }


def _object(one: ObjectPlan) -> dict[str, object]:
    ref = one.ref
    return {
        "action": one.action,
        "object": {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "validated": "offline" if one.offline else "server",
        "reason": one.offline,
        "fields": [
            {"path": field.path, "kind": field.kind, "before": field.before, "after": field.after}
            for field in one.fields
        ],
    }
