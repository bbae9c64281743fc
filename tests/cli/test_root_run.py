"""`meshpki rotate root` from its first look to its last word, beside a probe, on a mesh in memory."""

import _thread
import json
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshpki.cli.ca_rotation import Asked
from meshpki.cli.format import Format
from meshpki.cli.root_forms import Intent, Outcome
from meshpki.cli.root_page import write_page
from meshpki.cli.root_rotation import rotated
from meshpki.cli.root_wish import Wish
from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.probe import STEP
from meshpki.components.probe_flow import NAMESPACE
from meshpki.components.trust import ALIAS, istiod_certificate, pinned
from meshpki.errors import FAILED, OK, TIMED_OUT, GateTimeoutError, PreconditionError, UsageError
from meshpki.rotate import acts, compromise, goals, journey
from meshpki.status.rotation import rotation
from tests.support.cluster import InMemoryCluster
from tests.support.hours import Hours
from tests.support.probed import PLACE, Probed, probed
from tests.support.rotating import SETTINGS

ASKED, SOON = (Asked(ask=False, timeout=timedelta(minutes=most)) for most in (10, 1))


def outcome(mesh: Probed, wish: Wish | None = None, asked: Asked = ASKED) -> Outcome:
    done = rotated(mesh, SETTINGS, asked, wish or Wish(), mesh.hours)
    assert isinstance(done, Outcome)
    return done


def alone(mesh: Probed) -> int:
    """The generation that the mesh lives under, and under no other."""
    pin = pinned(mesh)
    assert pin
    assert len(pin.roots) == 1
    assert PLACE not in mesh.objects
    assert mesh.broken == []
    return pin.generation


def once(mesh: Probed, name: str, act: Callable[[], None]) -> None:
    """Have something happen when an object of this name is written, the first time."""
    left = [act]

    def react(_cluster: InMemoryCluster, stored: Object) -> None:
        if stored["metadata"]["name"] == name and left:
            left.pop()()

    mesh.reactions.append(react)


def at_command(mesh: Probed, word: str, act: Callable[[], None]) -> None:
    """Have something happen when spire-server is told this, each time."""
    answer = mesh.shell
    assert answer

    def shell(where: Ref, argv: Sequence[str]) -> str:
        if word in argv:
            act()
        return answer(where, argv)

    mesh.shell = shell


def test_a_rotation_beside_a_probe_that_loses_nothing_is_proven_and_leaves_no_probe() -> None:
    mesh = probed()
    done = outcome(mesh)
    assert done.proof.verdict == "proven", done.proof.sentence
    assert done.exit_code == OK
    assert (alone(mesh), done.proof.finished) == (2, True)


def test_a_request_that_fails_before_the_taint_has_the_mesh_go_back_by_itself() -> None:
    mesh = probed()
    once(mesh, ALIAS, mesh.lose)
    done = outcome(mesh)
    assert (done.proof.verdict, done.exit_code) == ("failed", FAILED)
    assert done.error
    assert done.error.code == "MPK-440"
    assert (alone(mesh), done.proof.turn.entering.number) == (1, 1)
    assert done.proof.finished
    assert {goals.NEW_ROOT, goals.TRUST_ISTIOD, goals.FORGET} <= {span.stage for span in done.proof.spans}


def test_a_request_that_fails_after_the_taint_stops_the_run_and_the_next_one_goes_on() -> None:
    mesh = probed()
    at_command(mesh, "taint", mesh.lose)
    stopped = outcome(mesh)
    assert stopped.error
    assert "requests failed" in stopped.error.what
    assert (stopped.error.code, stopped.proof.verdict, stopped.exit_code) == ("MPK-440", "failed", FAILED)
    assert "--abort" not in stopped.told(Format.TEXT)
    done = outcome(mesh)
    assert (alone(mesh), done.proof.verdict) == (2, "proven")
    assert "the verdict is of this run alone, which went on at taint" in done.told(Format.TEXT)


def stopped_after_the_taint() -> Probed:
    mesh = probed()
    at_command(mesh, "taint", mesh.lose)
    stopped = outcome(mesh)
    assert stopped.error
    assert "requests failed" in stopped.error.what
    return mesh


def test_after_the_taint_a_mesh_that_loses_requests_goes_the_only_way_left() -> None:
    mesh = stopped_after_the_taint()
    mesh.cold = True
    done = outcome(mesh)
    assert (alone(mesh), done.proof.verdict, done.exit_code) == (2, "not proven", OK)


def test_a_request_that_fails_on_the_only_way_left_stops_nothing_and_is_told() -> None:
    mesh = stopped_after_the_taint()
    at_command(mesh, "prepare", mesh.lose)
    done = outcome(mesh)
    assert (alone(mesh), done.proof.verdict, done.exit_code) == (2, "failed", FAILED)


