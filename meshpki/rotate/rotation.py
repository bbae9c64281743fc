"""A way between two roots and how it is gone: what is looked at, who is waited for, what keeps an act back."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta

from meshpki.cluster.client import Clock, Reader
from meshpki.components.trust import PIN, pinned
from meshpki.errors import StepError
from meshpki.rotate import scan
from meshpki.rotate.facts import Facts, Turn
from meshpki.rotate.goals import Left, followers
from meshpki.rotate.witness import Witness
from meshpki.settings import Settings

# Why a rotation has to stop at once, empty where it has not.
Guard = Callable[[Reader], str]
Question = Callable[[Facts, Turn], Left]


@dataclass(frozen=True)
class Rotation:
    """A way between two roots and how it is gone: `soak` is how long a gate sees everybody there before it opens.

    `excepted` names pods (namespace/name) that are not waited for. `guards` are asked at every look of every gate, and
    before every act; those of `before_taint` besides, before the one that cannot be taken back. Where the old root is
    compromised, pods that keep a gate waiting for as long as the `impatience` are `left_behind`: nobody who does not
    follow, or will not, keeps it trusted. No gate opens while a clock is to strike before the planned end (`ends`); one
    that the rotation sets itself strikes later.
    """

    settings: Settings
    turn: Turn
    clock: Clock
    _: KW_ONLY
    soak: timedelta = timedelta(0)
    excepted: frozenset[str] = frozenset()
    guards: tuple[Guard, ...] = ()
    witness: Witness | None = None
    before_taint: tuple[Guard, ...] = ()
    impatience: timedelta | None = None
    left_behind: set[str] = field(default_factory=set)
    ends: datetime | None = None

    def look(self, reader: Reader) -> Facts:
        """One look, without the pods that are not waited for; one that was left behind and is through by now is again.

        One that has followed half of the way is not: what it keeps a gate waiting for next, it would keep it for again.
        """
        seen = self.everybody(reader)
        self.left_behind.difference_update(one.name for one in followers(seen, self.turn))
        return replace(seen, envoys=tuple(one for one in seen.envoys if one.name not in self.left_behind))

    def everybody(self, reader: Reader) -> Facts:
        """One look with those that were left behind; the witness is told of it."""
        seen = scan.facts(reader, self.settings, self.turn)
        if self.witness:
            self.witness.note(seen)
        return replace(seen, envoys=tuple(one for one in seen.envoys if one.name not in self.excepted))

    def left(self, reader: Reader, question: Question) -> Left:
        """Which targets have not followed yet."""
        return question(self.look(reader), self.turn)

    def may_act(self, reader: Reader, *more: Guard) -> None:
        """Raises StepError: MPK-440 where a guard says so, MPK-436 where the pin says another way than this one."""
        why = next(filter(None, (guard(reader) for guard in (*self.guards, *more))), "")
        if why:
            raise StepError("MPK-440", why, where="before the next act", remedy="see what failed, then run it again")
        pin = pinned(reader)
        wanted = (self.turn.entering.root.sha256, self.turn.leaving.root.sha256)
        if pin is None or tuple(root.sha256 for root in pin.roots) != wanted:
            what = "the pin says another way by now: somebody else rotates, or went back"
            raise StepError("MPK-436", what, where=str(PIN), remedy="see `meshpki status`, and have one run at a time")
