"""What a run of `up` would do, as values: per step its objects, and the programs that are no manifests."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from meshpki.cluster.manifest import Object, Ref
from meshpki.planning.difference import Field


class Action(StrEnum):
    """What a run would do to one object; nothing but an installer removes any."""

    CREATE = "create"
    CHANGE = "change"
    SAME = "same"
    REMOVE = "remove"


@dataclass(frozen=True)
class ObjectPlan:
    """One object: what becomes of it, which fields change, and its two states with every secret masked.

    `offline` says why the API server could not judge it yet, empty where it did.
    """

    ref: Ref
    action: Action
    fields: tuple[Field, ...] = ()
    offline: str = ""
    before: Object = field(default_factory=dict)
    after: Object = field(default_factory=dict)


@dataclass(frozen=True)
class ProgramPlan:
    """A program of a step: whether it would run, what it does, and the objects that it would apply where known."""

    name: str
    pending: bool
    does: str = ""
    objects: tuple[ObjectPlan, ...] = ()


@dataclass(frozen=True)
class StepPlan:
    """One step of the plan; `settings`, the kept wish, is listed as the first."""

    name: str
    objects: tuple[ObjectPlan, ...]
    programs: tuple[ProgramPlan, ...] = ()


@dataclass(frozen=True)
class PlanReport:
    """The whole plan for one cluster."""

    steps: tuple[StepPlan, ...]

    @property
    def objects(self) -> tuple[ObjectPlan, ...]:
        """Every object that meshpki itself applies."""
        return tuple(one for step in self.steps for one in step.objects)

    @property
    def programs(self) -> tuple[ProgramPlan, ...]:
        """The programs that would run."""
        return tuple(one for step in self.steps for one in step.programs if one.pending)

    @property
    def pending(self) -> bool:
        """Whether `up` would change anything."""
        return bool(self.programs) or any(one.action is not Action.SAME for one in self.objects)

    def summary(self) -> str:
        """How many objects meshpki would create, change and leave, and which programs would run."""
        programs = (
            f"{one.name}: {counted(one.objects)}" if one.objects else f"to run: {one.name}" for one in self.programs
        )
        return "; ".join((counted(self.objects), *programs))


def counted(objects: tuple[ObjectPlan, ...]) -> str:
    """The line under a plan: `2 to create, 1 to change, 98 unchanged`, and what an installer would remove, if any."""
    counts = Counter(one.action for one in objects)
    removed = f", {counts[Action.REMOVE]} to remove" if counts[Action.REMOVE] else ""
    told = f"{counts[Action.CREATE]} to create, {counts[Action.CHANGE]} to change, {counts[Action.SAME]} unchanged"
    return told + removed