def due_soon(mesh: Probed) -> None:
    live, at = mesh.objects[istiod_certificate(SETTINGS)], datetime.now(UTC) + timedelta(minutes=2)
    mesh.put({**live, "status": {**live["status"], "renewalTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}})


def without_a_second_root(mesh: Probed) -> None:
    live = mesh.objects[Ref("apps/v1", "Deployment", "istio-system", "istiod")]
    mesh.put({**live, "spec": {**live["spec"], "template": {"spec": {"containers": []}}}})


@pytest.mark.parametrize(("change", "code"), [(due_soon, "MPK-432"), (without_a_second_root, "MPK-434")])
def test_a_rotation_that_is_gone_on_with_is_looked_at_before_its_next_write(
    change: Callable[[Probed], None], code: str
) -> None:
    mesh = probed()
    outcome(mesh, Wish(until=goals.TRUST))
    change(mesh)
    before = list(mesh.writes)
    with pytest.raises(PreconditionError, match=code):
        outcome(mesh)
    assert mesh.writes == before


def test_on_the_way_back_a_request_that_fails_stops_nothing_and_is_told() -> None:
    mesh = probed()
    outcome(mesh, Wish(until=goals.TRUST))
    once(mesh, ALIAS, mesh.lose)
    done = outcome(mesh, Wish(back=True))
    assert (done.error, done.proof.verdict, done.exit_code) == (None, "failed", FAILED)
    assert alone(mesh) == 1


def test_a_stage_that_fails_is_told_with_what_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    mesh = probed()
    at_command(mesh, "taint", mesh.lose)
    done = outcome(mesh)
    assert "failed: 6 failed of" in done.told(Format.TEXT)
    told = json.loads(done.told(Format.JSON))
    assert (told["verdict"], told["failed"], told["error"][:7]) == ("failed", 6, "MPK-440")
    assert capsys.readouterr().err.count("error MPK-440") == 1


def test_a_gate_that_stays_shut_keeps_its_own_exit_code_beside_the_verdict() -> None:
    mesh = probed()
    once(mesh, ALIAS, lambda: mesh.listeners.pop(("istiod-0", 15012)))
    done = outcome(mesh, asked=SOON)
    assert isinstance(done.error, GateTimeoutError)
    assert (done.proof.verdict, done.proof.finished, done.exit_code) == ("proven", False, TIMED_OUT)
    assert "meshpki rotate root --abort" in done.told(Format.TEXT)


def test_ctrl_c_leaves_the_page_and_no_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mesh, path = probed(), tmp_path / "proof.html"
    once(mesh, ALIAS, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        outcome(mesh, Wish(report=path))
    assert "MPK-447" in path.read_text(encoding="utf-8")
    assert "requests: not proven: 0 failed of" in capsys.readouterr().err
    assert PLACE not in mesh.objects
    outcome(mesh)
    assert alone(mesh) == 2


def test_what_was_counted_is_told_although_nobody_can_look_at_the_mesh_in_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mesh = probed()

    def away() -> None:
        mesh.hidden = frozenset({"ConfigMap"})

    mesh.farewell = away
    done = outcome(mesh)
    assert (done.proof.verdict, done.proof.finished, done.report, done.exit_code) == ("proven", True, None, FAILED)
    assert "get refused: ConfigMap" in capsys.readouterr().err
    said = done.told(Format.TEXT)
    assert "could not be looked at in the end" in said
    assert "--retire meshpki-root-g1" in said
    write_page(done, tmp_path / "proof.html")
    assert (tmp_path / "proof.html").exists()


def test_a_probe_that_does_not_go_is_told_of_a_rotation_that_is_through(capsys: pytest.CaptureFixture[str]) -> None:
    mesh = probed()

    def hold() -> None:
        live = mesh.objects[PLACE]
        mesh.put({**live, "metadata": {**live["metadata"], "finalizers": ["somebody.invalid/holds"]}})

    once(mesh, NAMESPACE, hold)
    done = outcome(mesh)
    assert (done.proof.verdict, done.exit_code) == ("proven", OK)
    assert "MPK-456" in capsys.readouterr().err


def test_the_last_look_at_a_mesh_with_a_compromised_root_is_one_after_its_pods_were_replaced() -> None:
    mesh = probed()

    def react(_cluster: InMemoryCluster, stored: Object) -> None:
        notes = stored.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations", {})
        if compromise.DRAINED in notes and ("client-5d9-x", 15000) in mesh.listeners:
            del mesh.listeners["client-5d9-x", 15000]

    mesh.reactions.append(react)
    done = outcome(mesh, Wish(compromised=True))
    assert done.report
    assert done.proof.verdict == "proven", done.proof.sentence
    assert done.report.counts["proven"] == len(done.report.pods) - 1
    assert done.closing
    assert done.closing.drained is not None


def test_a_drain_that_cannot_be_begun_fails_the_run_and_keeps_what_was_counted() -> None:
    mesh = probed()

    def away() -> None:
        mesh.denied = frozenset({"Certificate"})

    mesh.farewell = away
    done = outcome(mesh, Wish(compromised=True))
    assert done.error
    assert "list refused: Certificate" in done.error.what
    assert (done.proof.verdict, done.exit_code) == ("proven", FAILED)


def silent() -> None:
    raise ClusterError("MPK-102", "no answer from the API server", where=str(PLACE))


def test_a_probe_that_cannot_be_deleted_hides_neither_ctrl_c_nor_the_stage_that_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mesh = probed()
    mesh.farewell = silent
    once(mesh, ALIAS, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        outcome(mesh)
    assert "no answer from the API server" in capsys.readouterr().err
    at_command(mesh, "taint", mesh.lose)
    failed = outcome(mesh).error
    assert failed
    assert "requests failed" in failed.what


@pytest.mark.parametrize("interrupt", [True, False], ids=["Ctrl-C", "a stage that failed"])
def test_what_was_counted_needs_no_answer_of_the_cluster(tmp_path: Path, *, interrupt: bool) -> None:
    mesh, path = probed(), tmp_path / "proof.html"

    def away() -> None:
        mesh.denied = frozenset({"Pod"})

    mesh.farewell = away
    wish = Wish(compromised=True, report=path)
    if interrupt:
        once(mesh, ALIAS, _thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):
            outcome(mesh, wish, SOON)
    else:
        once(mesh, ALIAS, lambda: mesh.listeners.pop(("istiod-0", 15012)))
        done = outcome(mesh, wish, SOON)
        assert (done.report, done.exit_code) == (None, TIMED_OUT)
        write_page(done, path)
    assert ("MPK-447" if interrupt else "MPK-440") in path.read_text(encoding="utf-8")


def test_a_probe_whose_requests_fail_from_the_start_keeps_a_rotation_from_being_begun() -> None:
    mesh = probed()
    mesh.cold = True
    with pytest.raises(GateTimeoutError) as shut:
        outcome(mesh, asked=SOON)
    assert (shut.value.code, alone(mesh)) == ("MPK-452", 1)


def test_the_way_back_does_not_wait_for_a_mesh_that_loses_requests_to_lose_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mesh = probed()
    outcome(mesh, Wish(until=goals.TRUST))
    mesh.cold = True
    began = mesh.hours.now()
    done = outcome(mesh, Wish(back=True))
    assert (alone(mesh), done.proof.verdict, done.exit_code) == (1, "not proven", OK)
    said = capsys.readouterr().err
    assert "error MPK-452" in said
    assert "going on without the probe" in said
    assert min(span.began for span in done.proof.spans if span.stage != STEP) - began < timedelta(minutes=3)


def test_nor_does_a_way_from_a_compromised_root_where_no_node_takes_a_probe() -> None:
    mesh = probed()
    for ref in [ref for ref in mesh.objects if ref.kind == "Node"]:
        mesh.put({**mesh.objects[ref], "spec": {"unschedulable": True}})
    with pytest.raises(PreconditionError, match="no node takes a pod"):
        outcome(mesh)
    assert (outcome(mesh, Wish(compromised=True)).proof.verdict, alone(mesh)) == ("not proven", 2)


def test_a_bad_target_of_the_probe_is_refused_on_every_way() -> None:
    mesh = probed()
    with pytest.raises(UsageError):
        outcome(mesh, Wish(compromised=True, target="no target"))


def test_a_root_that_was_said_to_be_compromised_is_one_although_that_run_never_began_its_first_stage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mesh = probed()
    once(mesh, NAMESPACE, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        outcome(mesh, Wish(compromised=True))
    assert alone(mesh) == 1
    intent = rotated(mesh, SETTINGS, Asked(dry_run=True), Wish(), mesh.hours)
    assert isinstance(intent, Intent)
    assert intent.exposed
    assert "known to somebody else: --compromised" in capsys.readouterr().err
    done = outcome(mesh)
    assert done.closing
    assert done.closing.drained is not None
    assert (alone(mesh), compromise.owed(mesh, SETTINGS)) == (2, None)


def test_a_dry_run_counts_what_each_stage_has_left_as_the_run_does_after_its_first_stage() -> None:
    mesh = probed()
    planned = json.loads(rotated(mesh, SETTINGS, Asked(dry_run=True), Wish(), mesh.hours).told(Format.JSON))
    outcome(mesh, Wish(until=goals.NEW_ROOT))
    begun = json.loads(rotated(mesh, SETTINGS, Asked(dry_run=True), Wish(), mesh.hours).told(Format.JSON))
    assert {one["name"]: one["left"] for one in planned["stages"]} == {
        one["name"]: one["left"] for one in begun["stages"]
    }
    assert "0" not in {one["left"] for one in planned["stages"]}


@pytest.mark.parametrize("wish", [Wish(), Wish(probe=False)], ids=["with a probe", "--no-probe"])
def test_what_a_probe_makes_is_told_before_the_yes(wish: Wish) -> None:
    intent = rotated(probed(), SETTINGS, Asked(dry_run=True), wish, Hours())
    assert isinstance(intent, Intent)
    told = [line for line in intent.lines() if "a probe" in line]
    assert len(told) == wish.probe
    assert all(part in line for line in told for part in (str(PLACE), "5 Deployment", "3 Service,", "1 Secret"))


def test_a_root_of_which_nothing_was_said_is_not_compromised() -> None:
    intent = rotated(probed(), SETTINGS, Asked(dry_run=True), Wish(), Hours())
    assert isinstance(intent, Intent)
    assert intent.exposed is None


def test_an_api_server_that_does_not_answer_holds_up_no_ctrl_c() -> None:
    mesh, free, interrupted = probed(), threading.Event(), list[float]()

    def hang() -> None:
        free.wait(30)

    def interrupt() -> None:
        interrupted.append(time.monotonic())
        _thread.interrupt_main()

    mesh.farewell = hang
    once(mesh, ALIAS, interrupt)
    with pytest.raises(KeyboardInterrupt):
        outcome(mesh)
    assert time.monotonic() - interrupted[0] < 15
    free.set()


@pytest.mark.parametrize("istiods", [(0.0,), (0.0, 5.0)], ids=["one istiod", "two"])
def test_a_root_that_has_ended_is_left_although_nothing_under_it_is_accepted_any_more(istiods: Sequence[float]) -> None:
    mesh = probed(root_ends=-timedelta(minutes=1), istiods=istiods)
    done = outcome(mesh)
    pin = pinned(mesh)
    assert pin
    assert (pin.generation, len(pin.roots), done.proof.finished) == (2, 1, True)
    assert set(mesh.keepers().values()) == {frozenset(pin.fingerprints)}
    assert {one.anchors for one in mesh.spire.workloads.values()} == {tuple(mesh.spire.roots)}
    assert {one.root.certificate for one in mesh.spire.workloads.values()} == {pin.root}
    assert {one.ca.chain[-1].certificate for one in mesh.istiods.replicas.values()} == {pin.root}
    assert [root.certificate for root in mesh.spire.roots] == [pin.root]


def ended(generation: int) -> Probed:
    """A mesh in mid-rotation whose old root has ended; this generation is pinned as the one that it moves to."""
    mesh = probed(root_ends=-timedelta(minutes=1))
    outcome(mesh, Wish(until=goals.PREPARE))
    turn = journey.required_turn(mesh, SETTINGS)
    if generation == turn.leaving.number:
        acts.pin(mesh, generation, turn.leaving.root, turn.entering.root)
    return mesh


@pytest.mark.parametrize("generation", [2, 1], ids=["on the way forth", "on a way back that was begun before its end"])
def test_there_is_no_way_back_to_a_root_that_has_ended(generation: int) -> None:
    mesh = ended(generation)
    seen = rotation(mesh, SETTINGS)
    assert seen
    assert seen.next_commands == ("meshpki rotate root",)
    before = list(mesh.writes)
    with pytest.raises(PreconditionError, match="has ended") as refused:
        outcome(mesh, Wish(back=True))
    assert (refused.value.code, mesh.writes) == ("MPK-436", before)
    assert outcome(mesh).proof.finished
    pin = pinned(mesh)
    assert pin
    assert (pin.generation, len(pin.roots)) == (2, 1)


def test_what_is_to_be_done_about_a_root_that_has_ended_is_told_in_its_order_and_without_a_way_back() -> None:
    mesh = probed(root_ends=-timedelta(minutes=1))
    intent = rotated(mesh, SETTINGS, Asked(dry_run=True), Wish(), mesh.hours)
    assert isinstance(intent, Intent)
    rows = json.loads(intent.told(Format.JSON))["stages"]
    assert [row["name"] for row in rows] == [stage.name for stage in goals.FROM_AN_ENDED_ROOT]
    assert {row["wayBack"] for row in rows} == {"none: the old root has ended"}
