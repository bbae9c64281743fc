"""What the lab tells its caller while it works."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of the lab's story: `what` is being made, was made in `seconds`, or was there already (`kept`).

    `log` is the path of the file in which what is being made says how far it is; empty where it says nothing.
    """

    what: str
    state: Literal["start", "done", "kept"]
    seconds: float = 0.0
    log: str = ""


Report = Callable[[Progress], None]
