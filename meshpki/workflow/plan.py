"""An ordered list of steps that is checked once, and can be narrowed to what the user named."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from meshpki.cluster.manifest import ref_of
from meshpki.errors import UsageError
from meshpki.workflow.step import Step


@dataclass(frozen=True)
class Selection:
    """Which steps the user asked for; empty means all."""

    only: tuple[str, ...] = ()
    first: str = ""
    last: str = ""
    skip: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Steps in their order. `assumed` are steps left out by a selection: their gates must be open already."""

    steps: tuple[Step, ...]
    assumed: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        """Hold the invariants: unique names, needs met by earlier steps, no object in two steps."""
        seen: set[str] = {step.name for step in self.assumed}
        for step in self.steps:
            missing = [need for need in step.needs if need.partition("/")[0] not in seen]
            if missing or step.name in seen:
                raise AssertionError(f"plan out of order at {step.name}: {missing or 'named twice'}")
            seen.add(step.name)
        refs = [ref_of(manifest) for step in self.steps for manifest in step.objects]
        twice = {ref for ref in refs if refs.count(ref) > 1}
        if twice:
            raise AssertionError(f"applied by two steps: {', '.join(map(str, sorted(twice)))}")


def narrowed(steps: Sequence[Step], selection: Selection) -> Plan:
    """The plan of the steps selected; raises UsageError (MPK-205) for a name that is no step."""
    names = [step.name for step in steps]
    for name in (*selection.only, *selection.skip, selection.first, selection.last):
        if name and name not in names:
            close = get_close_matches(name, names, 1)
            hint = f"did you mean `{close[0]}`? " if close else ""
            raise UsageError("MPK-205", f"there is no step `{name}`", remedy=f"{hint}the steps are: {', '.join(names)}")
    start = names.index(selection.first) if selection.first else 0
    end = names.index(selection.last) if selection.last else len(names) - 1
    wanted = [
        step
        for position, step in enumerate(steps)
        if start <= position <= end
        and step.name not in selection.skip
        and (not selection.only or step.name in selection.only)
    ]
    if not wanted:
        raise UsageError("MPK-205", "the selection leaves no step", remedy=f"the steps are: {', '.join(names)}")
    needed = {need.partition("/")[0] for step in wanted for need in step.needs}
    chosen = {step.name for step in wanted}
    assumed = tuple(step for step in steps if step.name in needed - chosen)
    return Plan(tuple(wanted), assumed)
