"""Child processes that do not outlive the process that started them; Linux only."""

import os
from collections.abc import Sequence

# The kernel's signal (prctl PR_SET_PDEATHSIG) misses a parent that ended before it was asked for: look afterwards.
_ONLY_WITH_PARENT = '[ "$PPID" = "$0" ] && exec "$@"'


def leashed(argv: Sequence[str], parent: int | None = None) -> tuple[str, ...]:
    """`argv` as a child that the kernel kills when process `parent`, or this one, ends; Linux only."""
    awaited = os.getpid() if parent is None else parent
    return ("setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", _ONLY_WITH_PARENT, str(awaited), *argv)
