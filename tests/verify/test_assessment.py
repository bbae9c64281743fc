from dataclasses import replace

import pytest

from meshpki.cluster.manifest import Ref
from meshpki.errors import BROKEN, OK, PRECONDITION
from meshpki.pki.verdict import Finding, Result
from meshpki.verify.assessment import Assessment, assess, let_be, state_of, where_of
from meshpki.verify.demands import Demands, Ignore, min_validity
from meshpki.verify.peers import PeerGroup, PeerVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, grouped
from tests.support import reports

FAIL = reports.finding()
OTHER = reports.finding("MPK-340")
WARN = reports.finding("MPK-328", severity="warn")
UNKNOWN = reports.finding("MPK-311", severity="unknown")
ALL = Ignore("MPK-341", "*")


def pod(result: Result, *findings: Finding, name: str = "app") -> PodVerdict:
    return reports.pod(name, reports.workload_path(), result, *findings)


def report(*pods: PodVerdict) -> Report:
    return replace(reports.drawn("empty"), workloads=grouped(pods))


@pytest.mark.parametrize(
    ("verdict", "ignores", "state", "code"),
    [
        (pod("proven"), [ALL], "proven", OK),
        (pod("proven", WARN), [Ignore("MPK-328", "*")], "proven", OK),
        (pod("broken", FAIL), [], "broken", BROKEN),
        (pod("broken", FAIL), [ALL], "ignored", OK),
        (pod("broken", FAIL), [Ignore("MPK-341", "bookinfo/app-*")], "ignored", OK),
        (pod("broken", FAIL), [Ignore("MPK-341", "elsewhere/*")], "broken", BROKEN),
        (pod("broken", FAIL, OTHER), [ALL], "broken", BROKEN),
        (pod("broken", FAIL, OTHER), [ALL, Ignore("MPK-340", "*")], "ignored", OK),
        (pod("broken", FAIL, WARN), [ALL], "ignored", OK),
        (pod("broken", FAIL, UNKNOWN), [ALL], "unknown", PRECONDITION),
        (pod("unknown", UNKNOWN), [Ignore("MPK-311", "*")], "unknown", PRECONDITION),
        (pod("unknown"), [ALL], "unknown", PRECONDITION),
        # broken, and nobody says why: nothing was let be, so nothing is
        (pod("broken"), [ALL], "broken", BROKEN),
        (pod("broken", WARN), [ALL], "broken", BROKEN),
    ],
)
def test_what_is_let_be_counts_for_nothing_and_never_proves(
    verdict: PodVerdict, ignores: list[Ignore], state: str, code: int
) -> None:
    judged = assess(report(verdict), Demands(ignores=tuple(ignores)))
    assert state_of(judged.report.pods[0]) == state
    assert judged.exit_code == code


def test_time_left_is_demanded_of_what_is_broken_too_so_that_letting_that_be_hides_nothing() -> None:
    demands = Demands(min_validity=min_validity("87600h"), ignores=(ALL,))
    assert assess(report(pod("broken", FAIL)), demands).exit_code == BROKEN


@pytest.mark.parametrize(
    ("verdict", "demands", "code"),
    [
        (pod("proven", WARN), Demands(), OK),
        (pod("proven", WARN), Demands(fail_on="warn"), BROKEN),
        (pod("proven", WARN), Demands(fail_on="warn", ignores=(Ignore("MPK-328", "*"),)), OK),
        (pod("broken", FAIL), Demands(strict=True, fail_on="warn", ignores=(ALL,)), OK),
        (pod("proven"), Demands(min_validity=min_validity("41m")), OK),
        (pod("proven"), Demands(min_validity=min_validity("42m")), BROKEN),
        (pod("proven"), Demands(min_validity=min_validity("42m"), ignores=(Ignore("MPK-346", "*"),)), OK),
        (pod("unknown"), Demands(min_validity=min_validity("9999d")), PRECONDITION),
    ],
)
def test_warnings_and_short_validity_fail_only_where_that_is_demanded(
    verdict: PodVerdict, demands: Demands, code: int
) -> None:
    judged = assess(report(verdict), demands)
    assert judged.exit_code == code
    assert judged.fails(judged.report.pods[0]) == (code == BROKEN)


def test_strict_fails_on_what_is_unknown_beside_what_is_proven() -> None:
    mixed = report(pod("proven"), pod("unknown", name="silent"))
    assert assess(mixed, Demands()).exit_code == OK
    assert assess(mixed, Demands(strict=True)).exit_code == BROKEN


def test_without_demands_every_report_has_its_own_exit_code() -> None:
    for name in ("good", "broken", "rotation", "hostile", "swarm", "empty"):
        found = reports.drawn(name)
        assert assess(found, Demands()).exit_code == Assessment(found).exit_code == found.exit_code(strict=False)
        judged = assess(found, Demands()).report
        assert all(one is other for one, other in zip(judged.pods, found.pods, strict=True))
        assert judged == found


def test_too_little_time_breaks_pods_and_places_and_no_broken_one_twice() -> None:
    judged = assess(reports.drawn("broken"), Demands(min_validity=min_validity("9999d"))).report
    codes = {where_of(one): [finding.code for finding in one.findings] for one in (*judged.pods, *judged.places)}
    assert codes["pod bookinfo/client-5d9-0"] == ["MPK-346"] * 3
    assert codes["pod bookinfo/newborn-5d9-0"] == ["MPK-343"]
    assert codes["pod bookinfo/silent-5d9-0"] == []
    assert codes["istiod ConfigMap istio-system/istiod-7f-x 15012"] == ["MPK-346"] * 3


def test_places_are_ignored_by_the_name_of_their_object_and_unused_ignores_are_known() -> None:
    hooks, nothing = Ignore("MPK-341", "istio-system/istio-sidecar-injector"), Ignore("MPK-305", "*")
    judged = assess(reports.drawn("broken"), Demands(ignores=(hooks, nothing)))
    assert [(where, found.by) for where, found in let_be(judged.report)] == [
        ("webhook ConfigMap istio-system/istio-sidecar-injector", str(hooks))
    ]
    assert judged.unused == (nothing,)


@pytest.mark.parametrize(
    ("scope", "state"), [("*", "ignored"), ("a/*", "ignored"), ("b/*", "ignored"), ("c/*", "broken"), ("?/x", "broken")]
)
def test_a_pair_of_peers_is_meant_by_all_the_pods_of_either_side(scope: str, state: str) -> None:
    a, b = (PeerGroup((), frozenset(), tuple(Ref("v1", "Pod", namespace, name) for name in "xy")) for namespace in "ab")
    found = replace(report(pod("proven")), peers=(PeerVerdict(a, b, "broken", (reports.finding("MPK-345"),)),))
    judged = assess(found, Demands(ignores=(Ignore("MPK-345", scope),)))
    assert state_of(judged.report.peers[0]) == state
    assert where_of(judged.report.peers[0]) == "peers a/x and 1 more to b/x and 1 more"


def test_peers_after_the_next_stage_of_a_rotation_are_named_as_that() -> None:
    group = PeerGroup((), frozenset(), (Ref("v1", "Pod", "a", "x"),))
    later = PeerVerdict(group, PeerGroup((), frozenset(), ()), "proven")
    assert where_of(later) == "peers a/x to everybody after the next stage"
