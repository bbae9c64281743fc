"""The renewal of istiod's CA in mid-rotation: both roots are back before anybody reads the Secret."""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.errors import INTERRUPTED
from meshpki.lease.holder import this_run
from meshpki.lease.lease import Lease
from meshpki.lease.leased import Leased
from meshpki.lease.record import HalfDoneError
from meshpki.pki.bundle import read_bundle
from meshpki.rotate import acts, goals, journey, kubelet
from meshpki.rotate.facts import Turn
from meshpki.rotate.istiod_leg import renew_istiod_ca
from meshpki.rotate.patience import Patience
from meshpki.rotate.root import steps
from meshpki.rotate.rotation import Rotation
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.work import Limits
from tests.support.cluster import FakeClock
from tests.support.istiods import CACERTS
from tests.support.rotating import SETTINGS, Rotating, rotating
from tests.support.session import Session
from tests.support.travel import Traveller

BUSY = ClusterError("MPK-102", "the server is busy", status=503)
UNANSWERED = ClusterError("MPK-102", "no answer")


def before_it() -> tuple[Rotating, Turn]:
    mesh = rotating(istiods=(0.0, 20.0))
    Traveller(mesh, mesh.hours).forth(until=goals.NEW_ROOT)
    turn = journey.required_turn(mesh, SETTINGS)
    acts.hand_over(mesh, SETTINGS, turn.both)
    mesh.hours.pass_by(180)
    kubelet.hurry(mesh, acts.proxies(mesh), acts.MARK, acts.bundle_mark(mesh, SETTINGS, turn.both))
    acts.retarget(mesh, SETTINGS, turn.entering.number)
    return mesh, turn


def handed(mesh: Rotating) -> frozenset[str]:
    return read_bundle(base64.b64decode(mesh.objects[CACERTS]["data"]["ca.crt"])).fingerprints


class Stopping(Session):
    """A run that is stopped right after it has asked for the renewal."""

    stop: threading.Event

    def merge(self, *args: object, **options: object) -> object:
        done = super().merge(*args, **options)  # type: ignore[arg-type]
        if "status" in args:
            self.stop.set()
        return done


def test_a_stop_right_after_the_renewal_was_asked_for_leaves_both_roots() -> None:
    mesh, turn = before_it()
    session = Stopping(mesh)
    session.stop = threading.Event()
    renew_istiod_ca(session, SETTINGS, turn, Patience(mesh.hours, session.stop))
    assert handed(mesh) == {root.sha256 for root in turn.both}
    mesh.hours.pass_by(120)
    assert mesh.broken == []


def test_a_stop_before_that_writes_nothing() -> None:
    mesh, turn = before_it()
    session, stop = Session(mesh), threading.Event()
    stop.set()
    renew_istiod_ca(session, SETTINGS, turn, Patience(mesh.hours, stop))
    assert session.writes == []


@pytest.mark.parametrize("fault", [BUSY, UNANSWERED], ids=["refused", "carried out, but not answered"])
def test_an_api_server_that_is_busy_for_a_moment_does_not_leave_one_root_alone(fault: ClusterError) -> None:
    mesh, turn = before_it()
    session = Session(mesh, faults={2: fault})
    renew_istiod_ca(session, SETTINGS, turn, Patience(mesh.hours, threading.Event()))
    assert handed(mesh) == {root.sha256 for root in turn.both}
    assert session.writes[1] == f"merge {CACERTS}"
    mesh.hours.pass_by(120)
    assert mesh.broken == []


def test_pods_that_an_earlier_run_did_not_come_to_mount_both_roots_before_the_renewal() -> None:
    mesh, turn = before_it()
    mesh.born("late-5d9-x")
    session = Session(mesh)
    renew_istiod_ca(session, SETTINGS, turn, Patience(mesh.hours, threading.Event()))
    assert session.writes[0] == "merge Pod bookinfo/late-5d9-x"
    assert session.writes[1].startswith("merge Certificate")


@dataclass
class Renewing(Session):
    """A run whose renewal of `cacerts` is answered late, or never in its lifetime."""

    asked: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    fault: ClusterError | None = None

    def merge(self, *args: object, **options: object) -> object:
        done = super().merge(*args, **options)  # type: ignore[arg-type]
        if "status" in args and not self.asked.is_set():
            self.asked.set()
            self.answered.wait(20)
            if self.fault:
                raise self.fault
        return done


def interrupted(mesh: Rotating, session: Renewing, turn: Turn, told: Callable[[str], None], wait: timedelta) -> None:
    """The whole stage by the real engine under the Lease; Ctrl-C right after the renewal was asked for."""
    clock = FakeClock()
    lease = Lease(
        session,  # type: ignore[arg-type]
        this_run("meshpki rotate root"),
        clock,
        told=told,
        unchanged=lambda: None,
        every=None,
        whole_within=wait,
    )
    lease.take()
    stage = steps(Rotation(SETTINGS, turn, mesh.hours), goals.ISTIOD_CA, goals.ISTIOD_CA)
    events = run(Plan(stage), Leased(session, lease), mesh.hours, Limits())  # type: ignore[arg-type]
    for _ in events:
        if session.asked.is_set():
            break
    events.close()
    lease.release()


@pytest.mark.parametrize("fault", [None, UNANSWERED], ids=["answered late", "carried out, but not answered"])
def test_ctrl_c_in_mid_renewal_ends_the_run_once_both_roots_are_back(fault: ClusterError | None) -> None:
    mesh, turn = before_it()
    session, said = Renewing(mesh, fault=fault), list[str]()

    def told(text: str) -> None:
        said.append(text)
        session.answered.set()

    interrupted(mesh, session, turn, told, timedelta(seconds=20))
    assert len(said) == 1
    assert "both roots are put back into Secret cacerts" in said[0]
    assert handed(mesh) == {root.sha256 for root in turn.both}
    session.answered.set()
    mesh.hours.pass_by(120)
    assert mesh.broken == []


def test_a_renewal_that_does_not_end_is_told_instead_of_a_safe_point() -> None:
    mesh, turn = before_it()
    session = Renewing(mesh)
    with pytest.raises(HalfDoneError, match="not done within 0 s") as caught:
        interrupted(mesh, session, turn, lambda _: None, timedelta(seconds=0.1))
    assert (caught.value.code, caught.value.exit_code) == ("MPK-241", INTERRUPTED)
    session.answered.set()
