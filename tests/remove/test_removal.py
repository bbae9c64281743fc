"""What goes, what stays and what forbids it: decided from one look at a mesh in memory."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Query, Ref, owned
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.components.istioctl import RECORD
from meshpki.components.trust import PIN
from meshpki.errors import PRECONDITION, USAGE, UsageError
from meshpki.install import WISH
from meshpki.lease.holder import Holder
from meshpki.lease.record import LEASE, written
from meshpki.remove.refusals import named, refusals
from meshpki.remove.removal import ORDER, Removal, decide
from meshpki.remove.seen import left, look
from meshpki.roles.role import PART_OF, RBAC_GROUP
from tests.support.certificates import AT, mesh_root
from tests.support.cluster import InMemoryCluster, config_map, namespace
from tests.support.installed import ROOT, header, installed, ours, pod

THEIRS = Ref("v1", "ConfigMap", "default", "theirs")
SCHEDULER = Ref("coordination.k8s.io/v1", "Lease", "kube-system", "kube-scheduler")
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
BOOKINFO = Ref("v1", "Namespace", "", "bookinfo")


def decided(cluster: InMemoryCluster, *, purge: bool = False) -> Removal:
    return decide(look(cluster), purge=purge)


def going(removal: Removal) -> set[Ref]:
    return {ref for part in removal.parts for ref in part.refs}


def staying(removal: Removal) -> set[str]:
    return {f"{kept.ref.kind} {kept.ref.name}" for kept in removal.kept}


def test_without_purge_exactly_the_crds_and_what_brings_the_root_back_stay() -> None:
    removal = decided(installed(mesh_root()))
    assert staying(removal) == {
        "Namespace cert-manager",
        f"Certificate {ROOT}",
        f"CertificateRequest {ROOT}-1",
        f"Secret {ROOT}",
        "ConfigMap meshpki-trust",
        "ConfigMap meshpki",
        "CustomResourceDefinition certificates.cert-manager.io",
        "CustomResourceDefinition clusterspiffeids.spire.spiffe.io",
        "CustomResourceDefinition gateways.networking.istio.io",
    }
    assert all(kept.why for kept in removal.kept)
    assert removal.root == ROOT


def test_whatever_is_ours_either_goes_or_stays() -> None:
    cluster = installed(mesh_root())
    for purge in (False, True):
        removal = decided(cluster, purge=purge)
        assert ours(cluster) <= going(removal) | {kept.ref for kept in removal.kept}


def test_with_purge_nothing_stays_and_what_the_parts_made_goes_too() -> None:
    removal = decided(installed(mesh_root()), purge=True)
    assert removal.kept == ()
    for ref in (
        Ref("v1", "Secret", "cert-manager", ROOT),
        Ref("v1", "Secret", "istio-system", "cacerts"),
        Ref("v1", "ConfigMap", "default", "istio-ca-root-cert"),
        Ref("coordination.k8s.io/v1", "Lease", "kube-system", "cert-manager-controller"),
        Ref("v1", "PersistentVolumeClaim", "spire-server", "data-spire-server-0"),
        PIN,
        WISH,
        RECORD,
    ):
        assert ref in going(removal), ref


@pytest.mark.parametrize("purge", [False, True])
def test_what_is_somebody_elses_never_goes(purge: bool) -> None:
    removal = decided(installed(mesh_root()), purge=purge)
    assert not going(removal) & {THEIRS, SCHEDULER, Ref("v1", "Namespace", "", "kube-system")}


def test_the_steps_come_in_the_reverse_of_their_order() -> None:
    removal = decided(installed(mesh_root()), purge=True)
    steps = [part.step for part in removal.parts]
    assert steps == ["workloads", "istio", "spire", "istiod-ca", "root-ca", "cert-manager", "settings"]
    assert [step for step in ORDER if step in steps] == steps


def test_a_namespace_with_things_of_others_stays_and_says_what_it_holds() -> None:
    cluster = installed(mesh_root())
    cluster.put(header("v1", "ConfigMap", "notes", "bookinfo"))
    removal = decided(cluster, purge=True)
    (kept,) = removal.kept
    assert kept.ref == BOOKINFO
    assert "ConfigMap bookinfo/notes" in kept.why
    assert Ref("apps/v1", "Deployment", "bookinfo", "details-v1") in going(removal)
    assert Ref("v1", "ConfigMap", "bookinfo", "notes") not in going(removal)


def test_a_namespace_that_was_there_before_is_given_back_and_not_deleted() -> None:
    cluster = installed(mesh_root())
    creator = {
        "manager": "kubectl-create",
        "operation": "Update",
        "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}},
    }
    live = cluster.objects[BOOKINFO]
    cluster.objects[BOOKINFO] = {**live, "metadata": {**live["metadata"], "managedFields": [creator]}}
    removal = decided(cluster, purge=True)
    assert removal.released == (BOOKINFO,)
    assert BOOKINFO not in going(removal)


def test_a_namespace_that_somebody_applied_from_rendered_files_is_ours() -> None:
    cluster = installed(mesh_root())
    owned_labels = {"f:kubernetes.io/metadata.name": {}, "f:app.kubernetes.io/managed-by": {}}
    entry = {"manager": "kubectl-client-side-apply", "fieldsV1": {"f:metadata": {"f:labels": owned_labels}}}
    live = cluster.objects[BOOKINFO]
    cluster.objects[BOOKINFO] = {**live, "metadata": {**live["metadata"], "managedFields": [entry]}}
    assert BOOKINFO in going(decided(cluster, purge=True))


def test_an_istio_that_is_not_ours_is_left_alone_with_its_crds() -> None:
    cluster = installed(mesh_root())
    crd = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "gateways.networking.istio.io")
    for ref in (ISTIOD, crd):
        live = cluster.objects[ref]
        labels = {**live["metadata"]["labels"], "install.operator.istio.io/owning-resource": "installed-state"}
        cluster.put({**live, "metadata": {**live["metadata"], "labels": labels}})
    removal = decided(cluster, purge=True)
    assert not {ISTIOD, crd, Ref("v1", "ConfigMap", "default", "istio-ca-root-cert")} & going(removal)
    assert "Namespace istio-system" in staying(removal)


def test_a_gateway_of_another_istio_operator_stays_and_its_pod_forbids_the_removal() -> None:
    cluster = installed(mesh_root())
    labels = {**ISTIO, "install.operator.istio.io/owning-resource": "team-gateway"}
    gateway = header("apps/v1", "Deployment", "gateway", "team", "istio-operator", labels=labels)
    inside = header("apps/v1", "Deployment", "gateway", "istio-system", "istio-operator", labels=labels)
    cluster.put(namespace("team"), gateway, inside)
    live = cluster.objects[Ref("apps/v1", "Deployment", "team", "gateway")]
    cluster.put(pod("gateway-1", "team", live, sidecar=True))
    removal = decided(cluster, purge=True)
    assert not {Ref("apps/v1", "Deployment", space, "gateway") for space in ("team", "istio-system")} & going(removal)
    assert "Namespace istio-system" in staying(removal)
    assert [one.code for one in refusals(look(cluster), purge=False)] == ["MPK-233"]


def test_printed_roles_stay_as_long_as_their_namespace_and_hold_none_of_them() -> None:
    cluster = installed(mesh_root())
    before = going(decided(cluster))
    for kind in ("Role", "RoleBinding"):
        for space in ("istio-system", "cert-manager"):
            cluster.put(header(f"{RBAC_GROUP}/v1", kind, "meshpki-install", space, labels=PART_OF))
    assert going(decided(cluster)) == before


def a_secret_that_cert_manager_wrote(cluster: InMemoryCluster) -> Ref:
    notes = {"cert-manager.io/certificate-name": "shop-tls"}
    certificate = header("cert-manager.io/v1", "Certificate", "shop-tls", "istio-system")
    secret = header("v1", "Secret", "shop-tls", "istio-system", "cert-manager-certificates-issuing", annotations=notes)
    cluster.put(certificate, secret)
    return Ref("v1", "Secret", "istio-system", "shop-tls")


def an_account_key(cluster: InMemoryCluster) -> Ref:
    cluster.put(header("v1", "Secret", "letsencrypt-account-key", "cert-manager", "cert-manager-clusterissuers"))
    return Ref("v1", "Secret", "cert-manager", "letsencrypt-account-key")


def a_claim_of_a_stateful_set(cluster: InMemoryCluster) -> Ref:
    claim = header("v1", "PersistentVolumeClaim", "data-prometheus-0", "istio-system", "kube-controller-manager")
    cluster.put(header("apps/v1", "StatefulSet", "prometheus", "istio-system"), claim)
    return Ref("v1", "PersistentVolumeClaim", "istio-system", "data-prometheus-0")


@pytest.mark.parametrize("purge", [False, True])
@pytest.mark.parametrize("asked_for", [a_secret_that_cert_manager_wrote, an_account_key, a_claim_of_a_stateful_set])
def test_what_controllers_wrote_for_others_stays_with_its_namespace(
    asked_for: Callable[[InMemoryCluster], Ref], purge: bool
) -> None:
    cluster = installed(mesh_root())
    theirs = asked_for(cluster)
    removal = decided(cluster, purge=purge)
    assert theirs not in going(removal)
    assert Ref("v1", "Namespace", "", theirs.namespace) not in going(removal)


def test_the_roots_key_stays_although_its_certificate_was_taken_with_the_crds() -> None:
    cluster = installed(mesh_root())
    for ref in [one for one in cluster.objects if one.api_version.startswith("cert-manager.io")]:
        del cluster.objects[ref]
    removal = decided(cluster)
    assert {f"Secret {ROOT}", "Namespace cert-manager"} <= staying(removal)
    purged = decided(cluster, purge=True)
    assert (purged.root, Ref("v1", "Secret", "cert-manager", ROOT) in going(purged)) == (ROOT, True)


@dataclass
class Busy(InMemoryCluster):
    """Lists of one kind fail."""

    kind: str = ""

    def headers(self, query: Query) -> list[Object]:
        if query.kind == self.kind:
            raise ClusterError("MPK-102", "no server", status=503)
        return super().headers(query)


@pytest.mark.parametrize(("kind", "unseen"), [("Certificate", False), ("ReplicaSet", False), ("Metric", True)])
def test_only_an_api_of_somebody_elses_server_may_fail_to_answer(kind: str, unseen: bool) -> None:
    there = installed(mesh_root())
    cluster = Busy(objects=there.objects, kind=kind)
    served = {"group": "custom.metrics.k8s.io", "service": {"name": "adapter"}}
    cluster.put({**header("apiregistration.k8s.io/v1", "APIService", "v1.custom.metrics.k8s.io"), "spec": served})
    cluster.put(header("custom.metrics.k8s.io/v1", "Metric", "a", "default"))
    if unseen:
        assert len(look(cluster).unseen) > 0
        return
    with pytest.raises(ClusterError, match="no server"):
        look(cluster)


def test_another_cert_managers_leases_stay() -> None:
    cluster = installed(mesh_root())
    cluster.put(header("apps/v1", "Deployment", "cert-manager", "theirs"))
    lease = Ref("coordination.k8s.io/v1", "Lease", "kube-system", "cert-manager-controller")
    assert lease not in going(decided(cluster, purge=True))


def test_on_a_cluster_without_a_mesh_there_is_nothing_to_do() -> None:
    cluster = InMemoryCluster()
    cluster.put(namespace("default"), config_map("theirs"))
    assert decided(cluster).nothing
    assert decided(cluster, purge=True).nothing


def test_what_a_killed_rotation_left_goes_first() -> None:
    cluster = installed(mesh_root())
    cluster.put(owned(namespace("meshpki-probe"), "probe"))
    assert decided(cluster).parts[0].refs == (Ref("v1", "Namespace", "", "meshpki-probe"),)


def foreign_pod(**how: bool) -> Callable[[InMemoryCluster], None]:
    return lambda cluster: cluster.put(namespace("team"), pod("app", "team", None, **how))


def pod_of_a_foreign_rollout(cluster: InMemoryCluster) -> None:
    rollout = {**header("argoproj.io/v1alpha1", "Rollout", "app", "team"), "metadata": {"name": "app", "uid": "u"}}
    cluster.put(namespace("team"), pod("app", "team", rollout, sidecar=True))


def pod_in_our_namespace(cluster: InMemoryCluster) -> None:
    cluster.put(header("apps/v1", "Deployment", "app", "bookinfo"))
    cluster.put(pod("app", "bookinfo", cluster.objects[Ref("apps/v1", "Deployment", "bookinfo", "app")], sidecar=True))


def two_roots(cluster: InMemoryCluster) -> None:
    live = cluster.objects[PIN]
    cluster.put({**live, "data": {**live["data"], "root.pem": live["data"]["root.pem"] * 2}})


def foreign_certificate(cluster: InMemoryCluster) -> None:
    cluster.put(namespace("team"), header("cert-manager.io/v1", "Certificate", "web", "team"))


@pytest.mark.parametrize(
    ("happens", "purge", "codes", "told"),
    [
        (foreign_pod(sidecar=True), False, ["MPK-233"], "team/app"),
        (foreign_pod(csi=True), True, ["MPK-233"], "team/app"),
        (foreign_pod(), False, [], ""),
        (pod_of_a_foreign_rollout, False, ["MPK-233"], "team/app"),
        (pod_in_our_namespace, True, ["MPK-233"], "bookinfo/app"),
        (two_roots, False, ["MPK-239"], "two roots"),
        (two_roots, True, [], ""),
        (foreign_certificate, False, [], ""),
        (foreign_certificate, True, ["MPK-237"], "Certificate team/web"),
        (lambda _: None, True, [], ""),
    ],
)
def test_what_forbids_a_removal(
    happens: Callable[[InMemoryCluster], None], purge: bool, codes: list[str], told: str
) -> None:
    cluster = installed(mesh_root())
    happens(cluster)
    found = refusals(look(cluster), purge=purge)
    assert [one.code for one in found] == codes
    assert {one.exit_code for one in found} <= {PRECONDITION}
    assert all(told in one.what for one in found)


def chain(cluster: InMemoryCluster) -> Object:
    """A ReplicaSet of one of our Deployments, and its live form."""
    deployment = cluster.objects[Ref("apps/v1", "Deployment", "bookinfo", "client")]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "client", "controller": True}
    owners = [{**owner, "uid": deployment["metadata"]["uid"]}]
    cluster.put(
        header("apps/v1", "ReplicaSet", "client-1", "bookinfo", "kube-controller-manager", ownerReferences=owners)
    )
    return cluster.objects[Ref("apps/v1", "ReplicaSet", "bookinfo", "client-1")]


@pytest.mark.parametrize("situation", ["ours", "its controller is gone", "it ends already", "it has ended"])
def test_pods_of_ours_and_those_on_their_way_out_forbid_nothing(situation: str) -> None:
    cluster = installed(mesh_root())
    owner = chain(cluster)
    one = pod("client-1-x", "bookinfo", owner, csi=True, sidecar=True)
    match situation:
        case "its controller is gone":
            del cluster.objects[Ref("apps/v1", "ReplicaSet", "bookinfo", "client-1")]
        case "it ends already":
            one["metadata"] = {"name": "x", "namespace": "bookinfo", "deletionTimestamp": "2026-11-24T12:00:00Z"}
        case "it has ended":
            one = {**pod("x", "bookinfo", None, sidecar=True), "status": {"phase": "Succeeded"}}
        case _:
            pass
    cluster.put(one)
    assert refusals(look(cluster), purge=False) == ()


def test_the_root_goes_only_by_its_own_name() -> None:
    removal = decided(installed(mesh_root()), purge=True)
    named(removal, ROOT)
    for name in ("", "meshpki-root-g2", "meshpki-root"):
        with pytest.raises(UsageError) as caught:
            named(removal, name)
        assert (caught.value.code, caught.value.exit_code) == ("MPK-236", USAGE)
        assert ROOT in caught.value.remedy


def test_of_secrets_nothing_but_metadata_is_asked_for() -> None:
    cluster = installed(mesh_root())
    look(cluster)
    assert {verb for verb, what in cluster.requests if "Secret" in what} == {"headers"}


def test_what_is_left_is_what_bears_our_labels() -> None:
    cluster = installed(mesh_root())
    assert set(left(cluster)) == ours(cluster) != set()


def test_the_lease_of_a_killed_run_is_no_part_of_the_mesh() -> None:
    cluster = installed(mesh_root())
    cluster.put(written(Holder("anna@laptop pid 7 x", "meshpki down"), AT, since=AT))
    assert LEASE not in going(decided(cluster, purge=True))
    assert LEASE not in left(cluster)


def test_secrets_are_looked_for_in_namespaces_of_ours_alone_and_those_with_our_labels_go() -> None:
    cluster = installed(mesh_root())
    cluster.put(owned(namespace("meshpki-probe"), "probe"))
    untrusted = owned(header("v1", "Secret", "untrusted", "meshpki-probe", "meshpki"), "probe")
    cluster.put(untrusted, header("v1", "Secret", "theirs", "default", "kubectl"))
    removal = decided(cluster)
    assert Ref("v1", "Secret", "meshpki-probe", "untrusted") in going(removal)
    left(cluster)
    listed = [what for verb, what in cluster.requests if verb == "headers" and "kind='Secret'" in what]
    assert listed
    assert [what for what in listed if "namespace=''" in what] == []
