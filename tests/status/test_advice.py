"""A table of what status sees -> what is safe to do next."""

from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.pki.renewal import OWNER, Renewal
from meshpki.status.advice import ISTIOD_CA, ROOT, SPIRE_CA, advice
from meshpki.status.drift import Drift
from meshpki.status.report import AuthorityStatus, State, StatusReport, StepStatus
from meshpki.status.rotation import RotationStatus
from meshpki.status.unfinished import Unfinished
from tests.support.certificates import AT

HOUR = timedelta(hours=1)
STEPS = tuple(StepStatus(name, State.READY) for name in ("cert-manager", "root-ca", "istiod-ca", "spire", "istio"))
AUTHORITIES = tuple(
    AuthorityStatus(name, State.READY, "", f"CN={name}", AT - HOUR, AT + HOUR) for name in (ROOT, ISTIOD_CA, SPIRE_CA)
)
WELL = StatusReport(AT, STEPS, AUTHORITIES, HOUR)
WAY = RotationStatus("a -> b", "trust", next_commands=("meshpki rotate root", "meshpki rotate root --abort"))
FORTH = replace(WAY, next_commands=("meshpki rotate root",))

HALF_DONE = Unfinished("begun and not through", "meshpki rotate istiod-ca")


def ca(name: str, **changes: object) -> StatusReport:
    found = tuple(replace(one, **changes) if one.name == name else one for one in AUTHORITIES)  # type: ignore[arg-type]
    return replace(WELL, authorities=found)


def step(name: str, **changes: object) -> StatusReport:
    found = tuple(replace(one, **changes) if one.name == name else one for one in STEPS)  # type: ignore[arg-type]
    return replace(WELL, steps=found)


EXPIRED = {"state": State.NOT_READY, "reason": "it is expired", "not_after": AT - HOUR}
ABSENT = replace(WELL, steps=tuple(replace(one, state=State.ABSENT) for one in STEPS))
TABLE = [
    ("all is well", WELL, []),
    ("nothing is there", ABSENT, ["meshpki up"]),
    ("a rotation is under way", replace(WELL, rotation=WAY), list(WAY.next_commands)),
    ("and the root expired meanwhile", replace(ca(ROOT, **EXPIRED), rotation=FORTH), ["meshpki rotate root"]),
    ("the root is expired", ca(ROOT, **EXPIRED), ["meshpki rotate root"]),
    (
        "a root that its owner renews is expired",
        ca(ROOT, **EXPIRED, renewal=Renewal(OWNER)),
        ["meshpki explain MPK-284"],
    ),
    ("cacerts is expired", ca(ISTIOD_CA, **EXPIRED), ["meshpki rotate istiod-ca"]),
    (
        "cacerts is expired, and nobody is there to sign another",
        replace(ca(ISTIOD_CA, **EXPIRED), steps=step("cert-manager", state=State.NOT_READY).steps),
        ["meshpki up", "meshpki rotate istiod-ca"],
    ),
    (
        "a rotation of a CA is half done, and a step not ready",
        replace(step("spire", state=State.NOT_READY), unfinished=(HALF_DONE,)),
        [HALF_DONE.command, "meshpki up"],
    ),
    ("SPIRE's CA is expired", ca(SPIRE_CA, **EXPIRED), ["meshpki rotate spire-ca --restart-agents"]),
    ("spire-server is gone", ca(SPIRE_CA, state=State.ABSENT, reason="no pod"), ["meshpki up"]),
    (
        "cacerts cannot be renewed",
        ca(ISTIOD_CA, state=State.NOT_READY, reason="denied"),
        ["meshpki verify --authorities"],
    ),
    ("a step is not ready", step("spire", state=State.NOT_READY), ["meshpki up"]),
    ("a step may not be read", step("spire", state=State.UNKNOWN), []),
    ("a CA may not be read", ca(SPIRE_CA, state=State.UNKNOWN, not_after=None), []),
    ("a step has drifted", step("istio", drift=Drift(compared=1, unseen=("a right is missing",))), []),
]


@pytest.mark.parametrize(("seen", "commands"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_safe_command_is_told_for_each_state(seen: StatusReport, commands: list[str]) -> None:
    assert [one.command for one in advice(seen)] == commands
