"""The renewal of istiod's CA in mid-rotation: both roots are back before anybody reads the Secret."""

import base64
import threading

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.pki.bundle import read_bundle
from meshpki.rotate import acts, goals, journey
from meshpki.rotate.facts import Turn
from meshpki.rotate.istiod_leg import renew_istiod_ca
from meshpki.rotate.patience import Patience
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
    acts.hurry(mesh, acts.proxies(mesh), acts.bundle_mark(mesh, SETTINGS, turn.both))
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
