"""One run at a time: who gets the Lease, who is refused, who takes over, and what a lost one stops."""

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from meshpki.cluster.client import BACKGROUND, ClusterError, Deletion, Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.errors import FAILED, PRECONDITION, PreconditionError
from meshpki.lease.holder import Holder, ended, process_name, this_run
from meshpki.lease.lease import Lease
from meshpki.lease.leased import Leased
from meshpki.lease.record import LEASE, LeaseError, LeaseLostError, read, written
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Gate, Readiness, Step, Waiting
from meshpki.workflow.work import Limits
from tests.support.cluster import FakeClock, InMemoryCluster, config_map, namespace

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ANNA = Holder("anna@laptop pid 7 00000001", "meshpki up -f mesh.yaml", "boot pid:[1] 7 100")
CI = Holder("ci@runner pid 1 00000002", "meshpki rotate root --yes")


@dataclass
class Place:
    """A cluster with runs on it; what each was told."""

    cluster: InMemoryCluster = field(default_factory=InMemoryCluster)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster.put(namespace("kube-system"), namespace("default"))

    def lease(self, holder: Holder) -> Lease:
        return Lease(self.cluster, holder, self.clock, told=self.told.append, unchanged=lambda: None, every=None)

    def pass_by(self, seconds: int) -> None:
        self.clock.at += timedelta(seconds=seconds)
        self.cluster.server_date = (self.cluster.server_date or NOW) + timedelta(seconds=seconds)

    @property
    def live(self) -> Object | None:
        return self.cluster.objects.get(LEASE)


@pytest.fixture
def place() -> Place:
    return Place()


def test_the_lease_says_who_holds_it_and_is_gone_at_the_end(place: Place) -> None:
    lease = place.lease(ANNA)
    lease.take()
    assert place.live is not None
    held = read(place.live)
    assert held.holder == ANNA
    assert (held.since, held.stale_at) == (NOW, NOW + timedelta(seconds=60))
    lease.release()
    assert place.live is None
    assert place.told == []


def test_while_another_run_lives_the_refusal_names_it_its_command_and_its_times(place: Place) -> None:
    place.lease(ANNA).take()
    place.pass_by(20)
    with pytest.raises(LeaseError) as caught:
        place.lease(CI).take()
    assert (caught.value.code, caught.value.exit_code) == ("MPK-230", PRECONDITION)
    for part in (ANNA.identity, ANNA.command, "2026-11-24T12:00:00Z", "2026-11-24T12:01:00Z (in 40 s)"):
        assert part in caught.value.what


def test_a_run_that_was_killed_is_taken_over_once_its_time_is_up_and_that_is_said(place: Place) -> None:
    place.lease(ANNA).take()
    place.pass_by(61)
    place.lease(CI).take()
    assert place.live is not None
    assert read(place.live).holder == CI
    assert place.live["spec"]["leaseTransitions"] == 1
    assert len(place.told) == 1
    assert ANNA.identity in place.told[0]


def test_a_run_that_renews_is_not_taken_over(place: Place) -> None:
    lease = place.lease(ANNA)
    lease.take()
    for _ in range(6):
        place.pass_by(15)
        assert lease.renew()
    with pytest.raises(LeaseError):
        place.lease(CI).take()
    assert place.live is not None
    assert read(place.live).since == NOW


def test_times_are_the_api_servers_whatever_the_runs_own_clock_says(place: Place) -> None:
    place.clock.at = NOW + timedelta(hours=3)
    place.lease(ANNA).take()
    assert place.live is not None
    assert read(place.live).since == NOW
    with pytest.raises(LeaseError, match="in 60 s"):
        place.lease(CI).take()


def test_a_process_of_this_machine_that_has_ended_is_taken_over_at_once(place: Place) -> None:
    dead = replace(ANNA, process=process_name_of_nobody())
    place.cluster.put(written(dead, NOW, since=NOW))
    place.lease(CI).take()
    assert "its process has ended" in place.told[0]


def test_a_process_of_this_machine_that_runs_is_not(place: Place) -> None:
    place.cluster.put(written(this_run("meshpki up"), NOW, since=NOW))
    with pytest.raises(LeaseError):
        place.lease(CI).take()


def process_name_of_nobody() -> str:
    """This very process id, started at another time: as after a process that had it has ended."""
    return process_name(os.getpid()).rpartition(" ")[0] + " 1"


