"""Tables of what a cluster holds -> the check that refuses it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from meshpki.cluster.client import NoAccessError
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.approval import POLICY
from meshpki.components.istioctl import OURS as ISTIO
from meshpki.components.istioctl import RECORD
from meshpki.components.trust import Pin
from meshpki.errors import UsageError
from meshpki.preflight import CHECKS, Seen, examine, look, unanswered
from meshpki.preflight.approval import would_be_denied
from meshpki.preflight.root import ROOT_CHECKS
from meshpki.rights import Asked
from meshpki.settings import Approval, Existing, Root, Settings, defaults, read_text
from meshpki.settings.model import CAN_WAIT
from meshpki.workflow.step import Program
from tests.support import certificates
from tests.support.cluster import InMemoryCluster, namespace
from tests.support.control_plane import root_request
from tests.support.existing import CORPORATE, ISSUING, NOW, corporate, wish
from tests.support.mesh import pin

OURS = {"app.kubernetes.io/managed-by": "meshpki", "app.kubernetes.io/part-of": "meshpki"}


def node(system: str = "linux") -> Object:
    return {"metadata": {"name": "n"}, "status": {"nodeInfo": {"operatingSystem": system, "architecture": "amd64"}}}


def workload(kind: str, namespace: str, name: str, **labels: str) -> Object:
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata}


def storage_class(name: str = "standard", *, default: bool = True) -> Object:
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": notes}}


def secret(**annotations: str) -> Object:
    return {"metadata": {"name": "cacerts", "annotations": annotations}}


GOOD = Seen(version="v1.35.4", nodes=(node(),), storage_classes=(storage_class(),))
PINNED = replace(GOOD, pin=Pin(1, (certificates.mesh_root().certificate,)))
UNLABELLED = {"operator.istio.io/managed": ""}
ANOTHERS = {"install.operator.istio.io/owning-resource": "installed-state"}
NAMED = {"cert-manager.io/certificate-name": "cacerts"}
RENDERED, FOREIGN = (workload("Certificate", "istio-system", "cacerts", **labels) for labels in (OURS, {}))


def istiod(namespace: str = "istio-system", revision: str = "default", **labels: str) -> Object:
    return workload("Deployment", namespace, "istiod", app="istiod", **{"istio.io/rev": revision, **ISTIO, **labels})


def refused(seen: Seen, settings: Settings | None = None, ignore: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(found.check.name, found.error.code) for found in examine(seen, settings or defaults(), ignore).refused]


@pytest.mark.parametrize(
    "seen",
    [
        GOOD,
        replace(GOOD, deployments=(workload("Deployment", "cert-manager", "cert-manager", **OURS),)),
        replace(GOOD, deployments=(istiod(),)),
        replace(PINNED, cacerts=secret(**NAMED)),
        replace(GOOD, cacerts=secret(**NAMED), cacerts_certificate=RENDERED),
        replace(GOOD, stateful_sets=(workload("StatefulSet", "spire-server", "spire-server", **OURS),)),
        replace(GOOD, storage_classes=(), claims=({"metadata": {"name": "data-spire-server-0"}},)),
        replace(GOOD, mesh_config={"data": {"mesh": "trustDomain: example.org\nrootNamespace: x"}}),
        replace(GOOD, version="v1.33.0+k3s1"),
    ],
)
def test_a_cluster_that_is_new_or_ours_is_let_through(seen: Seen) -> None:
    assert refused(seen) == []


@pytest.mark.parametrize(
    ("seen", "check", "code"),
    [
        (replace(GOOD, version="v1.29.1"), "kubernetes-version", "MPK-103"),
        (replace(GOOD, version="v1.99.0"), "kubernetes-version", "MPK-103"),
        (replace(GOOD, nodes=(node(), node("windows"))), "platform", "MPK-109"),
        (
            replace(GOOD, deployments=(workload("Deployment", "cert-manager", "cert-manager"),)),
            "cert-manager",
            "MPK-104",
        ),
        (
            replace(
                GOOD,
                deployments=(
                    workload("Deployment", "pki", "cm-controller", **{"app.kubernetes.io/name": "cert-manager"}),
                ),
            ),
            "cert-manager",
            "MPK-104",
        ),
        (replace(GOOD, deployments=(istiod(**UNLABELLED),)), "istio", "MPK-105"),
        (replace(GOOD, deployments=(istiod("other"),)), "namespaces", "MPK-127"),
        (replace(GOOD, deployments=(istiod(**ANOTHERS),)), "istio", "MPK-105"),
        (replace(GOOD, stateful_sets=(workload("StatefulSet", "spire", "spire-server"),)), "spire", "MPK-106"),
        (replace(GOOD, csi_driver={"metadata": {"name": "csi.spiffe.io"}}), "spire", "MPK-106"),
        (replace(GOOD, daemon_sets=(workload("DaemonSet", "istio-system", "ztunnel"),)), "istio-shape", "MPK-114"),
        (
            replace(GOOD, deployments=(istiod(), istiod(revision="canary"))),
            "istio-shape",
            "MPK-114",
        ),
        (replace(GOOD, cacerts=secret()), "cacerts", "MPK-107"),
        (replace(PINNED, cacerts=secret()), "cacerts", "MPK-107"),
        (replace(GOOD, cacerts=secret(**NAMED)), "cacerts", "MPK-107"),
        (replace(GOOD, cacerts=secret(**NAMED), cacerts_certificate=FOREIGN), "cacerts", "MPK-107"),
        (replace(GOOD, cacerts=secret(), cacerts_certificate=RENDERED), "cacerts", "MPK-107"),
        (replace(GOOD, mesh_config={"data": {"mesh": "trustDomain: cluster.local"}}), "trust-domain", "MPK-108"),
        (
            replace(GOOD, spire_config={"data": {"server.conf": 'server { trust_domain = "other.org" }'}}),
            "trust-domain",
            "MPK-108",
        ),
        (replace(GOOD, storage_classes=()), "storage", "MPK-110"),
        (replace(GOOD, storage_classes=(storage_class(default=False),)), "storage", "MPK-110"),
    ],
)
def test_a_cluster_that_is_somebody_elses_is_refused(seen: Seen, check: str, code: str) -> None:
    assert refused(seen) == [(check, code)]


def going(name: str) -> Object:
    return {"metadata": {"name": name, "deletionTimestamp": "2026-11-24T12:00:00Z"}}


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ((namespace("spire-system"), going("elsewhere")), ""),
        ((going("spire-system"),), "Namespace spire-system"),
        ((namespace("bookinfo"), going("spire-system"), going("cert-manager")), "Namespace cert-manager, spire-system"),
    ],
)
def test_a_namespace_of_the_mesh_that_is_being_removed_is_waited_away(there: tuple[Object, ...], told: str) -> None:
    found = examine(replace(GOOD, namespaces=there), defaults()).refused
    assert [(one.check.name, one.error.code, one.error.where) for one in found] == (
        [("terminating", "MPK-128", told)] if told else []
    )
    assert all("kubectl wait --for=delete namespace/" in one.error.remedy for one in found)


@pytest.mark.parametrize("name", ["spire-agent", "spiffe-csi-driver"])
def test_agents_and_drivers_of_others_are_refused_as_their_server_is(name: str) -> None:
    assert refused(replace(GOOD, daemon_sets=(workload("DaemonSet", "spire", name),))) == [("spire", "MPK-106")]


MADE = (
    ("Deployment", "cert-manager", "cert-manager", "cert-manager"),
    ("Deployment", "cert-manager", "cert-manager-approver-policy", "approval"),
    ("StatefulSet", "spire-server", "spire-server", "spire"),
    ("DaemonSet", "spire-system", "spire-agent", "spire"),
    ("DaemonSet", "spire-system", "spiffe-csi-driver", "spire"),
    ("Deployment", "bookinfo", "reviews-v1", "workloads"),
)


@pytest.mark.parametrize(
    ("key", "parts"),
    [("certManager", [0, 1]), ("spireServer", [2]), ("spireSystem", [3, 4]), ("bookinfo", [5]), ("istio", [])],
)
def test_a_part_of_a_mesh_that_runs_stays_in_its_namespace(key: str, parts: list[int]) -> None:
    text = f"apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nnamespaces: {{{key}: elsewhere}}"
    wish = read_text(text, "test")
    for number, (kind, space, name, step) in enumerate(MADE):
        labels = {**OURS, "meshpki.dev/step": step}
        field = {"Deployment": "deployments", "StatefulSet": "stateful_sets", "DaemonSet": "daemon_sets"}[kind]
        seen = replace(GOOD, **{field: (workload(kind, space, name, **labels),)})
        assert refused(seen) == []
        assert refused(seen, wish) == ([("namespaces", "MPK-127")] if number in parts else [])


def test_a_named_storage_class_need_not_be_the_default() -> None:
    text = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nspire: {storage: {className: fast}}"
    seen = replace(GOOD, storage_classes=(storage_class("fast", default=False),))
    assert refused(seen, read_text(text, "test")) == []


def test_a_mesh_pinned_to_another_root_than_the_one_wished_for_is_refused() -> None:
    wish = replace(defaults(), root=replace(defaults().root, fingerprint="ab" * 32))
    assert refused(PINNED, wish) == [("root-fingerprint", "MPK-111")]


ROTATED = {1: "aa" * 32, 3: "bb" * 32}


@pytest.mark.parametrize(
    ("seen", "fingerprint", "found"),
    [
        (GOOD, "", []),
        (replace(GOOD, roots={1: "aa" * 32}), "", []),  # a first up that was killed, or a mesh that others applied
        (replace(GOOD, roots={1: "aa" * 32}, installed=True), "", [("root-pin", "MPK-126")]),
        (replace(GOOD, roots={1: "aa" * 32}, installed=True), "aa" * 32, []),
        (replace(GOOD, installed=True), "", []),
        (replace(GOOD, roots=ROTATED), "", [("root-pin", "MPK-126")]),
        (replace(GOOD, roots=ROTATED), "cc" * 32, [("root-pin", "MPK-126")]),
        (replace(GOOD, roots=ROTATED), "bb" * 32, []),
        (replace(GOOD, roots={2: "aa" * 32}), "", [("root-pin", "MPK-126")]),
        (replace(PINNED, roots=ROTATED), "", []),
    ],
)
def test_a_mesh_that_lost_its_pin_is_pinned_again_only_to_the_root_that_is_named(
    seen: Seen, fingerprint: str, found: list[tuple[str, str]]
) -> None:
    assert refused(seen, replace(defaults(), root=replace(defaults().root, fingerprint=fingerprint))) == found


def test_the_generations_that_are_there_are_told_with_their_fingerprints() -> None:
    error = examine(replace(GOOD, roots=ROTATED), defaults()).refused[0].error
    assert f"generation 1 {'aa' * 32}, generation 3 {'bb' * 32}" in error.what
    assert "root.fingerprint" in error.remedy


def test_roots_and_what_was_installed_are_looked_for_where_there_is_no_pin() -> None:
    cluster, root = InMemoryCluster(), certificates.mesh_root()
    claimed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": RECORD.name, "namespace": "kube-system"}}
    cluster.put(namespace("kube-system"), root_request(root), root_request(root, 3), claimed)
    seen = look(cluster, defaults(), NOW)
    assert (seen.roots, seen.installed) == ({1: root.certificate.sha256, 3: root.certificate.sha256}, True)
    cluster.put(pin(root))
    seen = look(cluster, defaults(), NOW)
    assert (seen.roots, seen.installed) == ({}, False)


def test_every_problem_is_told_not_only_the_first() -> None:
    seen = replace(GOOD, version="v1.20.0", storage_classes=(), cacerts=secret())
    assert [name for name, _ in refused(seen)] == ["kubernetes-version", "cacerts", "storage"]


def test_each_check_can_be_ignored_on_the_command_line_and_in_settings_those_that_can_wait() -> None:
    seen = replace(GOOD, version="v1.20.0", cacerts=secret())
    everything = tuple(check.name for check in CHECKS)
    assert refused(seen, ignore=everything) == []
    ignored = examine(seen, defaults(), everything).ignored
    assert [found.check.name for found in ignored] == ["kubernetes-version", "cacerts"]
    assert [name for name, _ in refused(seen, replace(defaults(), ignore=everything))] == ["cacerts"]
    assert refused(seen, ignore=("cacerts",)) == [("kubernetes-version", "MPK-103")]


def test_what_settings_may_ignore_are_checks_that_there_are() -> None:
    assert set(CAN_WAIT) == {check.name for check in CHECKS if check.can_wait}


def test_a_check_that_does_not_exist_cannot_be_ignored() -> None:
    with pytest.raises(UsageError, match="storag") as caught:
        examine(GOOD, defaults(), ("storag",))
    assert "storage" in caught.value.remedy


def test_a_remedy_offers_to_ignore_only_what_can_be_ignored() -> None:
    seen = replace(GOOD, version="v1.20.0", cacerts=secret())
    remedies = {found.check.name: found.error.remedy for found in examine(seen, defaults()).refused}
    assert "--ignore kubernetes-version" in remedies["kubernetes-version"]
    assert "--ignore" not in remedies["cacerts"]


def test_nothing_is_applied_while_a_root_rotation_is_under_way() -> None:
    other = certificates.root().certificate
    seen = replace(PINNED, pin=Pin(2, (other, certificates.mesh_root().certificate)))
    assert refused(seen) == [("rotation", "MPK-430")]
    assert refused(seen, replace(defaults(), ignore=("rotation",))) == [("rotation", "MPK-430")]
    remedies = [found.error.remedy for found in examine(seen, defaults()).refused]
    assert "rotate root --abort" in remedies[0]


CA, TOP = corporate()
OWNED = replace(GOOD, existing=True)
SELF_SIGNED = Pin(1, (certificates.mesh_root().certificate,))
UNDER_OWN = Pin(1, (TOP.certificate,), (CA.certificate, TOP.certificate))


def fenced() -> certificates.Issued:
    return certificates.root(CORPORATE).issue(ISSUING.but(path_length=0, not_after=NOW + timedelta(days=9)))


@pytest.mark.parametrize(
    ("seen", "settings", "codes"),
    [
        (OWNED, wish(CA, TOP), []),
        (replace(OWNED, pin=UNDER_OWN), wish(CA, TOP), []),
        (GOOD, wish(CA, TOP), ["MPK-279"]),
        (replace(OWNED, pin=SELF_SIGNED), wish(CA, TOP), ["MPK-286"]),
        (replace(GOOD, pin=UNDER_OWN), defaults(), ["MPK-286"]),
        (replace(OWNED, pin=UNDER_OWN), wish(*corporate()), ["MPK-286"]),
        (OWNED, wish(TOP, CA), ["MPK-271"]),
        (OWNED, wish(one := fenced(), *one.chain), ["MPK-274", "MPK-276"]),
    ],
)
def test_an_existing_root_is_let_through_where_it_is_there_and_fit(
    seen: Seen, settings: Settings, codes: list[str]
) -> None:
    assert [code for _, code in refused(seen, settings)] == codes


def test_a_fingerprint_in_the_settings_is_that_of_the_given_root_before_anything_is_pinned() -> None:
    for fingerprint, codes in (("0" * 64, ["MPK-111"]), (TOP.certificate.sha256, [])):
        settings = wish(CA, TOP)
        named = replace(settings, root=replace(settings.root, fingerprint=fingerprint))
        assert [code for _, code in refused(OWNED, named)] == codes


def test_a_chain_that_is_no_certificate_inside_is_refused_in_words() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    settings = replace(defaults(), root=Root(existing=Existing("corporate-ca", pem)))
    assert [code for _, code in refused(OWNED, settings)] == ["MPK-287"]


def test_a_program_that_cannot_do_its_work_is_refused_before_anything_is_written() -> None:
    def never(*_: object) -> bool:
        raise AssertionError

    fit, unfit = (Program(name, never, never, unfit=lambda _, why=why: why) for name, why in (("a", ""), ("b", "old")))
    seen = look(InMemoryCluster(), defaults(), NOW, (fit, unfit))
    assert seen.unfit == ("b: old",)
    assert refused(replace(GOOD, unfit=seen.unfit)) == [("istioctl", "MPK-124")]


@dataclass
class Denying(InMemoryCluster):
    """Somebody who may not do some things, each told as `get ConfigMap kube-system/x` or `list Node`."""

    denied: Callable[[str], bool] = lambda _: True

    def get(self, ref: Ref) -> Object | None:
        self._refuse(f"get {ref}")
        return super().get(ref)

    def list(self, query: Query) -> list[Object]:
        self._refuse(f"list {query.kind}")
        return super().list(query)

    def headers(self, query: Query) -> "list[Object]":
        self._refuse(f"list {query.kind}")
        return super().headers(query)

    def _refuse(self, what: str) -> None:
        if self.denied(what):
            raise NoAccessError("MPK-102", f"User cannot {what}", status=403)


def test_a_look_that_is_not_allowed_is_a_missing_right_beside_the_others() -> None:
    cluster = Denying(denied=lambda what: what in ("list Node", "get CSIDriver csi.spiffe.io"))
    seen = look(cluster, defaults(), NOW, lacking=[Asked("patch", "", "configmaps"), Asked("list", "", "nodes")])
    assert seen.missing_rights == (
        "get csidrivers.storage.k8s.io csi.spiffe.io",
        "list nodes",
        "patch configmaps",
    )


def test_where_nothing_may_be_read_each_right_is_told_and_no_check_is_made_on_what_was_not_seen() -> None:
    unfit = Program("a", lambda _: False, lambda *_: None, unfit=lambda reader: str(reader.get(RECORD)))
    settings = replace(wish(CA, TOP), approval=Approval(policy=True))
    seen = look(Denying(), settings, NOW, [unfit], [Asked("get", "", "configmaps")])
    assert set(seen.missing_rights) == {
        "get configmaps",
        "get secrets istio-system/cacerts",
        "get certificates.cert-manager.io istio-system/cacerts",
        "get csidrivers.storage.k8s.io csi.spiffe.io",
        "list certificaterequests.cert-manager.io",
        "list certificates.cert-manager.io",
        "list secrets cert-manager/corporate-ca",
        "list persistentvolumeclaims spire-server",
        "list leases.coordination.k8s.io kube-node-lease",
        *(f"list {kind}" for kind in ("nodes", "namespaces", "storageclasses.storage.k8s.io")),
        *(f"list {kind}.apps" for kind in ("deployments", "statefulsets", "daemonsets")),
    }
    outcome = examine(seen, settings)
    assert [one.check.name for one in outcome.refused] == ["rights"]
    of_the_chain = {name for name, *_, reads in ROOT_CHECKS if not reads}
    judged = {one.name for one in CHECKS} - {one.name for one in outcome.unseen}
    assert judged == {"api", "rights", "kubernetes-version", *of_the_chain}


def test_what_a_check_reads_is_what_a_look_can_miss() -> None:
    fields = {one.name for one in dataclasses.fields(Seen)} | {"leases"}
    assert {name for check in CHECKS for name in check.reads} <= fields


def test_no_answer_is_no_missing_right() -> None:
    cluster = InMemoryCluster(faults=[NoAccessError("MPK-101", "no answer")])
    with pytest.raises(NoAccessError, match="no answer"):
        look(cluster, defaults(), NOW)


def test_where_nobody_answers_that_is_the_one_check_that_was_made() -> None:
    outcome = unanswered(NoAccessError("MPK-101", "no answer"))
    assert [(one.check.name, one.error.code) for one in outcome.refused] == [("api", "MPK-101")]
    assert [one.name for one in (outcome.refused[0].check, *outcome.unseen)] == [check.name for check in CHECKS]


POLICED = replace(defaults(), approval=Approval(policy=True))
CERTIFICATE = Ref("cert-manager.io/v1", "Certificate", "shop", "frontend")


def test_another_approver_policy_is_refused_where_policies_shall_approve_and_nowhere_else() -> None:
    seen = replace(GOOD, deployments=(workload("Deployment", "cert-manager", "cert-manager-approver-policy"),))
    assert refused(seen, POLICED) == [("approver-policy", "MPK-122")]
    assert refused(seen) == []
    ours = replace(GOOD, deployments=(workload("Deployment", "cert-manager", "cert-manager-approver-policy", **OURS),))
    assert refused(ours, POLICED) == []


def test_whose_next_renewal_would_be_denied_is_told_before_and_can_be_gone_on_with() -> None:
    seen = replace(GOOD, denied=(CERTIFICATE,))
    assert refused(seen, POLICED) == [("approval", "MPK-123")]
    assert refused(seen, POLICED, ("approval",)) == []
    assert "Certificate shop/frontend" in examine(seen, POLICED).refused[0].error.what


def bare(ref: Ref, **labels: str) -> Object:
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {}), "labels": labels},
    }


def test_only_certificates_of_others_would_be_denied_and_none_once_somebody_wrote_policies() -> None:
    found = InMemoryCluster()
    found.put(namespace("shop"), namespace("istio-system"))
    found.put(bare(CERTIFICATE), bare(Ref("cert-manager.io/v1", "Certificate", "istio-system", "cacerts"), **OURS))
    assert would_be_denied(found, defaults()) == ()
    assert would_be_denied(found, POLICED) == (CERTIFICATE,)
    found.put(bare(Ref(*POLICY, "", "meshpki-root"), **OURS))
    assert would_be_denied(found, POLICED) == (CERTIFICATE,)
    found.put(bare(Ref(*POLICY, "", "shop")))
    assert would_be_denied(found, POLICED) == ()
