"""The removal as it is carried out: in which order, when killed, and where something does not go."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from meshpki.cluster.client import BACKGROUND, ClusterError, Deletion
from meshpki.cluster.manifest import Object, Ref, ref_of
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.errors import GateTimeoutError
from meshpki.remove.removal import decide
from meshpki.remove.seen import look
from meshpki.remove.steps import Log, removal_plan
from meshpki.remove.stuck import heal, stuck
from meshpki.workflow.event import Event, StepDone
from meshpki.workflow.run import run
from meshpki.workflow.work import Limits
from tests.support.certificates import mesh_root
from tests.support.cluster import FakeClock, InMemoryCluster, namespace
from tests.support.installed import ROOT, header, installed, ours, pod, policed

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLICY_CRD = "certificaterequestpolicies.policy.cert-manager.io"
GONE = "2026-11-24T11:59:00Z"
CLIENT = Ref("apps/v1", "Deployment", "bookinfo", "client")
GATEWAY = Ref("apps/v1", "Deployment", "istio-system", "istio-ingressgateway")


def removed(cluster: InMemoryCluster, *, purge: bool, log: Log | None = None, gate: int = 300) -> list[Event]:
    seen = look(cluster)
    removal = decide(seen, purge=purge)
    clock = FakeClock()
    plan = removal_plan(removal, seen.owners, clock, log or Log())
    return list(run(plan, cluster, clock, Limits(timedelta(seconds=gate))))


def before(cluster: InMemoryCluster) -> set[Ref]:
    """What a cluster would hold without the mesh: what is foreign, and what every namespace has."""
    foreign = {Ref("v1", "Namespace", "", name) for name in ("default", "kube-system")}
    return foreign | {
        Ref("v1", "ConfigMap", "default", "theirs"),
        Ref("coordination.k8s.io/v1", "Lease", "kube-system", "kube-scheduler"),
    }


def test_with_purge_the_cluster_is_as_it_was_before() -> None:
    cluster = installed(mesh_root())
    removed(cluster, purge=True)
    assert set(cluster.objects) == before(cluster)


def test_approver_policy_goes_with_all_it_made_and_its_crd_stays_with_the_others() -> None:
    cluster = policed(mesh_root())
    kept = {one.ref for one in decide(look(cluster), purge=False).kept}
    assert Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", POLICY_CRD) in kept
    events = removed(cluster, purge=False)
    everywhere = {Ref("v1", "ConfigMap", "cert-manager", "kube-root-ca.crt")}
    assert set(cluster.objects) - before(cluster) == kept | everywhere
    done = [event.step for event in events if isinstance(event, StepDone)]
    assert done.index("approval") < done.index("cert-manager")
    purged = policed(mesh_root())
    done = [event.step for event in removed(purged, purge=True) if isinstance(event, StepDone)]
    assert set(purged.objects) == before(purged)
    assert done.index("root-ca") < done.index("approval") < done.index("cert-manager")


def test_without_purge_what_stays_is_what_was_said_and_a_second_run_writes_nothing() -> None:
    cluster = installed(mesh_root())
    kept = {one.ref for one in decide(look(cluster), purge=False).kept}
    removed(cluster, purge=False)
    everywhere = {Ref("v1", "ConfigMap", "cert-manager", "kube-root-ca.crt")}
    assert set(cluster.objects) - before(cluster) == kept | everywhere
    cluster.requests.clear()
    assert decide(look(cluster), purge=False).nothing
    assert removed(cluster, purge=False) == []
    assert cluster.writes == []
    removed(cluster, purge=True)
    assert set(cluster.objects) == before(cluster)


def test_what_stands_on_a_step_goes_before_it() -> None:
    cluster = installed(mesh_root())
    done = [event.step for event in removed(cluster, purge=True) if isinstance(event, StepDone)]
    for first, then in [
        ("workloads", "istio"),
        ("istio", "spire"),
        ("istio", "istiod-ca"),
        ("spire", "root-ca"),
        ("istiod-ca", "root-ca"),
        ("root-ca", "cert-manager"),
        ("cert-manager", "settings"),
    ]:
        assert done.index(first) < done.index(then), (first, then)


def test_the_certificate_goes_before_its_secret_and_the_record_of_istio_after_istio() -> None:
    cluster = installed(mesh_root())
    removed(cluster, purge=True)
    order = [what for verb, what in cluster.requests if verb == "delete"]
    assert order.index(f"Certificate cert-manager/{ROOT}") < order.index(f"Secret cert-manager/{ROOT}")
    assert order.index("Deployment istio-system/istiod") < order.index("ConfigMap kube-system/meshpki-istio")


@dataclass
class Kubelets(InMemoryCluster):
    """Pods end with their controller, unless a volume of theirs needs a driver that is not there: then they hang."""

    deleted: list[Ref] = field(default_factory=list)
    unmounted: bool = True

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        live = self.objects.get(ref)
        if live and ref.kind in ("Deployment", "DaemonSet", "StatefulSet"):
            owned = [one for one in self.objects.values() if _owned_by(one, live)]
            for one in owned:
                self._end(one)
        self.deleted.append(ref)
        return super().delete(ref, how)

    def _end(self, one: Object) -> None:
        if one["spec"]["volumes"] and not self.unmounted:
            marked = {**one["metadata"], "deletionTimestamp": GONE, "finalizers": ["its kubelet's"]}
            self._store({**one, "metadata": marked})
        else:
            del self.objects[ref_of(one)]


def _owned_by(one: Object, owner: Object) -> bool:
    uids = {ref["uid"] for ref in one["metadata"].get("ownerReferences", [])}
    return one["kind"] == "Pod" and owner["metadata"]["uid"] in uids


def with_pods(*, driver: bool = True) -> Kubelets:
    """A mesh whose client and gateway have volumes of the CSI driver, and whose driver runs or not."""
    cluster = Kubelets(installed(mesh_root()).objects, unmounted=driver)
    cluster.put(header("apps/v1", "Deployment", GATEWAY.name, "istio-system", "istio-operator", labels=ISTIO))
    cluster.put(pod("client-1", "bookinfo", cluster.objects[CLIENT], csi=True, sidecar=True))
    cluster.put(pod("gateway-1", "istio-system", cluster.objects[GATEWAY], csi=True, sidecar=True))
    if driver:
        daemons = cluster.objects[Ref("apps/v1", "DaemonSet", "spire-system", "spiffe-csi-driver")]
        cluster.put(pod("driver-1", "spire-system", daemons, labels={"app.kubernetes.io/name": "spiffe-csi-driver"}))
    return cluster


def test_the_csi_driver_goes_after_the_last_pod_that_has_a_volume_of_it() -> None:
    cluster = with_pods()
    removed(cluster, purge=True)
    driver = cluster.deleted.index(Ref("apps/v1", "DaemonSet", "spire-system", "spiffe-csi-driver"))
    assert max(cluster.deleted.index(CLIENT), cluster.deleted.index(GATEWAY)) < driver
    assert set(cluster.objects) == before(cluster)


def test_a_pod_that_keeps_its_volume_keeps_the_driver_and_is_named() -> None:
    cluster = with_pods()
    removal = decide(look(cluster), purge=True)
    theirs = pod("theirs", "team", None, csi=True, deletionTimestamp=GONE, finalizers=["theirs"])
    cluster.put(namespace("team"), theirs)
    clock = FakeClock()
    with pytest.raises(GateTimeoutError) as caught:
        list(run(removal_plan(removal, {}, clock, Log()), cluster, clock, Limits(timedelta(minutes=5))))
    assert caught.value.code == "MPK-235"
    assert "team/theirs" in caught.value.what
    assert Ref("apps/v1", "DaemonSet", "spire-system", "spiffe-csi-driver") in cluster.objects


def test_pods_that_hang_without_their_driver_are_found_and_taken_out_of_the_api() -> None:
    cluster, log = with_pods(driver=False), Log()
    removed(cluster, purge=True, log=log)
    assert {ref.name for ref in log.forced} == {"client-1", "gateway-1"}
    assert set(cluster.objects) == before(cluster)


@pytest.mark.parametrize(
    ("metadata", "driver", "csi", "hangs"),
    [
        ({"deletionTimestamp": GONE}, False, True, True),
        ({"deletionTimestamp": GONE}, True, True, False),
        ({"deletionTimestamp": GONE}, False, False, False),
        ({"deletionTimestamp": "2026-11-24T11:59:55Z"}, False, True, False),
        ({}, False, True, False),
    ],
)
def test_a_pod_hangs_once_it_is_overdue_and_no_driver_is_on_its_node(
    metadata: dict[str, str], driver: bool, csi: bool, hangs: bool
) -> None:
    drivers = [pod("driver", "spire-system", None)] if driver else []
    assert bool(stuck([pod("app", "bookinfo", None, csi=csi, **metadata)], drivers, AT)) is hangs


def test_only_pods_of_ours_are_forced() -> None:
    cluster = installed(mesh_root())
    client = cluster.objects[CLIENT]
    theirs = {**header("apps/v1", "Deployment", "app", "team"), "metadata": {"name": "app", "uid": "u-app"}}
    hung = {"deletionTimestamp": GONE, "finalizers": ["its kubelet's"]}
    cluster.put(
        namespace("team"),
        pod("ours", "bookinfo", client, csi=True, **hung),
        pod("orphan", "bookinfo", {**client, "metadata": {"name": "x", "uid": "u-gone"}}, csi=True, **hung),
        pod("theirs", "team", theirs, csi=True, **hung),
        pod("alone", "bookinfo", None, csi=True, **hung),
    )
    owners = {client["metadata"]["uid"]: client, "u-app": theirs}
    forced = heal(cluster, owners, frozenset({"bookinfo"}), AT)
    assert {ref.name for ref in forced} == {"ours", "orphan"}


def test_what_a_finalizer_holds_is_named_with_it_when_the_time_is_up() -> None:
    cluster = installed(mesh_root())
    ref = Ref("v1", "ConfigMap", "bookinfo", "held")
    made = header("v1", "ConfigMap", "held", "bookinfo", "meshpki", finalizers=["example.com/held"])
    made["metadata"]["labels"] = {**cluster.objects[CLIENT]["metadata"]["labels"]}
    cluster.put(made)
    with pytest.raises(GateTimeoutError) as caught:
        removed(cluster, purge=False)
    assert caught.value.code == "MPK-234"
    assert f"{ref}: finalizers example.com/held" in caught.value.what


class KilledError(Exception):
    """The process is no more."""


@dataclass
class Mortal:
    """A connection that ends at its n-th write."""

    cluster: InMemoryCluster
    writes: int

    def __getattr__(self, name: str) -> object:
        return getattr(self.cluster, name)

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        self.writes -= 1
        if self.writes < 0:
            raise ClusterError("MPK-101", "killed", status=418)
        return self.cluster.delete(ref, how)


def kills() -> Iterator[int]:
    yield from range(0, 120, 7)


@pytest.mark.parametrize("purge", [False, True])
def test_killed_at_any_write_and_run_again_it_ends_the_same(purge: bool) -> None:
    whole = installed(mesh_root())
    removed(whole, purge=purge)
    for writes in kills():
        cluster = installed(mesh_root())
        seen = look(cluster)
        clock = FakeClock()
        plan = removal_plan(decide(seen, purge=purge), seen.owners, clock, Log())
        try:
            list(run(plan, Mortal(cluster, writes), clock, Limits(timedelta(minutes=5))))  # type: ignore[arg-type]
        except ClusterError:
            assert cluster.objects != whole.objects or writes > 100
        removed(cluster, purge=purge)
        assert set(cluster.objects) == set(whole.objects), writes
        assert not purge or not ours(cluster)


def test_a_server_that_does_not_answer_for_a_moment_is_asked_again() -> None:
    cluster = installed(mesh_root())
    seen = look(cluster)
    clock = FakeClock()
    plan = removal_plan(decide(seen, purge=True), seen.owners, clock, Log())
    cluster.faults.extend(ClusterError("MPK-102", "busy", status=503) for _ in range(3))
    cluster.requests.clear()
    events = run(plan, cluster, clock, Limits(timedelta(minutes=5)))
    assert "workloads" in [event.step for event in events if isinstance(event, StepDone)]
    assert set(cluster.objects) == before(cluster)
