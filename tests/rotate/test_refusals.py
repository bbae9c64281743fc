"""Why istiod's CA is not rotated, and from where a rotation goes on: tables of what is seen and what is decided."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from meshpki.cluster.manifest import Object
from meshpki.components.trust import Pin
from meshpki.errors import PRECONDITION, USAGE
from meshpki.rotate.istiod_ca import Facts, Rotation, intended, retry_at
from meshpki.rotate.mark import ANNOTATION, Mark, read
from meshpki.rotate.refusals import refusals
from meshpki.settings import IstiodCA, defaults
from tests.support import certificates as made
from tests.support.certificates import AT
from tests.support.istiod_ca import READY, certificate

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROOT = made.mesh_root().certificate
LOST = made.root().certificate  # the same name, another key
CA = made.mesh_root().issue(made.CACERTS).certificate
STRANGE = made.root().issue(made.CACERTS).certificate
WISH = IstiodCA(720 * HOUR, 180 * HOUR)
FAILED: Object = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "no such key"}
ISSUING: Object = {"type": "Issuing", "status": "True"}
WAITING = {"failedIssuanceAttempts": 2, "lastFailureTime": "2026-11-24T11:30:00Z"}
BACK_OFF = certificate(READY, FAILED, **WAITING)
PAST = {"notAfter": f"{AT - HOUR:%Y-%m-%dT%H:%M:%SZ}"}
OVER = certificate({"type": "Ready", "status": "False", "reason": "Expired", "message": "it expired"}, **PAST)
WELL = Facts(certificate(), (CA,), Pin(1, (ROOT,)), ROOT, 1, DAY)


@dataclass(frozen=True)
class Case:
    """A difference from a mesh where all is well, and the codes that it is refused with."""

    name: str
    facts: Facts = WELL
    wish: IstiodCA = WISH
    codes: tuple[str, ...] = ()
    compromised: bool = False
    said: str = ""


def root(days: float) -> Pin:
    shape = made.ROOT.but(not_after=AT + timedelta(days=days))
    return Pin(1, (made.root(shape).certificate,))


def near(days: float) -> Facts:
    pin = root(days)
    return replace(WELL, pin=pin, signing=pin.root, chain=())


CASES = (
    Case("all is well"),
    Case("two roots are pinned", replace(WELL, pin=Pin(2, (LOST, ROOT)), signing=LOST), codes=("MPK-401",)),
    Case("it is being issued", replace(WELL, live=certificate(READY, ISSUING), chain=()), codes=("MPK-402",)),
    Case(
        "cert-manager waits after a failure",
        replace(WELL, live=BACK_OFF, chain=()),
        codes=("MPK-402",),
        said="no such key; cert-manager waits until 2026-11-24T13:30:00Z",
    ),
    Case(
        "it is not ready",
        replace(WELL, live=certificate({"type": "Ready", "status": "False", "message": "Secret gone"}), chain=()),
        codes=("MPK-402",),
        said="Secret gone",
    ),
    Case("it is expired, and not ready for that", replace(WELL, live=OVER, chain=())),
    Case("it is expired in back-off", replace(WELL, live=certificate(READY, FAILED, **WAITING, **PAST), chain=())),
    Case("its request is gone", replace(WELL, chain=()), codes=("MPK-410",)),
    Case("the root came back with a new key", replace(WELL, signing=LOST), codes=("MPK-403",), said=LOST.sha256),
    Case("the CA in use lies under another root", replace(WELL, chain=(STRANGE,)), codes=("MPK-403",)),
    Case("nobody can tell what signs", replace(WELL, signing=None), codes=("MPK-403",)),
    Case("a CA of two days", wish=IstiodCA(48 * HOUR, 12 * HOUR)),
    Case("a CA of less than two days", wish=IstiodCA(47 * HOUR, 12 * HOUR), codes=("MPK-404",), said="less than twice"),
    Case("workloads ask for two weeks", replace(WELL, workload_ttl=15 * DAY), IstiodCA(720 * HOUR, HOUR)),
    Case("workloads ask for more", replace(WELL, workload_ttl=16 * DAY), codes=("MPK-404",)),
    Case("the renewal at the end", wish=IstiodCA(300 * HOUR, 300 * HOUR), codes=("MPK-018",)),
    Case("the renewal before the beginning", wish=IstiodCA(300 * HOUR, 360 * HOUR), codes=("MPK-018",)),
    Case("a renewal within minutes", wish=IstiodCA(300 * HOUR, timedelta(minutes=4)), codes=("MPK-022",)),
    Case("half an hour", wish=IstiodCA(HOUR / 2, HOUR / 4), codes=("MPK-022", "MPK-404")),
    Case("longer than the settings' root", wish=IstiodCA(21600 * HOUR, HOUR), codes=("MPK-019", "MPK-405")),
    Case("a leaked key is replaced in back-off", replace(WELL, live=BACK_OFF, chain=()), compromised=True),
    Case("a leaked key is replaced without its request", replace(WELL, chain=()), compromised=True),
    Case("but not under another root", replace(WELL, signing=LOST), codes=("MPK-403",), compromised=True),
    Case("nor while it is issued", replace(WELL, live=certificate(ISSUING)), codes=("MPK-402",), compromised=True),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_for_every_reason_there_is_and_no_other(case: Case) -> None:
    rotation = intended(case.facts, defaults(), case.wish, compromised=case.compromised)
    found = refusals(case.facts, rotation, AT)
    assert tuple(error.code for error in found) == case.codes
    assert case.said in " ".join(error.what for error in found)
    assert all(error.remedy for error in found)
    usage = {error.code for error in found if error.exit_code == USAGE}
    assert usage == {code for code in case.codes if code.startswith("MPK-0")}
    assert {error.exit_code for error in found} <= {USAGE, PRECONDITION}


@pytest.mark.parametrize(
    ("days", "hours", "refused"),
    [(38, 720, False), (37, 720, True), (37, 700, False), (1, 720, True)],
    ids=["the margin is left", "within the margin", "shorter", "after the root"],
)
def test_the_ca_ends_as_long_before_its_root_as_it_is_renewed_before_its_own_end(
    days: float, hours: int, *, refused: bool
) -> None:
    facts = near(days)
    wish = IstiodCA(hours * HOUR, 180 * HOUR)
    codes = {error.code for error in refusals(facts, intended(facts, defaults(), wish), AT)}
    assert ("MPK-405" in codes) is refused


def marked(mark: Mark | None, *conditions: Object, at: int, wish: IstiodCA = WISH, text: str = "") -> Object:
    live = certificate(*conditions, settings=replace(defaults(), istiod_ca=wish), at=at)
    notes = {ANNOTATION: text or written(mark)} if mark or text else {}
    return {**live, "metadata": {**live["metadata"], "annotations": notes}}


def written(mark: Mark | None) -> str:
    assert mark is not None
    return (
        f'{{"name": "{mark.name}", "not_after": "{mark.not_after.isoformat()}", "revision": {mark.revision},'
        f' "compromised": {str(mark.compromised).lower()}}}'
    )


START = Mark("ab12", AT + DAY, 1)
LEAKED = replace(START, compromised=True)
OLD_WISH = IstiodCA(1440 * HOUR, 360 * HOUR)


@pytest.mark.parametrize(
    ("live", "compromised", "resumed"),
    [
        (marked(None, at=1), False, False),
        (marked(START, at=1), False, True),
        (marked(START, at=1, wish=OLD_WISH), False, True),
        (marked(START, ISSUING, at=1), False, True),
        (marked(START, at=2), False, True),
        (marked(START, at=2, wish=OLD_WISH), False, False),
        (marked(START, at=3), False, False),
        (marked(START, at=2), True, False),
        (marked(LEAKED, at=2), True, True),
        (marked(LEAKED, at=2), False, True),
        (marked(None, at=2, text="somebody else's"), False, False),
        (marked(None, at=2, text="[" * 99_999), False, False),
        (marked(None, at=2, text='{"name": "x"}'), False, False),
    ],
    ids=[
        *("never begun", "killed after the mark", "killed before the CA was applied", "killed while it was issued"),
        *("killed before it was taken up", "begun for another wish", "renewed by itself since"),
        *("the key of what was begun may have leaked too", "the replacement was begun", "so it was, and is finished"),
        *("a foreign mark", "a hostile mark", "half a mark"),
    ],
)
def test_what_was_begun_and_not_taken_up_is_finished_and_not_begun_anew(
    live: Object, *, compromised: bool, resumed: bool
) -> None:
    facts = replace(WELL, live=live)
    rotation = intended(facts, defaults(), WISH, compromised=compromised)
    assert rotation.resumed is resumed
    at = live["status"]["revision"]
    assert rotation.start == (read(live) if resumed else Mark(f"{CA.serial:x}", CA.not_after, at, compromised))
    assert rotation.settings.istiod_ca == WISH


def test_a_ca_that_has_ended_begins_a_rotation_with_its_own_end_and_nobody_who_has_its_key() -> None:
    start = intended(replace(WELL, live=OVER, chain=()), defaults(), WISH).start
    assert start == Mark("", AT - HOUR, 1, compromised=False)


def test_what_was_begun_goes_on_although_it_is_being_issued() -> None:
    facts = replace(WELL, live=marked(START, ISSUING, at=1), chain=())
    rotation = intended(facts, defaults(), WISH)
    assert refusals(facts, rotation, AT) == ()
    assert isinstance(rotation, Rotation)


@pytest.mark.parametrize(("attempts", "hours"), [(1, 1), (2, 2), (5, 16), (6, 32), (900, 32)])
def test_cert_manager_waits_an_hour_and_twice_as_long_after_each_failure(attempts: int, hours: int) -> None:
    live = certificate(failedIssuanceAttempts=attempts, lastFailureTime=AT.isoformat())
    assert retry_at(live) == AT + hours * HOUR
