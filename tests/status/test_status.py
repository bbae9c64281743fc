from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from meshpki import errors
from meshpki.artifacts import NONE
from meshpki.cluster.client import ClusterError, NoAccessError, Reader
from meshpki.cluster.manifest import Object, Query, owned
from meshpki.settings import defaults
from meshpki.status import StatusReport, look, unseen
from meshpki.status.drift import Changed, Drift
from meshpki.status.report import AuthorityStatus, State, StepStatus
from meshpki.status.step import NOT_ASKED, gather, judge
from meshpki.workflow.step import Failed, Gate, Readiness, Ready, Step, Waiting
from tests.support.certificates import AT
from tests.support.cluster import config_map, namespace
from tests.support.mesh import Mesh, mesh

DENIED = NoAccessError("MPK-102", "list refused", remedy="needs the right to list", status=403)
MANIFEST = config_map("a", "home", key="value")
WELL = StepStatus("spire", State.READY)
CA = AuthorityStatus("root", State.READY)


class Blind(Mesh):
    """A cluster in which kinds may not be listed."""

    def list(self, query: Query) -> list[Object]:
        if query.kind in self.denied:
            raise DENIED
        return super().list(query)


def gate(readiness: Readiness | Exception, name: str = "gate") -> Gate:
    def check(_reader: Reader) -> Readiness:
        if isinstance(readiness, Exception):
            raise readiness
        return readiness

    return Gate(name, "it works", check, "look")


def step(*gates: Gate, name: str = "spire") -> Step:
    return Step(name, "", (MANIFEST,), gates)


def judged(cluster: Mesh, chosen: Step) -> StepStatus:
    return judge(cluster, defaults(), chosen, gather(cluster, defaults(), [chosen]))


def installed(name: str = "spire", **data: str) -> Mesh:
    live = owned(MANIFEST, name)
    return mesh(namespace("home"), {**live, "data": {**live["data"], **data}})


@pytest.mark.parametrize(
    ("gates", "state", "reason"),
    [
        ([Ready("fine")], State.READY, ""),
        ([Ready(), Waiting("1/2 ready")], State.NOT_READY, "1/2 ready"),
        ([Failed("denied"), Waiting("no pod")], State.NOT_READY, "denied; no pod"),
        (
            [Ready(), ClusterError("MPK-102", "port-forward refused", status=500)],
            State.NOT_READY,
            "port-forward refused",
        ),
        ([Ready(), DENIED], State.UNKNOWN, "list refused; needs the right to list"),
        ([DENIED, Waiting("no pod")], State.NOT_READY, "no pod"),
    ],
)
def test_a_step_is_as_its_gates_say(gates: list[Readiness | Exception], state: State, reason: str) -> None:
    found = judged(installed(), step(*map(gate, gates)))
    assert (found.state, found.reason) == (state, reason)


def test_gates_that_do_more_than_look_are_never_asked() -> None:
    tripwires = [gate(AssertionError(f"{name} was asked"), name) for chosen, name in NOT_ASKED if chosen == "workloads"]
    found = judged(installed("workloads"), step(*tripwires, gate(Ready()), name="workloads"))
    assert (len(tripwires), found.state) == (3, State.READY)


def test_a_step_of_which_nothing_is_there_is_absent_and_its_gates_are_not_asked() -> None:
    found = judged(mesh(), step(gate(AssertionError("asked"))))
    assert (found.state, found.drift) == (State.ABSENT, Drift())


def test_a_changed_object_makes_a_ready_step_ill() -> None:
    found = judged(installed(key="other"), step(gate(Ready())))
    assert (found.state, found.well, [one.fields for one in found.drift.found]) == (State.READY, False, [("data.key",)])


def test_an_object_that_lost_our_label_is_still_found_and_its_label_missed() -> None:
    live = owned(MANIFEST, "spire")
    live["metadata"]["labels"] = {}
    found = judged(mesh(live), step(gate(Ready())))
    assert found.drift.compared == 1
    assert all(name.startswith("metadata.labels.") for one in found.drift.found for name in one.fields)


def test_a_kind_that_may_not_be_listed_is_said_and_not_taken_for_gone() -> None:
    cluster = Blind(denied=frozenset({"ConfigMap"}))
    found = judged(cluster, step(gate(DENIED)))
    assert (found.state, found.drift.found, found.drift.unseen) == (
        State.UNKNOWN,
        (),
        ("kind ConfigMap: list refused",),
    )


def report(*steps: StepStatus, authorities: tuple[AuthorityStatus, ...] = (CA,)) -> StatusReport:
    return StatusReport(AT, steps, authorities, timedelta(hours=1))


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (report(WELL), errors.OK),
        (report(WELL, replace(WELL, drift=Drift(1, outdated=(errors,)))), errors.OK),  # type: ignore[arg-type]
        (report(WELL, replace(WELL, state=State.NOT_READY)), errors.BROKEN),
        (report(WELL, replace(WELL, state=State.ABSENT)), errors.BROKEN),
        (report(WELL, replace(WELL, drift=Drift(1, (Changed(None),)))), errors.BROKEN),  # type: ignore[arg-type]
        (report(WELL, replace(WELL, state=State.UNKNOWN)), errors.PRECONDITION),
        (report(replace(WELL, state=State.UNKNOWN), replace(WELL, state=State.NOT_READY)), errors.BROKEN),
        (report(replace(WELL, state=State.ABSENT)), errors.PRECONDITION),
        (report(WELL, authorities=(CA, replace(CA, state=State.NOT_READY))), errors.BROKEN),
        (report(WELL, authorities=(CA, replace(CA, state=State.ABSENT))), errors.BROKEN),
        (report(WELL, authorities=(CA, replace(CA, state=State.UNKNOWN))), errors.PRECONDITION),
    ],
)
def test_the_exit_code_follows_from_the_states(seen: StatusReport, code: int) -> None:
    assert seen.exit_code == code


def test_the_error_says_whether_nothing_is_there_or_what_could_not_be_seen() -> None:
    assert unseen(report(replace(WELL, state=State.ABSENT))).code == "MPK-385"
    denied = report(WELL, authorities=(replace(CA, state=State.UNKNOWN, reason="needs the right to get"),))
    assert unseen(denied).code == "MPK-386"
    assert "root: needs the right to get" in unseen(denied).what


def test_an_empty_cluster_has_no_step_and_no_ca_and_is_only_read() -> None:
    cluster = mesh()
    found = look(cluster, defaults(), NONE, AT)
    assert {one.state for one in (*found.steps, *found.authorities)} == {State.ABSENT}
    assert found.exit_code == errors.PRECONDITION
    assert {verb for verb, _ in cluster.requests} <= {"get", "list"}
    assert [what for _, what in cluster.requests if "Secret" in what] == []


def test_a_step_that_is_left_half_way_is_shown_as_it_is(tmp_path: Path) -> None:
    root_ca = owned(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": "meshpki-root-g1", "namespace": "cert-manager"},
            "spec": {},
        },
        "root-ca",
    )
    found = {one.name: one for one in look(mesh(root_ca), defaults(), NONE, AT).steps}
    assert found["root-ca"].state is State.NOT_READY
    assert "no Ready condition yet" in found["root-ca"].reason
    assert found["spire"].state is State.ABSENT
