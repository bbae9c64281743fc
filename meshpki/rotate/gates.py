"""The gates of a root rotation: two looks in a row at the whole mesh that find nobody left."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.cluster.client import Reader
from meshpki.components.trust import istiod_certificate
from meshpki.rotate import goals, scan
from meshpki.rotate.clocks import deadlines, imminent
from meshpki.rotate.facts import Facts
from meshpki.rotate.rotation import Question, Rotation
from meshpki.workflow.step import Failed, Gate, Readiness, Ready, Waiting

# What a gate sees changes without any object changing.
_LOOK = timedelta(seconds=2)


@dataclass
class Looks:
    """A gate's check: open when looks find nothing left for as long as the soak, two looks apart at the least.

    A look that another event brings on too early shows no more than the one before it.
    """

    rotation: Rotation
    question: Question
    since: datetime | None = None
    waiting: datetime | None = None

    def __call__(self, reader: Reader) -> Readiness:
        """See Gate.check."""
        for guard in self.rotation.guards:
            if why := guard(reader):
                return Failed(why)
        facts = self.rotation.look(reader)
        if why := self._about_to_strike(reader, facts):
            return Failed(f"{why}: wait for it, then run it again")
        left = tuple(dict.fromkeys((*self.question(facts, self.rotation.turn), *scan.unseen(facts))))
        now = self.rotation.clock.now()
        if left:
            self.since = None
            self._leave_behind(facts, now)
            return Waiting(f"{len(left)} left: {'; '.join(left)}")
        if self.since is None:
            self.since = now
        if now - self.since < _LOOK:
            return Waiting("everybody followed; looking once more")
        if now - self.since < self.rotation.soak:
            return Waiting(f"everybody followed; soaking for {self.rotation.soak.total_seconds():.0f} s")
        return Ready("everybody followed, in two looks in a row")

    def _about_to_strike(self, reader: Reader, facts: Facts) -> str:
        """What would change a CA in the midst of the rotation; after the taint, or with a lost key, no wait."""
        rotation = self.rotation
        if rotation.impatience is not None or goals.tainted(facts, rotation.turn.leaving.root):
            return ""
        cacerts = reader.get(istiod_certificate(rotation.settings))
        slots = (one.slots for one in facts.spire)
        due = deadlines(slots, rotation.settings.spire.ca_ttl, cacerts)
        return imminent(due, rotation.clock.now(), rotation.ends)

    def _leave_behind(self, facts: Facts, now: datetime) -> None:
        impatience, self.waiting = self.rotation.impatience, self.waiting or now
        if impatience is not None and now - self.waiting >= impatience:
            self.rotation.left_behind.update(goals.late(facts, self.rotation.turn, self.question))
            self.waiting = None


def stands(rotation: Rotation, name: str, proves: str, question: Question) -> Gate:
    """The gate that opens when everybody has followed, as a question tells (MPK-440)."""
    return Gate(
        name=name,
        proves=proves,
        check=Looks(rotation, question),
        hint="nothing is lost: look at those that are left, then go on with the same command, or back with --abort",
        code="MPK-440",
        every=_LOOK,
    )