@pytest.mark.parametrize(
    ("process", "gone"),
    [
        ("", False),
        ("boot pid:[1] 8 100", True),
        ("boot pid:[1] 7 100", False),
        ("boot pid:[1] 7 99", True),
        ("otherboot pid:[1] 8 100", False),
        ("boot pid:[2] 8 100", False),
        ("boot pid:[1] x 100", False),
        ("nonsense", False),
    ],
)
def test_only_of_this_machine_is_an_end_known(process: str, gone: bool) -> None:
    here = {7: "boot pid:[1] 7 100"}
    assert ended(process, lambda pid: here.get(pid, "" if pid == 8 else here[7])) is gone


def test_whoever_swaps_first_wins_and_the_other_is_refused(place: Place) -> None:
    place.lease(ANNA).take()
    place.pass_by(61)

    class Late(InMemoryCluster):
        def replace(self, manifest: Object) -> Object:
            if read(manifest).holder == CI and not place.told:
                place.told.append("anna came back")
                InMemoryCluster.replace(self, written(ANNA, NOW + timedelta(seconds=61), since=NOW, before=place.live))
            return InMemoryCluster.replace(self, manifest)

    place.cluster = Late(place.cluster.objects, server_date=place.cluster.server_date, revision=100)
    with pytest.raises(LeaseError) as caught:
        place.lease(CI).take()
    assert caught.value.code == "MPK-230"


def steal(place: Place) -> None:
    place.cluster.put({**written(CI, NOW, since=NOW)})


def delete(place: Place) -> None:
    del place.cluster.objects[LEASE]


@pytest.mark.parametrize(("how", "told"), [(steal, CI.command), (delete, "somebody deleted it")])
def test_a_lease_that_is_lost_stops_every_write_and_every_look(place: Place, how: object, told: str) -> None:
    lease = place.lease(ANNA)
    cluster = Leased(place.cluster, lease)
    cluster.apply(config_map("a"))
    how(place)  # type: ignore[operator]
    assert not lease.renew()
    before = dict(place.cluster.objects)
    for act in (lambda: cluster.apply(config_map("b")), lambda: cluster.get(Ref("v1", "ConfigMap", "default", "a"))):
        with pytest.raises(LeaseLostError) as caught:
            act()
        assert caught.value.code == "MPK-231"
        assert told in caught.value.what
    lease.release()
    assert place.cluster.objects == before


def test_a_lease_that_could_not_be_renewed_in_time_counts_as_lost(place: Place) -> None:
    lease = place.lease(ANNA)
    lease.take()
    place.pass_by(50)
    place.cluster.faults.append(ClusterError("MPK-101", "no answer"))
    with pytest.raises(ClusterError):
        lease.renew()
    lease.check()
    place.pass_by(6)
    with pytest.raises(LeaseLostError) as caught:
        lease.check()
    assert (caught.value.code, caught.value.exit_code) == ("MPK-231", FAILED)


def test_one_failed_renewal_is_made_good_by_the_next(place: Place) -> None:
    lease = place.lease(ANNA)
    lease.take()
    place.cluster.faults.append(ClusterError("MPK-101", "no answer"))
    with pytest.raises(ClusterError):
        lease.renew()
    place.pass_by(30)
    assert lease.renew()
    place.pass_by(40)
    lease.check()


def test_a_lease_that_somebody_annotates_stays_held(place: Place) -> None:
    lease = place.lease(ANNA)
    lease.take()
    place.cluster.merge(LEASE, {"metadata": {"annotations": {"note": "x"}}}, "kubectl")
    with pytest.raises(ClusterError):
        lease.renew()
    assert lease.renew()
    lease.release()
    assert place.live is None


def test_without_a_write_there_is_no_lease(place: Place) -> None:
    lease = place.lease(ANNA)
    cluster = Leased(place.cluster, lease)
    cluster.get(Ref("v1", "ConfigMap", "default", "a"))
    cluster.dry_run(config_map("a"))
    lease.release()
    assert place.cluster.writes == []


def test_the_first_write_comes_after_the_lease_and_none_after_its_end(place: Place) -> None:
    lease = place.lease(ANNA)
    cluster = Leased(place.cluster, lease)
    cluster.apply(config_map("a"))
    assert [verb for verb, _ in place.cluster.writes] == ["create", "apply"]
    lease.release()
    with pytest.raises(LeaseLostError):
        cluster.apply(config_map("b"))


