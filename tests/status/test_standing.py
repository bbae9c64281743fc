from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.cluster.manifest import Ref
from meshpki.status.drift import Changed, Drift
from meshpki.status.report import State, StatusReport, StepStatus
from meshpki.status.rotation import RotationStatus
from meshpki.status.standing import Standing, Word, standings
from tests.support.certificates import AT

WEB = Ref("apps/v1", "Deployment", "demo", "web")
STEP = StepStatus("spire", State.READY)
DRIFTED = Drift(2, (Changed(WEB, ("spec.replicas",), ("kubectl",)), Changed(WEB)))


def report(*steps: StepStatus, rotation: RotationStatus | None = None) -> StatusReport:
    return StatusReport(AT, steps, (), timedelta(hours=1), rotation)


@pytest.mark.parametrize(
    ("step", "standing"),
    [
        (STEP, Standing("spire", Word.READY)),
        (
            replace(STEP, state=State.NOT_READY, reason="1/2 ready", drift=DRIFTED),
            Standing("spire", Word.NOT_READY, "1/2 ready", "meshpki up --only spire"),
        ),
        (replace(STEP, state=State.ABSENT), Standing("spire", Word.ABSENT, "", "meshpki up --to spire")),
        (
            replace(STEP, state=State.UNKNOWN, reason="no right"),
            Standing("spire", Word.UNKNOWN, "no right", "meshpki rbac status"),
        ),
        (
            replace(STEP, drift=DRIFTED),
            Standing(
                "spire",
                Word.DRIFTED,
                "Deployment demo/web: spec.replicas, changed by kubectl (and 1 more)",
                "meshpki up --only spire",
            ),
        ),
        (
            replace(STEP, drift=Drift(1, (), (WEB,))),
            Standing(
                "spire", Word.OUTDATED, "the settings want another Deployment demo/web", "meshpki up --only spire"
            ),
        ),
    ],
)
def test_a_step_is_told_in_one_word_with_its_reason_and_the_next_command(step: StepStatus, standing: Standing) -> None:
    assert standings(report(step)) == (standing,)


def test_while_a_root_rotation_runs_only_its_own_command_brings_a_step_on() -> None:
    under_way = RotationStatus(
        "g1 -> g2", "trust", next_commands=("meshpki rotate root", "meshpki rotate root --abort")
    )
    (found,) = standings(report(replace(STEP, state=State.NOT_READY, reason="two roots"), rotation=under_way))
    assert found.command == "meshpki rotate root"
