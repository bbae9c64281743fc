"""What `status` says: each step and each CA of the mesh at one moment, and the exit code that the whole deserves."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from meshpki import errors
from meshpki.pki.renewal import Renewal
from meshpki.status.drift import Drift
from meshpki.status.rotation import RotationStatus
from meshpki.status.unfinished import Unfinished


class State(StrEnum):
    """How a step or a CA is; `unknown` is what a missing right leaves open, and is never counted as well."""

    READY = "ready"
    NOT_READY = "not ready"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class StepStatus:
    """One step: `versions` are those that its containers run, `wanted` the one of the settings."""

    name: str
    state: State
    reason: str = ""
    versions: tuple[str, ...] = ()
    wanted: str = ""
    owners: tuple[str, ...] = ()
    drift: Drift = field(default_factory=Drift)

    @property
    def well(self) -> bool:
        """Ready, and still what meshpki applied."""
        return self.state is State.READY and not self.drift.found


@dataclass(frozen=True)
class AuthorityStatus:
    """One CA: its validity (UTC, None where it could not be read), and what renews it."""

    name: str
    state: State
    reason: str = ""
    subject: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    renewal: Renewal | None = None


@dataclass(frozen=True)
class StatusReport:
    """Steps in their order and CAs from the root down, at one moment (UTC). `svid_ttl` is that of the settings.

    `rotation` is None unless one of the root is under way; `unfinished` is what else a killed run left half done.
    """

    at: datetime
    steps: tuple[StepStatus, ...]
    authorities: tuple[AuthorityStatus, ...]
    svid_ttl: timedelta
    rotation: RotationStatus | None = None
    unfinished: tuple[Unfinished, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether there is anything of a mesh, or may be."""
        return any(step.state is not State.ABSENT for step in self.steps)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Why what is unknown could not be read."""
        states: tuple[StepStatus | AuthorityStatus, ...] = (*self.steps, *self.authorities)
        unseen = [f"{one.name}: {one.reason}" for one in states if one.state is State.UNKNOWN]
        return (
            *unseen,
            *((f"root rotation: {self.rotation.reason}",) if self.rotation and self.rotation.reason else ()),
        )

    @property
    def exit_code(self) -> int:
        """4 where nothing is installed, 5 where a step or a CA is not well, 4 where a right is missing to say so."""
        if not self.installed:
            return errors.PRECONDITION
        if any(not step.well and step.state is not State.UNKNOWN for step in self.steps):
            return errors.BROKEN
        if any(one.state in (State.NOT_READY, State.ABSENT) for one in self.authorities):
            return errors.BROKEN
        if self.rotation and self.rotation.reason:
            return errors.PRECONDITION
        return errors.PRECONDITION if self.unknown else errors.OK