def test_where_the_mesh_is_not_as_it_was_planned_on_nothing_is_written_and_the_lease_is_given_up(place: Place) -> None:
    def changed() -> None:
        raise PreconditionError("MPK-232", "another run changed it")

    lease = Lease(place.cluster, ANNA, place.clock, told=place.told.append, unchanged=changed, every=None)
    cluster = Leased(place.cluster, lease)
    for name in ("a", "b"):  # the second of many writers as little as the first
        with pytest.raises(PreconditionError):
            cluster.apply(config_map(name))
    lease.release()
    assert [what for _, what in place.cluster.writes] == [str(LEASE), str(LEASE)]
    assert place.live is None


@pytest.mark.parametrize(("status", "asked", "written"), [(0, 2, ["b", "c"]), (429, 2, ["b", "c"]), (403, 1, [])])
def test_whether_the_mesh_was_changed_is_asked_again_after_an_error_that_passes_and_then_no_more(
    place: Place, status: int, asked: int, written: list[str]
) -> None:
    questions, left = list[int](), [ClusterError("MPK-102", "no answer", status=status)]

    def unchanged() -> None:
        questions.append(1)
        if left:
            raise left.pop()

    lease = Lease(place.cluster, ANNA, place.clock, told=place.told.append, unchanged=unchanged, every=None)
    cluster = Leased(place.cluster, lease)
    for name in ("a", "b", "c"):
        with suppress(ClusterError):
            cluster.apply(config_map(name))
    assert len(questions) == asked
    assert [ref.name for ref in place.cluster.objects if ref.kind == "ConfigMap"] == written
    lease.release()
    assert place.live is None


def test_a_thread_renews_it_while_the_run_goes_on() -> None:
    place, renewed = Place(), threading.Event()
    every = timedelta(milliseconds=5)
    lease = Lease(place.cluster, ANNA, place.clock, told=place.told.append, unchanged=lambda: None, every=every)
    lease.take()

    def seen(_cluster: InMemoryCluster, live: Object) -> None:
        if read(live).stale_at == NOW + timedelta(seconds=70):
            renewed.set()

    place.cluster.reactions.append(seen)
    place.pass_by(10)
    assert renewed.wait(20)
    lease.release()
    assert place.live is None


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None, "renewTime": "soon", "leaseDurationSeconds": 1}])
def test_a_lease_without_times_holds_nobody_up(place: Place, spec: Object | None) -> None:
    bare = written(ANNA, NOW, since=NOW)
    place.cluster.put({**bare, "spec": spec, "metadata": {"name": "meshpki", "namespace": "kube-system"}})
    place.lease(CI).take()
    assert place.live is not None
    assert read(place.live).holder == CI


def test_an_api_server_that_does_not_answer_holds_up_no_end(place: Place) -> None:
    free = threading.Event()

    class Silent(InMemoryCluster):
        def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
            free.wait(20)
            return super().delete(ref, how)

    place.cluster = Silent(place.cluster.objects)
    lease = place.lease(ANNA)
    lease.take()
    began = time.monotonic()
    lease.release()
    assert time.monotonic() - began < 15  # far from the 20 s of the server, on however slow a machine
    free.set()


def test_a_second_ctrl_c_does_not_cut_short_what_may_not_be_broken_off(place: Place) -> None:
    under_way, done, over = threading.Event(), threading.Event(), threading.Event()

    def impatient(text: str) -> None:
        place.told.append(text)
        if len(place.told) == 1:
            raise KeyboardInterrupt
        done.set()

    place.told, told = [], impatient
    lease = Lease(place.cluster, ANNA, place.clock, told=told, unchanged=lambda: None, every=None)
    leased = Leased(place.cluster, lease)

    def change() -> None:
        with leased.unbroken("a, then b"):
            leased.apply(config_map("a"))
            under_way.set()
            done.wait(20)
            leased.apply(config_map("b"))
        over.set()

    lease.take()
    threading.Thread(target=change, daemon=True).start()
    assert under_way.wait(20)
    lease.release()
    assert over.wait(20)
    assert Ref("v1", "ConfigMap", "default", "b") in place.cluster.objects
    assert place.live is None
    with pytest.raises(LeaseLostError), leased.unbroken("what would come after the end"):
        pass


def test_a_step_that_waits_at_a_gate_ends_once_the_lease_is_lost(place: Place) -> None:
    lease = place.lease(ANNA)
    looks = iter(range(100))

    def check(reader: Reader) -> Readiness:
        if next(looks) == 3:
            steal(place)
            lease.renew()
        reader.get(LEASE)
        return Waiting("never")

    step = Step("a", "a", (config_map("a"),), (Gate("shut", "it opens", check, "wait"),))
    with pytest.raises(LeaseLostError):
        list(run(Plan((step,)), Leased(place.cluster, lease), place.clock, Limits()))
    assert next(looks) < 10
