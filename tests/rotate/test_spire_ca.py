"""SPIRE's own CA: what is refused, from where a server goes on, what is activated and what is not."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.spire_authorities import Slots, Trusted
from meshpki.components.trust import Pin
from meshpki.errors import PRECONDITION, PreconditionError, StepError
from meshpki.rotate import spire_steps
from meshpki.rotate.mark import Mark, read
from meshpki.rotate.spire_ca import Facts, Rotation, Server, brief, intended, look, mark_key, refusals
from meshpki.rotate.spire_steps import done, judge_activated, judge_bundles, judge_moved, plan
from meshpki.rotate.svids import Moving
from meshpki.settings import defaults
from meshpki.workflow.step import Ready, Waiting
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster
from tests.support.spire_servers import BUNDLE, CONF, OTHER, ROOT, STRANGE, A, B, C, Spire, mesh_of, pod, two, workload


def volumes(*kinds: str) -> Object:
    return {"template": {"spec": {"volumes": [{"name": kind, kind: {}} for kind in kinds]}}, "volumeClaimTemplates": []}


def facts(*servers: Server, live: Object | None = None, conf: str = CONF, roots: Pin | None = None) -> Facts:
    one = Server(pod(), Slots(A), BUNDLE)
    return Facts(live or workload(), conf, servers or (one,), roots or Pin(1, (ROOT,)), ROOT)


@pytest.mark.parametrize(
    ("seen", "codes"),
    [
        (facts(), ()),
        (facts(live=workload(**volumes("hostPath"))), ()),
        (facts(live=workload(**volumes("persistentVolumeClaim"))), ()),
        (facts(live=workload(**volumes("emptyDir"))), ("MPK-421",)),
        (facts(conf=CONF.replace("disk", "memory")), ("MPK-421",)),
        (facts(Server(pod(image="spire-server:1.10.4"), Slots(A), BUNDLE)), ("MPK-421",)),
        (facts(Server(pod(image="r.example:5000/spire-server:v1.11.0"), Slots(A), BUNDLE)), ()),
        (facts(Server(pod(image="spire-server@sha256:00"), Slots(A), BUNDLE)), ()),
        (facts(Server(pod(), Slots(STRANGE), BUNDLE)), ("MPK-403",)),
        (facts(Server(pod(), Slots(A), (*BUNDLE, Trusted(OTHER, True)))), ("MPK-403",)),
        (replace(facts(), signing=OTHER), ("MPK-403",)),
        (replace(facts(), signing=None), ("MPK-403",)),
        (facts(roots=Pin(2, (OTHER, ROOT))), ("MPK-401",)),
    ],
    ids=[
        *("well", "on the host", "claimed", "on no volume", "in memory", "too old", "just new enough", "untagged"),
        *("under another root", "an old root left", "the root changed unseen", "nobody tells", "a root rotation"),
    ],
)
def test_spire_is_left_alone_where_a_new_ca_would_harm_or_not_last(seen: Facts, codes: tuple[str, ...]) -> None:
    found = refusals(seen, intended(seen, defaults()))
    assert tuple(error.code for error in found) == codes
    assert all(error.remedy and error.exit_code == PRECONDITION for error in found)


STAYING = Moving(("x",), {"Pod bookinfo/a": made.svid()[0]})


@pytest.mark.parametrize(
    ("moving", "begun", "compromised", "codes"),
    [
        (STAYING, None, False, ("MPK-425",)),
        (STAYING, None, True, ()),
        (STAYING, Mark(A.authority_id, A.expires), False, ()),
        (Moving(("x",), {}, {"y": "no answer"}), None, False, ()),
    ],
    ids=["not through", "but the key is lost", "it is this one", "a pod that does not answer"],
)
def test_another_change_waits_until_the_last_one_is_through(
    moving: Moving, begun: Mark | None, codes: tuple[str, ...], *, compromised: bool
) -> None:
    seen = replace(facts(Server(pod(), Slots(B, old=A), BUNDLE, begun)), moving=moving)
    found = refusals(seen, intended(seen, defaults(), compromised=compromised))
    assert tuple(error.code for error in found) == codes


def test_of_many_names_the_first_are_told() -> None:
    assert (brief(["a"]), brief(list("abcde"))) == ("a", "a, b, c and 2 more")


def start(name: str = A.authority_id, *, compromised: bool = False) -> Mark:
    return Mark(name, A.expires, compromised=compromised)


@pytest.mark.parametrize(
    ("slots", "begun", "compromised", "resumed"),
    [
        (Slots(A), None, False, False),
        (Slots(A), start(), False, True),
        (Slots(A, prepared=B), start(), False, True),
        (Slots(B, old=A), start(), False, True),
        (Slots(C, old=B), start(), False, False),
        (Slots(B, old=A), start(), True, False),
        (Slots(B, old=A), start(compromised=True), True, True),
    ],
    ids=[
        *("never begun", "killed at once", "killed when prepared", "killed when activated", "changed since"),
        *("what was activated may have leaked too", "the replacement was begun"),
    ],
)
def test_a_server_goes_on_from_where_it_was_and_never_begins_twice(
    slots: Slots, begun: Mark | None, *, compromised: bool, resumed: bool
) -> None:
    seen = facts(Server(pod(), slots, BUNDLE, begun))
    rotation = intended(seen, defaults(), compromised=compromised)
    assert rotation.resumed == ({"spire-server-0"} if resumed else set())
    active = slots.active
    assert active is not None
    expected = begun if resumed else Mark(active.authority_id, active.expires, compromised=compromised)
    assert rotation.start == {"spire-server-0": expected}
    assert rotation.restart_agents is rotation.wait is compromised


def test_with_a_leaked_key_the_prepared_ca_counts_as_known_too() -> None:
    seen = facts(Server(pod(), Slots(A, prepared=B), BUNDLE))
    assert intended(seen, defaults(), compromised=True).start["spire-server-0"].not_after == B.expires
    assert intended(seen, defaults()).start["spire-server-0"].not_after == A.expires


def test_a_server_without_a_ca_is_not_rotated() -> None:
    with pytest.raises(PreconditionError, match="MPK-423"):
        intended(facts(Server(pod(), Slots(), BUNDLE)), defaults())


def changed(there: InMemoryCluster, rotation: Rotation) -> None:
    step = next(one for one in plan(rotation).steps if one.name == "spire-ca")
    for program in step.programs:
        if not program.settled(there):
            program.run(there, threading.Event())


def test_what_a_cluster_shows_is_what_is_judged() -> None:
    there = mesh_of(two())
    seen = look(there, defaults())
    assert [one.slots.active and one.slots.active.authority_id for one in seen.servers] == [A.authority_id, "a2a2"]
    assert (seen.pin.roots, seen.signing, seen.config) == ((ROOT,), ROOT, CONF)
    assert refusals(seen, intended(seen, defaults())) == ()


def test_without_a_spire_server_there_is_nothing_to_rotate() -> None:
    with pytest.raises(PreconditionError, match="MPK-400"):
        look(mesh_of(Spire()), defaults())


def test_every_server_prepares_and_activates_one_after_the_other_and_only_once() -> None:
    spire = two()
    there = mesh_of(spire)
    rotation = intended(look(there, defaults()), defaults())
    assert isinstance(judge_activated(there, rotation), Waiting)
    changed(there, rotation)
    changed(there, rotation)
    assert spire.asked == [
        "prepare spire-server-0",
        f"activate spire-server-0 {B.authority_id}",
        "prepare spire-server-1",
        f"activate spire-server-1 {C.authority_id}",
    ]
    assert isinstance(judge_activated(there, rotation), Ready)
    assert judge_bundles(there, rotation) == Ready("the pinned root alone, as before")
    assert {name: one.authority_id for name, one in done(there, rotation).active.items()} == {
        "spire-server-0": B.authority_id,
        "spire-server-1": C.authority_id,
    }


def test_a_ca_under_another_root_is_prepared_but_never_activated() -> None:
    spire = replace(two(), next=[STRANGE])
    there = mesh_of(spire)
    rotation = intended(look(there, defaults()), defaults())
    with pytest.raises(StepError, match="MPK-422"):
        changed(there, rotation)
    assert spire.asked == ["prepare spire-server-0"]


@dataclass
class Busy(Spire):
    """A spire-server whose cert-manager is not reached for a number of times."""

    refusals: int = 0
    status: int = 500

    def __call__(self, ref: Ref, argv: Sequence[str]) -> str:
        if "prepare" in argv and self.refusals:
            self.refusals -= 1
            raise ClusterError("MPK-102", "failed calling webhook", status=self.status)
        return super().__call__(ref, argv)


@pytest.mark.parametrize(
    ("refusals", "status", "changes"),
    [(2, 500, True), (9, 500, False), (1, 403, False)],
    ids=["soon", "never", "denied"],
)
def test_minting_is_tried_again_where_it_may_succeed_a_moment_later(
    refusals: int, status: int, *, changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spire_steps, "_AGAIN", 0)  # a value, so that the test takes no seconds
    spire = Busy({"spire-server-0": Slots(A)}, refusals=refusals, status=status)
    there = mesh_of(spire)
    rotation = intended(look(there, defaults()), defaults())
    if changes:
        changed(there, rotation)
    else:
        with pytest.raises(ClusterError, match="failed calling webhook"):
            changed(there, rotation)
    assert spire.slots["spire-server-0"].active == (B if changes else A)


def test_a_stopped_run_asks_no_other_server() -> None:
    spire = two()
    there = mesh_of(spire)
    rotation = intended(look(there, defaults()), defaults())
    stop = threading.Event()
    stop.set()
    next(one for one in plan(rotation).steps if one.name == "spire-ca").programs[0].run(there, stop)
    assert spire.asked == []


@pytest.mark.parametrize(
    "bundle", [(Trusted(ROOT, True),), (*BUNDLE, Trusted(OTHER, False)), ()], ids=["tainted", "another", "none"]
)
def test_a_bundle_that_changed_keeps_the_gate_shut(bundle: tuple[Trusted, ...]) -> None:
    spire = two()
    there = mesh_of(spire)
    rotation = intended(look(there, defaults()), defaults())
    spire.bundle = bundle
    assert isinstance(judge_bundles(there, rotation), Waiting)


def test_the_start_is_marked_on_the_statefulset_for_each_server() -> None:
    there = mesh_of(two())
    rotation = intended(look(there, defaults()), defaults())
    for program in plan(rotation).steps[0].programs:
        assert not program.settled(there)
        program.run(there, threading.Event())
        assert program.settled(there)
    live = there.objects[Ref("apps/v1", "StatefulSet", "spire-server", "spire-server")]
    assert read(live, mark_key("spire-server-1")) == Mark("a2a2", A.expires)


def test_servers_and_agents_are_restarted_once_for_a_change_by_a_note_on_their_templates() -> None:
    spire = two()
    agents = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "spire-agent", "namespace": "spire-system"},
        "spec": {"template": {"metadata": {"annotations": {"meshpki.dev/config": "x"}}}},
    }
    there = mesh_of(spire, agents)
    rotation = intended(look(there, defaults()), defaults(), restart_agents=True)
    steps = {one.name: one for one in plan(rotation).steps}
    assert [steps[name].needs for name in ("servers", "agents", "svids")] == [("spire-ca",), ("servers",), ("agents",)]
    changed(there, rotation)
    for program in (*steps["servers"].programs, *steps["agents"].programs) * 2:
        if not program.settled(there):
            program.run(there, threading.Event())
    assert there.writes == [
        ("merge", "StatefulSet spire-server/spire-server"),
        ("merge", "DaemonSet spire-system/spire-agent"),
    ]


def test_where_nobody_waits_what_has_not_moved_is_told_and_not_waited_for() -> None:
    there = mesh_of(two())
    rotation = intended(look(there, defaults()), defaults())
    assert judge_moved(there, rotation) == Ready("0 of 2 certificates moved, 2 do not answer")
