"""Plan: what a run would create, change and leave as it is, asked of the API server by dry runs; nothing is written."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.planning.foresight import Foresight, judge, judge_installed, quickly
from meshpki.planning.report import Action, ObjectPlan, PlanReport, ProgramPlan, StepPlan
from meshpki.workflow.plan import Plan
from meshpki.workflow.step import Program, Step

__all__ = ["Action", "ObjectPlan", "PlanReport", "ProgramPlan", "StepPlan", "glance", "look"]

_IN_FLIGHT = 32
_WISH = "settings"


@dataclass(frozen=True)
class _Due:
    """A program of a step: whether it would run, and what it would then apply and remove, as far as that is known."""

    program: Program
    pending: bool
    manifests: tuple[Object, ...] = ()
    removed: tuple[Ref, ...] = ()


def look(plan: Plan, wish: Object, reader: Reader) -> PlanReport:
    """Every object by a dry run of its own, with the fields that change; `wish` is the ConfigMap of the settings.

    Raises ClusterError where the API server would refuse, PreconditionError (MPK-221) where nothing makes an object's
    kind or namespace, StepError (MPK-223) for an object that its CRD would refuse.
    """
    due = {step.name: tuple(_due(program, reader) for program in step.programs) for step in plan.steps}
    installed = (manifest for programs in due.values() for one in programs for manifest in one.manifests)
    foresight = Foresight.of((*_objects(plan.steps), *_objects(plan.assumed), *installed))
    with abreast(_IN_FLIGHT, "plan") as pool:

        def foreseen(one: _Due) -> ProgramPlan:
            manager = one.program.applies.manager if one.program.applies else ""
            applied = pool.map(partial(judge_installed, reader, foresight, manager), one.manifests)
            removed = (ObjectPlan(ref, Action.REMOVE) for ref in one.removed)
            return ProgramPlan(one.program.name, one.pending, one.program.does, (*applied, *removed))

        own = _judged(plan, wish, pool, partial(judge, reader, foresight))
        programs = {name: tuple(map(foreseen, dues)) for name, dues in due.items()}
    return _report(own, programs)


def glance(plan: Plan, wish: Object, reader: Reader) -> PlanReport:
    """The same actions at less cost: no fields, and a dry run only where an object is not as it was last applied."""
    with abreast(_IN_FLIGHT, "plan") as pool:
        own = _judged(plan, wish, pool, partial(quickly, reader))
    programs = {
        step.name: tuple(ProgramPlan(one.name, not one.settled(reader), one.does) for one in step.programs)
        for step in plan.steps
    }
    return _report(own, programs)


def _due(program: Program, reader: Reader) -> _Due:
    pending, applies = not program.settled(reader), program.applies
    if applies is None or not pending:
        return _Due(program, pending)
    return _Due(program, pending, applies.manifests(), applies.removes(reader))


def _judged(
    plan: Plan, wish: Object, pool: Executor, judged: Callable[[Object], ObjectPlan]
) -> dict[str, tuple[ObjectPlan, ...]]:
    """Every object of ours by its step, the kept wish first, as `up` applies them."""
    manifests: dict[str, tuple[Object, ...]] = {_WISH: (owned(wish, _WISH),)}
    manifests |= {step.name: tuple(owned(one, step.name) for one in step.objects) for step in plan.steps}
    running = {name: [pool.submit(judged, one) for one in own] for name, own in manifests.items()}
    return {name: tuple(one.result() for one in own) for name, own in running.items()}


def _report(own: Mapping[str, tuple[ObjectPlan, ...]], programs: Mapping[str, tuple[ProgramPlan, ...]]) -> PlanReport:
    return PlanReport(tuple(StepPlan(name, objects, programs.get(name, ())) for name, objects in own.items()))


def _objects(steps: Iterable[Step]) -> Iterable[Object]:
    return (manifest for step in steps for manifest in step.objects)
