"""Whole rotations of the root in memory: forth, back, stopped at any write, and whatever can happen meanwhile.

Nothing may ever refuse anything on the way: `Rotating.broken` stays empty (tests/support/rotating.py).
"""

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from typing import TypeVar

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Ref
from meshpki.components.trust import ALIAS, CERT_MANAGER, pinned
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.rotate import goals, journey
from meshpki.rotate.acts import RETIRED
from meshpki.workflow.work import Limits
from tests.support.certificates import Issued
from tests.support.rotating import NODES, SETTINGS, Rotating, rotating
from tests.support.session import KilledError, Session
from tests.support.spire import Server
from tests.support.travel import Traveller

BEFORE_TAINT = goals.NAMES[: goals.NAMES.index(goals.TAINT)]
# More runs than a rotation has writes: then it goes in circles.
_RUNS = 90


def ending(mesh: Rotating, generation: int, *left: int) -> None:
    """The mesh lives under one generation alone, everywhere, and has left these."""
    mesh.hours.pass_by(300)
    name = f"{ALIAS}-g{generation}"
    root = mesh.cert_manager.keys[Ref("v1", "Secret", "cert-manager", name)]
    alone = {root.certificate.sha256}
    pin = pinned(mesh)
    assert pin
    assert (pin.generation, pin.fingerprints) == (generation, alone)
    assert mesh.cert_manager.signer() == root
    assert mesh.spire.bundle == [(root, False)]
    assert {server.active.upstream for server in mesh.spire.servers.values()} == {root}
    assert {one.root for one in mesh.spire.workloads.values()} == {root}
    assert {one.anchors for one in mesh.spire.workloads.values()} == {(root,)}
    assert {one.ca.chain[-1] for one in mesh.istiods.replicas.values()} == {root}
    assert {frozenset(held) for held in (*mesh.keepers().values(), *mesh.bootstrap().values())} == {frozenset(alone)}
    roots = {ref.name: one for ref, one in mesh.objects.items() if ref.kind == "Certificate" and ref.name != "cacerts"}
    assert {name for name, one in roots.items() if RETIRED in one["metadata"]["labels"]} == {
        f"{ALIAS}-g{number}" for number in left
    }
    assert len(roots) == 1 + len(left)
    assert mesh.istiods.refused == []


Item = TypeVar("Item")
Some = Callable[[Sequence[Item], int], Sequence[Item]]


@pytest.fixture
def some(request: pytest.FixtureRequest, sample: random.Random) -> Some[Item]:
    """All of them with --full, else a few."""
    return lambda what, number: what if request.config.getoption("--full") else sample.sample(what, number)


def test_several_servers_and_an_istiod_that_lags_follow_as_well() -> None:
    mesh = rotating(istiods=(0.0, 5.0), servers=2)
    Traveller(mesh, mesh.hours).forth()
    ending(mesh, 2, 1)
    assert mesh.broken == []


def test_a_root_is_rotated_stage_by_stage_and_then_once_more() -> None:
    mesh = rotating()
    one = Traveller(mesh, mesh.hours)
    for name in goals.NAMES:
        assert one.forth(until=name) in ([name], [])
        here = journey.standing(mesh, SETTINGS)
        assert here is None or goals.NAMES.index(here.stage.name) > goals.NAMES.index(name)
    ending(mesh, 2, 1)
    assert one.forth() == list(goals.NAMES)
    ending(mesh, 3, 1, 2)
    assert mesh.broken == []


def test_every_stage_before_the_taint_has_its_way_back(some: Some[str]) -> None:
    for stage in some(BEFORE_TAINT, 1):
        mesh = rotating()
        one = Traveller(mesh, mesh.hours)
        one.forth(until=stage)
        one.back()
        assert not [one for one in mesh.spire.servers.values() if one.serving not in listed(one)], stage
        ending(mesh, 1, 2)
        one.forth(until=goals.NEW_ROOT)
        assert journey.required_turn(mesh, SETTINGS).entering.number == 3, stage
        assert mesh.broken == [], stage


def listed(server: Server) -> tuple[Issued, ...]:
    """The CAs in a spire-server's slots; what it serves under another one nobody can tell from a stranger's."""
    return tuple(slot.ca for slot in (server.active, server.prepared, server.old) if slot)


def dying(mesh: Rotating, go: Callable[[Traveller], object], allowed: int) -> bool:
    """One run that may make so many writes; whether it came to its end."""
    session = Session(mesh, allowed=allowed)
    mesh.hours.pass_by(2)
    try:
        go(Traveller(session, mesh.hours))
    except (KilledError, MeshpkiError):
        assert session.dead
        return False
    return True


