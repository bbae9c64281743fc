"""An ordered list of steps that is checked once, and can be narrowed to what the user named."""

from collections import Counter
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

    def takes(self, name: str) -> bool:
        """Whether a step between the first and the last is among those asked for."""
        return name not in self.skip and (not self.only or name in self.only)


@dataclass(frozen=True)
class Plan:
    """Steps in their order. `assumed` are steps left out by a selection: their gates must be open already."""

    steps: tuple[Step, ...]
    assumed: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        """Hold the invariants: unique names, needs met by earlier steps, no object in two steps."""
        seen: set[str] = {step.name for step in self.assumed}
        for step in self.steps:
            if step.name in seen or not step.needed <= seen:
                raise AssertionError(f"plan out of order at {step.name}: it needs {', '.join(sorted(step.needed))}")
            seen.add(step.name)
        refs = Counter(ref_of(manifest) for step in self.steps for manifest in step.objects)
        twice = sorted(ref for ref, count in refs.items() if count > 1)
        if twice:
            raise AssertionError(f"applied by two steps: {', '.join(map(str, twice))}")


def narrowed(steps: Sequence[Step], selection: Selection) -> Plan:
    """The plan of the steps selected; raises UsageError (MPK-205) for a name that is no step."""
    names = [step.name for step in steps]
    check_names(selection, names)
    start = names.index(selection.first) if selection.first else 0
    end = names.index(selection.last) + 1 if selection.last else len(names)
    wanted = [step for step in steps[start:end] if selection.takes(step.name)]
    if not wanted:
        raise UsageError("MPK-205", "the selection leaves no step", remedy=f"the steps are: {', '.join(names)}")
    needed = set[str]().union(*(step.relied_on for step in wanted)) - {step.name for step in wanted}
    return Plan(tuple(wanted), tuple(step for step in steps if step.name in needed))


def check_names(selection: Selection, names: Sequence[str]) -> None:
    """Raise UsageError (MPK-205) where a selection names a step that is not among these."""
    for name in (*selection.only, *selection.skip, selection.first, selection.last):
        _known(name, names)


def _known(name: str, names: Sequence[str]) -> None:
    if not name or name in names:
        return
    close = get_close_matches(name, names, 1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    raise UsageError("MPK-205", f"there is no step `{name}`", remedy=f"{hint}the steps are: {', '.join(names)}")
