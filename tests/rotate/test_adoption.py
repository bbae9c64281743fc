"""What an istiod shows of a new CA, and what is made of it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Ref
from meshpki.rotate.adoption import (
    HURRY,
    LOG_BYTES,
    METRIC,
    METRICS_PORT,
    Loaded,
    Replica,
    hurry,
    judge_logged,
    judge_metric,
    judge_served,
    read_log,
    read_metric,
    replicas,
)
from meshpki.settings import Settings, defaults
from meshpki.workflow.step import Failed, Readiness, Ready, Waiting
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster
from tests.support.control_plane import ControlPlane, listener, workload
from tests.support.istiod_ca import certificate
from tests.support.mesh import Mesh, answering

# gates judge at the moment of now
NOW = datetime.now(UTC).replace(microsecond=0)
LIFE = {"not_before": NOW - made.HOUR, "not_after": NOW + made.A_RUN}
SERVING = made.ISTIOD_SERVING.but(**LIFE)
ROOT = made.root(made.ROOT.but(**LIFE))
CA = ROOT.issue(made.CACERTS.but(serial=0xAB12, **LIFE))
OTHER = ROOT.issue(made.CACERTS.but(**LIFE))
# what a log tells is held against the moment at which this one was issued
ISSUED = made.mesh_root().issue(made.CACERTS.but(serial=0xAB12)).certificate
# Istio 1.29.1 on the lab, with the serials of this test
LOADED = """\
2026-11-24T12:00:07.104Z	info	Update Istiod cacerts
2026-11-24T12:00:07.105Z	info	Using kubernetes.io/tls secret type for signing ca files
2026-11-24T12:00:07.109Z	info	Istiod has detected the newly added intermediate CA
2026-11-24T12:00:07.110Z	info	x509 cert - Issuer: "CN=istiod", Subject: "", SN: d7ac, NotBefore: "x"
2026-11-24T12:00:07.111Z	info	x509 cert - Issuer: "CN=root", Subject: "CN=istiod", SN: ab12
2026-11-24T12:00:07.112Z	info	Istiod certificates are reloaded
"""
JSON = '{"time":"2026-11-24T12:00:07.111Z","msg":"x509 cert - Issuer: \\"CN=root\\", SN: ab12, NotBefore: x"}\n'
REFUSED = "2036-11-24T12:00:07.105Z	warn	Updating new ROOT-CA not supported\n"
EARLIER = "2026-11-24T09:00:07.105Z	warn	Updating new ROOT-CA not supported\n"
AT = datetime(2026, 11, 24, 12, 0, 7, 111000, UTC)
MUCH = f"{'x' * 4095}\n" * (LOG_BYTES // 4096)


@pytest.mark.parametrize(
    ("log", "limit", "expected"),
    [
        ("", 10, Loaded()),
        (LOADED, LOG_BYTES, Loaded(AT)),
        (JSON, LOG_BYTES, Loaded(AT)),
        (LOADED.replace("ab12", "ab123"), LOG_BYTES, Loaded()),
        (LOADED.replace("ab12", "1ab12"), LOG_BYTES, Loaded()),
        (REFUSED, LOG_BYTES, Loaded(refusal=REFUSED.strip())),
        (LOADED + REFUSED, LOG_BYTES, Loaded(AT, REFUSED.strip())),
        (REFUSED + LOADED, LOG_BYTES, Loaded(AT)),
        (EARLIER, LOG_BYTES, Loaded()),
        ("a line\n" * 10, 70, Loaded(cut=True)),
    ],
    ids=[
        *("nothing", "loaded", "in JSON", "a longer serial", "a serial before it", "refused", "refused since"),
        *("refused before", "refused before it was issued", "cut"),
    ],
)
def test_a_log_tells_when_a_serial_was_loaded_and_whether_it_was_refused(
    log: str, limit: int, expected: Loaded
) -> None:
    assert read_log(log, ISSUED, limit) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"# HELP {METRIC} x\n# TYPE {METRIC} gauge\n{METRIC} 1.7696448e+09\n", datetime(2026, 1, 29, tzinfo=UTC)),
        (f'{METRIC}{{a="b"}} 1769644800\n', datetime(2026, 1, 29, tzinfo=UTC)),
        (f"{METRIC}_other 5\n", None),
        (f"{METRIC} NaN\n", None),
        (f"{METRIC} +Inf\n", None),
        (f"{METRIC} soon\n", None),
        ("", None),
    ],
)
def test_the_metric_is_read_as_a_moment(text: str, expected: datetime | None) -> None:
    assert read_metric(text) == expected


@dataclass
class Istiods:
    """istiods in memory that serve, log and count with a CA; a test makes them differ."""

    serving: Sequence[made.Issued | None] = (None, None)
    log: str = LOADED
    ago: timedelta = timedelta(0)
    metric: str = f"{METRIC} {CA.certificate.not_after.timestamp():.9e}\n"

    def cluster(self) -> Mesh:
        there = ControlPlane(ROOT, cacerts=CA, serving=SERVING, istiods=self.serving, others=(certificate(),)).cluster()
        there.put(rolled_out(len(self.serving)))
        lines = self.log.splitlines(keepends=True)
        there.answers["logs discovery"] = "".join(f"{NOW - self.ago:%Y-%m-%dT%H:%M:%SZ} {line}" for line in lines)
        for number in range(len(self.serving)):
            there.listeners[f"istiod-{number}", METRICS_PORT] = answering(self.metric.encode())
        return there


def rolled_out(count: int) -> Object:
    deployment, counts = workload("Deployment", "istiod"), ("updatedReplicas", "readyReplicas", "availableReplicas")
    status = {"observedGeneration": 1, "replicas": count, **dict.fromkeys(counts, count)}
    return {**deployment, "spec": {**deployment["spec"], "replicas": count}, "status": status}


WELL = Istiods()
Judge = Callable[[Mesh, Settings], Readiness]


@pytest.mark.parametrize(
    ("istiods", "judge", "expected"),
    [
        (WELL, judge_served, "2 istiod, 15012 and 15017 through cacerts"),
        (WELL, judge_logged, "2 of 2 logged it, the last at 12:00:07Z"),
        (WELL, judge_metric, f"{CA.certificate.not_after:%FT%TZ}"),
        (Istiods(log=LOADED + MUCH), judge_logged, "2 of 2 logged it"),
    ],
    ids=["served", "logged", "metric", "much logged since"],
)
def test_a_gate_opens_when_every_istiod_shows_the_new_ca(istiods: Istiods, judge: Judge, expected: str) -> None:
    readiness = judge(istiods.cluster(), defaults())
    assert isinstance(readiness, Ready)
    assert expected in readiness.detail


@pytest.mark.parametrize(
    ("istiods", "judge", "expected"),
    [
        (Istiods((None, OTHER)), judge_served, "istiod-1 port 15012: its certificate is signed by"),
        (Istiods(log=""), judge_logged, "istiod-0 has not logged"),
        (Istiods(log=MUCH), judge_logged, "serial in the first 8 MiB since it was issued"),
        (Istiods(ago=2 * made.HOUR), judge_logged, "istiod-0 has not logged the new serial"),
        (Istiods(metric=f"{METRIC} 1.7e+09\n"), judge_metric, "istiod-0: the metric says 2023-11-14T22:13:20Z"),
        (Istiods(metric="x 1\n"), judge_metric, f"istiod-0 has no {METRIC}"),
        (Istiods(()), judge_logged, "no pod"),
        (Istiods(()), judge_metric, "no pod"),
    ],
    ids=[
        *("one behind", "silent", "more is logged than is read", "logged before it was issued"),
        *("the metric of before", "no metric", "nobody logs", "nobody counts"),
    ],
)
def test_a_gate_stays_shut_and_names_the_replica_that_is_behind(istiods: Istiods, judge: Judge, expected: str) -> None:
    readiness = judge(istiods.cluster(), defaults())
    assert isinstance(readiness, Waiting)
    assert expected in readiness.why


def test_a_refusal_in_the_log_of_one_that_does_not_serve_it_ends_the_wait() -> None:
    readiness = judge_served(Istiods((None, OTHER), log=REFUSED).cluster(), defaults())
    assert readiness == Failed(f"Pod istio-system/istiod-0: {REFUSED.strip()}")


def test_the_evidence_holds_for_each_replica_what_it_logged_serves_and_counts() -> None:
    new, other, ends = f"{CA.certificate.serial:x}", f"{OTHER.certificate.serial:x}", CA.certificate.not_after
    assert replicas(Istiods((None, OTHER)).cluster(), defaults()) == (
        Replica("istiod-0", AT, {15012: new, 15017: new}, ends),
        Replica("istiod-1", AT, {15012: other, 15017: other}, ends),
    )


def test_the_kubelet_is_hurried_until_every_istiod_serves_the_new_ca() -> None:
    there, stop = Istiods((None, OTHER)).cluster(), threading.Event()
    program = hurry(defaults())
    assert not program.settled(there)

    def arrive(cluster: InMemoryCluster, stored: Object) -> None:
        if HURRY in (stored["metadata"].get("annotations") or {}):
            for port in (15012, 15017):
                cluster.listeners["istiod-1", port] = listener(CA.issue(SERVING), CA)
            stop.set()

    there.reactions.append(arrive)
    program.run(there, stop)
    assert program.settled(there)
    assert there.writes == [("merge", "Pod istio-system/istiod-0"), ("merge", "Pod istio-system/istiod-1")]


@pytest.mark.parametrize("status", [0, 404, 503])
def test_a_pod_that_went_away_or_a_busy_server_ends_no_hurry(status: int) -> None:
    there, stop = Istiods((None, OTHER)).cluster(), threading.Event()

    def arrive(cluster: InMemoryCluster, stored: Object) -> None:
        """The second one alone is looked at by its kubelet: the first one is gone."""
        if HURRY in (stored["metadata"].get("annotations") or {}) and stored["metadata"]["name"] == "istiod-1":
            for port in (15012, 15017):
                cluster.listeners["istiod-1", port] = listener(CA.issue(SERVING), CA)

    there.reactions.append(arrive)
    failing = Failing(there, ClusterError("MPK-102", "not now", status=status))
    hurry(defaults()).run(failing, stop)  # type: ignore[arg-type]  # what it does not say itself, the cluster says
    assert hurry(defaults()).settled(there)


def test_a_right_that_is_missing_ends_the_hurry() -> None:
    there = Istiods((None, OTHER)).cluster()
    failing = Failing(there, ClusterError("MPK-102", "patch refused", status=403))
    with pytest.raises(ClusterError, match="patch refused"):
        hurry(defaults()).run(failing, threading.Event())  # type: ignore[arg-type]  # as above


def test_an_istiod_that_cannot_be_reached_is_left_out_of_the_evidence_and_hides_no_other() -> None:
    there = Istiods().cluster()
    for port in (15012, 15017):
        del there.listeners["istiod-0", port]
    assert [len(one.served) for one in replicas(there, defaults())] == [0, 2]


@dataclass
class Failing:
    """A cluster whose first patch fails."""

    there: Mesh
    error: ClusterError
    failed: bool = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.there, name)

    def merge(self, ref: Ref, patch: Object, manager: str) -> Object:
        if not self.failed:
            self.failed = True
            raise self.error
        return self.there.merge(ref, patch, manager)
