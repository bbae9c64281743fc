"""A root rotation in memory as the command carries it out: the journey's own steps, by the real engine."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from meshpki.cluster.client import Cluster
from meshpki.rotate import goals, journey
from meshpki.rotate.rotation import Rotation
from meshpki.workflow.event import Event, StepDone
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Step
from meshpki.workflow.work import Limits
from tests.support.hours import Hours
from tests.support.rotating import SETTINGS


@dataclass
class Traveller:
    """Whoever runs `meshpki rotate root`, over one connection."""

    cluster: Cluster
    hours: Hours
    limits: Limits = field(default_factory=Limits)

    def forth(self, until: str = "") -> list[str]:
        """On to a stage, or to the end; the stages that were gone through."""
        done: list[str] = []
        if journey.standing(self.cluster, SETTINGS) is None:
            done += self.follow((journey.first_step(self.cluster, SETTINGS, self.hours),))
        return done if until == goals.NEW_ROOT else [*done, *self.go_on(until)]

    def back(self) -> list[str]:
        """Back to the root that is left."""
        here = journey.standing(self.cluster, SETTINGS)
        assert here, "no rotation is under way"
        journey.turn_back(self.cluster, here)
        return self.go_on()

    def go_on(self, until: str = "") -> list[str]:
        """Whichever way is under way."""
        rotation = Rotation(SETTINGS, journey.required_turn(self.cluster, SETTINGS), self.hours)
        return self.follow(journey.remaining(self.cluster, rotation, until))

    def follow(self, steps: Iterable[Step]) -> list[str]:
        """Run steps; the names of those that were done."""
        events: list[Event] = list(run(Plan(tuple(steps)), self.cluster, self.hours, self.limits))
        return [event.step for event in events if isinstance(event, StepDone)]