def going_on(traveller: Traveller, back: bool = False) -> None:
    """What a user does after a crash: the same command again."""
    if back and journey.standing(traveller.cluster, SETTINGS):
        traveller.back()
    elif not back:
        traveller.forth()


def finished(mesh: Rotating) -> bool:
    """Whether there is nothing to go on with: the next run would begin another rotation."""
    pin = pinned(mesh)
    return pin is not None and (pin.generation, len(pin.roots)) == (2, 1)


def test_a_run_that_is_killed_at_every_single_write_comes_to_the_same_end() -> None:
    mesh = rotating(servers=2)
    for runs in count(1):
        assert runs < _RUNS
        if finished(mesh):
            break
        dying(mesh, going_on, 1)
    ending(mesh, 2, 1)
    assert mesh.broken == []


def test_a_way_from_a_root_that_has_ended_comes_to_its_end_also_killed_at_every_single_write() -> None:
    mesh = Rotating()
    mesh.cert_manager.ends[f"{ALIAS}-g1"] = -timedelta(minutes=1)
    rotating(mesh=mesh, istiods=(0.0, 5.0))
    for runs in count(1):
        assert runs < _RUNS
        if finished(mesh):
            break
        mesh.hours.pass_by(3)  # spire-server starts again on the way
        dying(mesh, going_on, 1)
    mesh.istiods.refused.clear()  # both anchors beside the CA from before its renewal
    ending(mesh, 2, 1)


def test_a_root_that_has_ended_is_tainted_as_soon_as_it_may_be_and_before_a_server_starts_again() -> None:
    mesh = Rotating()
    mesh.cert_manager.ends[f"{ALIAS}-g1"] = -timedelta(minutes=1)
    rotating(mesh=mesh, servers=2)
    session = Session(mesh)
    Traveller(session, mesh.hours).forth(until=goals.ACTIVATE)
    told = [what for what in session.writes if "spire-server-" in what and not what.startswith("prepare")]
    assert told[:3] == ["activate spire-server-0", "activate spire-server-1", "taint spire-server-0"]
    assert "delete Pod spire-server/spire-server-1" in told[3:]


def test_spire_keeps_an_ended_root_that_it_cannot_be_told_to_drop_and_the_rotation_ends_all_the_same() -> None:
    mesh = Rotating()
    mesh.cert_manager.ends[f"{ALIAS}-g1"] = -timedelta(minutes=1)
    rotating(mesh=mesh)
    one = Traveller(mesh, mesh.hours)
    one.forth(until=goals.PREPARE)
    lose_its_journal(mesh)
    mesh.hours.pass_by(5)
    one.forth()
    assert finished(mesh)
    assert [tainted for _, tainted in mesh.spire.bundle] == [False, False]
    assert {one.root for one in mesh.spire.workloads.values()} == {mesh.cert_manager.signer()}


def test_a_way_back_that_is_killed_again_and_again_comes_to_the_same_end(some: Some[str]) -> None:
    """Signing under the other root once more takes some writes in a row, or it begins anew: each run has one more."""
    for stage in some(BEFORE_TAINT, 1):
        mesh = rotating()
        Traveller(mesh, mesh.hours).forth(until=stage)
        for writes in count(1):
            assert writes < _RUNS
            if dying(mesh, partial(going_on, back=True), writes):
                break
        ending(mesh, 1, 2)
        assert mesh.broken == [], stage


def test_a_run_that_is_killed_once_comes_to_the_same_end(some: Some[int]) -> None:
    mesh = rotating()
    whole = Session(mesh)
    Traveller(whole, mesh.hours).forth()
    for write in some(range(1, len(whole.writes)), 1):
        mesh = rotating()
        assert not dying(mesh, going_on, write)
        mesh.hours.pass_by(70)
        Traveller(mesh, mesh.hours).forth()
        ending(mesh, 2, 1)
        assert mesh.broken == [], whole.writes[write - 1]


FAULTS = {
    "busy": ClusterError("MPK-102", "the server is busy", status=503),
    "a conflict": ClusterError("MPK-102", "the object has been modified", status=409, reason="Conflict"),
    "no answer": ClusterError("MPK-102", "the connection was lost"),
}


def test_a_rotation_gets_over_an_error_at_every_other_write(some: Some[str]) -> None:
    for name in some(list(FAULTS), 1):
        mesh = rotating()
        for runs in count(1):
            assert runs < _RUNS
            if finished(mesh):
                break
            mesh.hours.pass_by(2)
            session = Session(mesh, faults=dict.fromkeys(range(2, 60, 2), FAULTS[name]))
            with contextlib.suppress(MeshpkiError):
                Traveller(session, mesh.hours).forth()
        ending(mesh, 2, 1)
        assert mesh.broken == [], name


