"""The commands by which a person or a pipeline applies the stages with plain kubectl."""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from meshpki.cluster.manifest import FIELD_MANAGER
from meshpki.rendering.stages import Stage

# With the field manager of `up`, so that both own the same fields and either can go on where the other stopped.
_APPLY = ("kubectl", "apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "-f")


def commands(parts: Iterable[Stage], folder: Path) -> Iterator[str]:
    """A shell's lines: each stage applied, then what the next one has to wait for."""
    for stage in parts:
        yield shlex.join([*_APPLY, str(folder / stage.folder)])
        yield from (wait.command() for wait in stage.waits)
