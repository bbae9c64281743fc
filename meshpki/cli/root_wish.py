"""What a root rotation was asked for, and whether that is possible where the mesh stands."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from meshpki.errors import PreconditionError, UsageError
from meshpki.rotate import goals
from meshpki.rotate.journey import Standing


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a root rotation was asked for besides the cluster; `until` is the stage to end with, empty for all.

    `report` is the file of the page. `compromised` says that somebody else knows the old root's key, `expired` that
    it has ended: then no probe could be answered. `past_return` says that SPIRE was told to drop it.
    """

    until: str = ""
    back: bool = False
    soak: timedelta = timedelta(0)
    excepted: frozenset[str] = frozenset()
    probe: bool = True
    target: str = ""
    report: Path | None = None
    compromised: bool = False
    expired: bool = False
    past_return: bool = False

    @property
    def urgent(self) -> bool:
        """Whether nobody is waited for: every second with the old root is one too many."""
        return self.compromised or self.expired

    @property
    def pressing(self) -> bool:
        """Whether it neither waits for a proof nor stops for a request that fails: no other way is any better."""
        return self.back or self.urgent or self.past_return


def known(wish: Wish) -> None:
    """Raises UsageError (MPK-205) for a stage that is none, MPK-446 for a way back to a compromised root."""
    stages = goals.NAMES[1:] if wish.back else goals.NAMES
    if wish.until and wish.until not in stages:
        what = f"there is no stage `{wish.until}` on this way"
        raise UsageError("MPK-205", what, remedy=f"the stages are: {', '.join(stages)}")
    if wish.back and wish.compromised:
        what = "--abort would go back to the root whose key is compromised"
        raise UsageError("MPK-446", what, remedy="say one of the two")


def agrees(here: Standing | None, wish: Wish) -> None:
    """Whether what is asked for is the way that is under way; raises PreconditionError (MPK-436, MPK-443)."""
    if here is None:
        if wish.back:
            what = "no root rotation is under way: there is nothing to go back from"
            raise PreconditionError("MPK-443", what, remedy="see `meshpki status`")
    elif wish.back:
        _may_go_back(here)
    elif here.backward and not here.only_forth:
        what = f"the way back to {here.turn.entering} was begun"
        raise PreconditionError("MPK-436", what, remedy="finish it first: meshpki rotate root --abort")


def _may_go_back(here: Standing) -> None:
    what = ""
    if here.only_forth:
        what = f"{here.older} has ended: nobody accepts anything under it"
    elif not here.backward and here.past_return:
        what = f"SPIRE is to drop {here.turn.leaving} already: nothing may be issued under it any more"
    if what:
        raise PreconditionError("MPK-436", what, remedy="there is only the way on: meshpki rotate root")