EVENTS: Mapping[str, Callable[[Rotating, int], None]] = {
    "a pod is born": lambda mesh, number: (
        mesh.born(f"late-5d9-{number}", NODES[number % 2]) if number % 3 == 0 else None
    ),
    "an istiod starts again": lambda mesh, _number: mesh.istiods.restart("istiod-0"),
    "spire-server starts again": lambda mesh, _number: mesh.spire.restart("spire-server-0"),
    "an agent starts again": lambda mesh, number: mesh.spire.restart_agent(NODES[number % 2], 100 + number),
    "minutes pass": lambda mesh, _number: mesh.hours.pass_by(300),
}


def test_whatever_happens_at_every_write_of_a_rotation_nobody_refuses_anybody(some: Some[str]) -> None:
    for name in some(list(EVENTS), 1):
        mesh, numbers = rotating(), count()
        happen = partial(EVENTS[name], mesh)
        for runs in count(1):
            assert runs < _RUNS
            if finished(mesh):
                break
            mesh.hours.pass_by(2)
            session = Session(mesh, after=lambda happen=happen, numbers=numbers: happen(next(numbers)))
            with contextlib.suppress(MeshpkiError):  # spire-server does not answer while it starts
                Traveller(session, mesh.hours).forth()
        ending(mesh, 2, 1)
        assert mesh.broken == [], name


def test_after_the_taint_there_is_only_the_way_on() -> None:
    mesh = rotating()
    session = Session(mesh)
    Traveller(session, mesh.hours).forth(until=goals.MOVED)
    dying(mesh, going_on, 1)
    mesh.hours.pass_by(60)
    assert any(tainted for _, tainted in mesh.spire.bundle)
    for _ in range(2):
        with pytest.raises(PreconditionError, match="MPK-436"):
            Traveller(mesh, mesh.hours).back()
        dying(mesh, going_on, 1)
    Traveller(mesh, mesh.hours).forth()
    ending(mesh, 2, 1)
    assert mesh.broken == []


def lose_its_journal(mesh: Rotating) -> None:
    mesh.spire.restart("spire-server-0", journal=False)


def prepare_by_itself(mesh: Rotating) -> None:
    mesh.spire.prepare_by_itself("spire-server-0")


LAPSES = [
    *((lose_its_journal, stage) for stage in (goals.PREPARE, goals.ACTIVATE, goals.MOVED)),
    *((prepare_by_itself, stage) for stage in (goals.TRUST_ISTIOD, goals.ACTIVATE, goals.MOVED)),
]
Lapse = tuple[Callable[[Rotating], None], str]


def test_a_server_that_lost_or_overwrote_its_slots_is_brought_back_into_reach(some: Some[Lapse]) -> None:
    for happen, stage in some(LAPSES, 1):
        mesh = rotating()
        Traveller(mesh, mesh.hours).forth(until=stage)
        happen(mesh)
        mesh.hours.pass_by(10)
        Traveller(mesh, mesh.hours).forth()
        ending(mesh, 2, 1)
        assert mesh.broken == [], (happen, stage)


def test_a_root_whose_secret_came_back_with_another_key_is_entered_no_more() -> None:
    mesh = rotating()
    one = Traveller(mesh, mesh.hours)
    one.forth(until=goals.TRUST)
    mesh.cert_manager.lose(Ref("v1", "Secret", "cert-manager", f"{ALIAS}-g1"))
    mesh.hours.pass_by(5)
    before = list(mesh.writes)
    for go in (one.forth, one.back):
        with pytest.raises(PreconditionError, match="MPK-437"):
            go()
    assert mesh.writes == before


def test_a_stage_that_somebody_does_not_follow_ends_with_its_targets() -> None:
    mesh = rotating()
    del mesh.listeners["client-5d9-x", 15000]
    with pytest.raises(MeshpkiError, match="MPK-440") as refused:
        Traveller(mesh, mesh.hours, Limits(gate=timedelta(seconds=20))).forth()
    assert "bookinfo/client-5d9-x" in refused.value.what
    assert mesh.broken == []
    assert Ref(CERT_MANAGER, "Certificate", "cert-manager", f"{ALIAS}-g2") in mesh.objects


def test_pods_that_have_mounted_one_root_since_mount_both_again_before_the_way_back_renews() -> None:
    """Killed between the renewal and both roots: istiod published one alone to pods that had been hurried before."""
    mesh = rotating()
    Traveller(mesh, mesh.hours).forth(until=goals.ACTIVATE)
    dying(mesh, going_on, 1)
    mesh.hours.pass_by(130)
    assert len(mesh.istiods.roots(mesh.istiods.replicas["istiod-0"])) == 1
    Traveller(mesh, mesh.hours).back()
    ending(mesh, 1, 2)
    assert mesh.broken == []
