import contextlib
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from meshpki import errors
from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.trust import PIN
from meshpki.errors import PreconditionError, UsageError
from meshpki.pki import chain
from meshpki.settings import Settings, defaults
from meshpki.verify import Report, Requirements, Scope, control_plane, unjudged, verify
from meshpki.verify.places import PlaceKind
from tests.support import certificates as made
from tests.support import mesh as support
from tests.support.certificates import AT, SVID, TRUST_DOMAIN
from tests.support.control_plane import ControlPlane, webhook
from tests.support.mesh import Mesh, agent, held, mesh, pin, pod, unready

ROOT, NEW, STRANGER = made.mesh_root(), made.root(), made.root()
POD = "reviews-v1-5d9-x"
REVIEWS = f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/bookinfo-reviews"
CRASHING = {"name": "istio-proxy", "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}


def judged(*pods: Object, **envoys: bytes) -> Report:
    return verify(healthy(*pods, **envoys), defaults(), AT)


def healthy(*pods: Object, **envoys: bytes) -> Mesh:
    return ControlPlane().around(agent(), *pods, **envoys)


def codes(report: Report) -> tuple[str, ...]:
    return tuple(
        sorted({finding.code for one in report.pods for finding in one.findings if finding.severity == "fail"})
    )


def leaf(*, account: str = "bookinfo-reviews", **bundles: bytes) -> bytes:
    ca = made.mesh_spire_ca()
    issued = ca.issue(SVID.but(uris=(f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/{account}",)))
    return support.dump(made.pem(issued, ca), {name.replace("_", "."): pem for name, pem in bundles.items()})


def fallback() -> bytes:
    """A pod that got its certificate from istiod."""
    ca = ROOT.issue(made.CACERTS)
    return support.dump(made.pem(ca.issue(made.ISTIOD_LEAF.but(uris=(REVIEWS,))), ca), {TRUST_DOMAIN: ROOT.pem})


def from_the_root() -> bytes:
    return support.dump(made.pem(ROOT.issue(SVID.but(uris=(REVIEWS,)))), {TRUST_DOMAIN: ROOT.pem})


@dataclass(frozen=True)
class Case:
    name: str
    envoy: bytes
    result: str
    codes: tuple[str, ...] = ()


CASES = (
    Case("SPIRE's identity under the pinned root", held(), "proven"),
    Case("another ServiceAccount's identity", leaf(account="admin", example_org=ROOT.pem), "broken", ("MPK-340",)),
    Case("no bundle", leaf(), "broken", ("MPK-341",)),
    Case("a bundle of another trust domain only", leaf(other_org=ROOT.pem), "broken", ("MPK-341",)),
    Case("a stranger in the bundle", leaf(example_org=made.pem(ROOT, made.root())), "broken", ("MPK-341",)),
    Case("a bundle without the pinned root", leaf(example_org=made.root().pem), "broken", ("MPK-341",)),
    Case("a bundle that is cut off", leaf(example_org=ROOT.pem[:-40]), "broken", ("MPK-301",)),
    Case(
        "another trust domain's cut off", leaf(example_org=ROOT.pem, other_org=ROOT.pem[:-40]), "broken", ("MPK-301",)
    ),
    Case("a certificate of istiod's", fallback(), "broken", ("MPK-342",)),
    Case("a certificate of the root's own", from_the_root(), "broken", ("MPK-342",)),
    Case("a chain that is cut off", support.dump(ROOT.pem[:-40], {TRUST_DOMAIN: ROOT.pem}), "broken", ("MPK-301",)),
    Case("a chain to another root", held(root=made.root()), "broken", ("MPK-304", "MPK-341")),
    Case("no certificate", support.dump(b"", {TRUST_DOMAIN: ROOT.pem}), "broken", ("MPK-343",)),
    Case("an Envoy that hangs up", b"", "unknown"),
    Case("an answer that is no dump", b"<html>", "unknown"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_ready_pod_is_judged_by_what_its_envoy_holds(case: Case) -> None:
    report = judged(pod(), reviews_v1_5d9_x=case.envoy)
    assert (report.pods[0].result, codes(report)) == (case.result, case.codes)
    assert case.result == "proven" or report.pods[0].reason or report.pods[0].findings


def test_a_proven_pod_shows_its_identity_its_path_and_how_long_it_lasts() -> None:
    found = judged(pod(), reviews_v1_5d9_x=held()).pods[0]
    assert found.spiffe_id == REVIEWS
    assert found.path[-1].sha256 == ROOT.certificate.sha256
    assert found.expires == AT + timedelta(minutes=41)


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("istiod.istio-system.svc", "fail"),
        ("istiod-canary.istio-system.svc.cluster.local", "fail"),
        ("ISTIOD.istio-system.svc.", "fail"),
        ("istiod.istio-system", "fail"),
        ("istio-pilot.istio-system.svc", "fail"),
        ("*.istio-system.svc", "fail"),
        ("spire-server.spire-server.svc", "fail"),
        ("spire-server.spire-server", "fail"),
        ("ratings.shop.svc.cluster.local", "warn"),
        ("istiod.shop.svc", "warn"),
        ("www.example.com", "warn"),
        ("*", "warn"),
        ("reviews.bookinfo.svc.cluster.local", ""),
        ("istiod.bookinfo.svc", ""),
        ("reviews-0.reviews.bookinfo.svc", ""),
        ("reviews.bookinfo", ""),
        ("reviews", ""),
    ],
)
def test_a_dns_name_of_the_control_plane_breaks_a_workload_and_anothers_is_warned_of(name: str, severity: str) -> None:
    ca = made.mesh_spire_ca()
    issued = ca.issue(SVID.but(uris=(REVIEWS,), dns=(name,)))
    found = judged(pod(), reviews_v1_5d9_x=support.dump(made.pem(issued, ca), {TRUST_DOMAIN: ROOT.pem})).pods[0]
    told = [(one.code, one.severity, one.found) for one in found.findings]
    assert told == ([("MPK-377", severity, name)] if severity else [])
    assert found.result == ("broken" if severity == "fail" else "proven")


@pytest.mark.parametrize(("strict", "severity"), [(False, "warn"), (True, "fail")])
def test_a_leaf_without_an_authority_key_identifier_fails_where_strictness_is_asked_for(
    strict: bool, severity: str
) -> None:
    ca = made.mesh_spire_ca()
    issued = ca.issue(SVID.but(uris=(REVIEWS,), aki=False))
    cluster = healthy(pod(), reviews_v1_5d9_x=support.dump(made.pem(issued, ca), {TRUST_DOMAIN: ROOT.pem}))
    report = verify(cluster, defaults(), AT, requirements=Requirements(strict=strict))
    assert [(one.code, one.severity) for one in report.pods[0].findings] == [("MPK-314", severity)]
    assert report.exit_code(strict=strict) == (errors.BROKEN if strict else errors.OK)


def test_pods_are_grouped_by_the_deployment_that_owns_them() -> None:
    report = judged(
        pod(), pod("reviews-v1-5d9-y"), pod("ratings-v1-77f-z", account="bookinfo-ratings"),
        reviews_v1_5d9_x=held(), reviews_v1_5d9_y=b"", ratings_v1_77f_z=held(),
    )  # fmt: skip
    assert [(one.workload.kind, one.workload.name, one.proven, one.result) for one in report.workloads] == [
        ("Deployment", "ratings-v1", 0, "broken"),
        ("Deployment", "reviews-v1", 1, "unknown"),
    ]
    assert report.counts == {"broken": 1, "unknown": 1, "proven": 1}


def test_a_pod_that_waits_for_the_spire_agent_is_broken_and_says_so() -> None:
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "bookinfo"}, "type": "Warning",
        "involvedObject": {"uid": f"uid-{POD}"}, "reason": "FailedMount", "message": "driver csi.spiffe.io not found",
        "lastTimestamp": "2026-11-24T11:59:00Z",
    }  # fmt: skip
    cluster = mesh(pin(ROOT), agent(ready=False), event, pod(**unready()))
    report = verify(cluster, defaults(), AT)
    assert (codes(report), report.exit_code(strict=False)) == (("MPK-343",), errors.BROKEN)
    reason = report.pods[0].reason
    assert "SPIRE agent not ready on node node-1" in reason
    assert "FailedMount: driver csi.spiffe.io not found" in reason


def test_a_node_without_a_spire_agent_is_named() -> None:
    report = verify(mesh(pin(ROOT), agent(node="node-2"), pod(**unready())), defaults(), AT)
    assert "no SPIRE agent runs on node node-1" in report.pods[0].reason


def test_a_proxy_that_crashes_over_and_over_has_no_identity() -> None:
    between_crashes = {**unready({"name": "istio-proxy", "restartCount": 9, "ready": False, "state": {"running": {}}})}
    for state in (unready(CRASHING), between_crashes):
        report = judged(pod(**state), reviews_v1_5d9_x=b"")
        assert codes(report) == ("MPK-343",)


def test_a_proxy_that_runs_in_a_pod_whose_application_is_not_ready_is_unknown_where_it_does_not_answer() -> None:
    running = {"name": "istio-proxy", "restartCount": 0, "ready": True, "state": {"running": {}}}
    report = judged(pod(**unready(running)), reviews_v1_5d9_x=b"")
    assert (report.pods[0].result, codes(report)) == ("unknown", ())


@dataclass(frozen=True)
class Young:
    """A pod without a certificate that was scheduled so long ago."""

    name: str
    seconds: int
    result: str
    proxy: Object
    has_agent: bool = True


INITIALIZING = {"name": "istio-proxy", "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}
ASKING = {"name": "istio-proxy", "restartCount": 0, "ready": False, "state": {"running": {}}}
YOUNG = (
    Young("a second after it was scheduled nothing is wrong", 1, "unknown", INITIALIZING),
    Young("nor while its Envoy waits for a certificate", 20, "unknown", ASKING),
    Young("a minute later it is", 61, "broken", INITIALIZING),
    Young("and so is an Envoy without one", 61, "broken", ASKING),
    Young("as is one that was scheduled in an hour to come, by a clock that is wrong", -3600, "broken", ASKING),
    Young("at once where its proxy crashed", 1, "broken", CRASHING),
    Young("at once where its node has no SPIRE agent", 1, "broken", INITIALIZING, has_agent=False),
)


@pytest.mark.parametrize("case", YOUNG, ids=lambda case: case.name)
def test_a_pod_that_only_starts_is_not_broken(case: Young) -> None:
    starting = pod(**unready(case.proxy))
    scheduled = f"{AT - timedelta(seconds=case.seconds):%Y-%m-%dT%H:%M:%SZ}"
    starting["metadata"]["creationTimestamp"] = "2026-11-01T00:00:00Z"
    starting["status"]["conditions"].append({"type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled})
    objects = (agent(), starting) if case.has_agent else (starting,)
    empty = support.dump(b"", {TRUST_DOMAIN: ROOT.pem})
    report = verify(ControlPlane().around(*objects, reviews_v1_5d9_x=empty), defaults(), AT)
    found = report.pods[0]
    assert (found.result, codes(report)) == (case.result, ("MPK-343",) if case.result == "broken" else ())
    assert case.result == "broken" or "it is still starting" in found.reason


def test_a_gateway_with_spires_socket_and_without_an_identity_is_broken_although_it_bears_no_label() -> None:
    gateway = pod()
    gateway["metadata"]["labels"] = {}
    gateway["spec"]["volumes"] = [{"name": "spire", "csi": {"driver": "csi.spiffe.io", "readOnly": True}}]
    report = judged(gateway, reviews_v1_5d9_x=support.dump(b"", {TRUST_DOMAIN: ROOT.pem}))
    assert (report.pods[0].result, codes(report)) == ("broken", ("MPK-343",))


def test_spires_socket_alone_makes_no_pod_of_the_mesh() -> None:
    native = pod()
    native["metadata"]["labels"], native["spec"]["initContainers"] = {}, []
    native["spec"]["volumes"] = [{"name": "spire", "csi": {"driver": "csi.spiffe.io", "readOnly": True}}]
    assert judged(native).pods == ()


class Vanishing(Mesh):
    """A cluster in which a pod is another, or none, once somebody tried to reach it."""

    afterwards: Object | None = None

    @contextlib.contextmanager
    def forward(self, pod: Ref, port: int) -> Iterator[socket.socket]:
        if pod.name == POD:
            del self.objects[pod]
            self.put(*([self.afterwards] if self.afterwards else []))
            raise ClusterError("MPK-102", "port-forward refused (HTTP 404)", where=str(pod), status=404)
        with super().forward(pod, port) as connection:
            yield connection


def leaving() -> Object:
    gone = pod()
    gone["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    return gone


def reborn() -> Object:
    another = pod()
    another["metadata"]["uid"] = "uid-of-another"
    return another


@pytest.mark.parametrize(
    ("afterwards", "judged_too"),
    [(None, False), (leaving(), False), (pod(phase="Succeeded"), False), (reborn(), False), (pod(), True)],
    ids=["gone", "leaving", "ended", "replaced", "still there"],
)
def test_a_pod_that_went_away_before_it_was_asked_does_not_count(afterwards: Object | None, judged_too: bool) -> None:
    good = healthy(
        pod(), pod("ratings-v1-77f-z", account="bookinfo-ratings"), ratings_v1_77f_z=held("bookinfo-ratings")
    )
    cluster = Vanishing(**vars(good))
    cluster.afterwards = afterwards
    seen: list[tuple[int, int]] = []
    report = verify(cluster, defaults(), AT, progress=lambda done, of: seen.append((done, of)))
    assert report.counts == Counter(proven=1, unknown=int(judged_too))
    assert seen == [(1, 2), (2, 2)]


def test_a_right_that_is_missing_has_no_pod_looked_at_once_more() -> None:
    class Shut(Mesh):
        @contextlib.contextmanager
        def forward(self, pod: Ref, port: int) -> Iterator[socket.socket]:  # noqa: ARG002 - a protocol's
            raise ClusterError("MPK-102", "port-forward refused", where=str(pod), status=403)
            yield

    cluster = Shut(**vars(healthy(pod(), pod("ratings-v1-77f-z"))))
    assert verify(cluster, defaults(), AT).counts == Counter(unknown=2)
    assert not any(verb == "list" and "metadata.name=reviews" in what for verb, what in cluster.requests)


def test_a_pod_that_was_not_promised_an_identity_and_has_none_is_unknown() -> None:
    plain = pod(**unready())
    plain["metadata"]["labels"] = {}
    assert judged(plain).pods[0].result == "unknown"


def test_a_promised_pod_without_a_sidecar_is_unknown_and_listed() -> None:
    bare = pod()
    bare["spec"]["initContainers"] = []
    found = judged(bare).pods[0]
    assert (found.result, "no sidecar" in found.reason) == ("unknown", True)


def namespace(**labels: str) -> Object:
    named = {label.replace("_", "-"): value for label, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bookinfo", "labels": named}}


def uninjected(name: str = "outside-5d9-x", *, host: bool = False, note: str = "", **labels: str) -> Object:
    """A pod that has neither a proxy nor a label of SPIRE's."""
    bare = pod(name)
    bare["metadata"]["labels"] = {f"sidecar.istio.io/{label}": value for label, value in labels.items()}
    bare["metadata"]["annotations"] = {"sidecar.istio.io/inject": note} if note else {}
    bare["spec"] |= {"initContainers": [], "hostNetwork": host}
    return bare


INJECTED = namespace(istio_injection="enabled")
REVISION = namespace()
REVISION["metadata"]["labels"] = {"istio.io/rev": "canary"}
CONTRARY = namespace(istio_injection="disabled")
CONTRARY["metadata"]["labels"]["istio.io/rev"] = "canary"


@pytest.mark.parametrize(
    ("space", "bare", "result"),
    [
        (INJECTED, uninjected(), "unknown"),
        (REVISION, uninjected(), "unknown"),
        (namespace(), uninjected(), ""),
        (CONTRARY, uninjected(), ""),
        (namespace(), uninjected(inject="true"), "unknown"),
        (INJECTED, uninjected(host=True), ""),
        (INJECTED, uninjected(inject="false"), "unseen"),
        (INJECTED, uninjected(note="false"), "unseen"),
        (INJECTED, uninjected(inject="true", note="false"), "unknown"),
        (namespace(), uninjected(inject="false"), ""),
        (namespace(), uninjected(note="true"), ""),
    ],
    ids=[
        "in a namespace that injects",
        "in one that a revision injects",
        "in another namespace",
        "in one that says no to a revision",
        "that asks for a sidecar itself",
        "on the host's network",
        "that opted out by its label",
        "that opted out by its annotation",
        "whose label goes before its annotation",
        "that opted out where nobody injects",
        "that asks by its annotation alone, of which the webhook hears nothing",
    ],
)
def test_a_pod_that_was_not_injected_is_told_of_where_it_should_have_been(
    space: Object, bare: Object, result: str
) -> None:
    report = verify(healthy(space, bare, pod(), reviews_v1_5d9_x=held()), defaults(), AT)
    assert report.counts == Counter(proven=1, unknown=int(result == "unknown"))
    assert report.exit_code(strict=True) == (errors.BROKEN if result == "unknown" else errors.OK)
    kept_out = [one.what for one in report.unseen if "kept out" in one.what]
    assert kept_out == (["1 pod that was kept out of the mesh: bookinfo/outside-5d9-x"] if result == "unseen" else [])


def test_a_pod_without_a_sidecar_needs_no_bundle_and_none_is_missed_where_istio_injects_nothing() -> None:
    bare, system = uninjected(inject="true"), uninjected("node-agent-1", inject="true")
    bare["metadata"]["namespace"], system["metadata"]["namespace"] = "shop", "kube-system"
    report = verify(healthy(bare, system, pod(), reviews_v1_5d9_x=held()), defaults(), AT)
    assert report.counts == Counter(proven=1, unknown=1)
    assert report.results["broken"] == 0


def test_where_namespaces_may_not_be_listed_a_line_says_so_and_nothing_fails() -> None:
    cluster = healthy(INJECTED, uninjected(), pod(), reviews_v1_5d9_x=held())
    cluster.denied = frozenset({"Namespace"})
    report = verify(cluster, defaults(), AT)
    assert report.exit_code(strict=True) == errors.OK
    assert [one.needs for one in report.unseen if "sidecar" in one.what] == ["the right to `list` namespaces"]


def test_finished_and_leaving_pods_and_pods_outside_the_mesh_do_not_count() -> None:
    leaving = pod("reviews-v1-5d9-y")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    assert judged(pod(phase="Succeeded"), leaving).pods == ()


def test_events_that_may_not_be_read_do_not_hide_the_rest() -> None:
    cluster = healthy(pod(**unready()))
    cluster.denied = frozenset({"Event"})
    assert "events cannot be read (MPK-102)" in verify(cluster, defaults(), AT).pods[0].reason


@pytest.mark.parametrize(
    ("envoys", "strict", "code"),
    [
        ((held(), held()), True, errors.OK),
        ((held(), b""), False, errors.OK),
        ((held(), b""), True, errors.BROKEN),
        ((held(), fallback()), False, errors.BROKEN),
        ((b"", fallback()), False, errors.BROKEN),
        ((b"", b""), False, errors.PRECONDITION),
        ((b"", b""), True, errors.PRECONDITION),
    ],
)
def test_the_exit_code_follows_from_the_results(envoys: tuple[bytes, bytes], strict: bool, code: int) -> None:
    first, second = envoys
    report = judged(pod(), pod("reviews-v1-5d9-y"), reviews_v1_5d9_x=first, reviews_v1_5d9_y=second)
    assert report.exit_code(strict=strict) == code


def test_where_nothing_could_be_judged_the_missing_right_is_named() -> None:
    cluster = healthy(pod())
    report = verify(cluster, defaults(), AT)
    assert "none of 1 pods could be judged: port-forward refused (HTTP 404)" in str(unjudged(cluster, report))
    cluster.denied = frozenset({"pods/portforward"})
    assert "`create` pods/portforward" in str(unjudged(cluster, report))


def test_where_spires_server_may_not_be_looked_at_the_error_names_the_right() -> None:
    cluster = ControlPlane().cluster()
    cluster.hidden = frozenset({"StatefulSet"})
    report = verify(cluster, defaults(), AT)
    assert report.exit_code(strict=False) == errors.PRECONDITION
    assert re.search(
        r"one of SPIRE's own CAs.*right to `get` statefulsets/spire-server", str(unjudged(cluster, report))
    )


def hooks_of(cluster: Mesh, kind: str) -> list[Ref]:
    return [ref for ref in cluster.objects if ref.kind == f"{kind}WebhookConfiguration"]


UNVALIDATED = replace(defaults().istio, operator={"values": {"global": {"configValidation": False}}})


@pytest.mark.parametrize(
    ("kind", "settings", "broken"),
    [
        ("Mutating", defaults(), True),
        ("Validating", defaults(), True),
        ("Validating", replace(defaults(), istio=UNVALIDATED), False),
        ("Mutating", replace(defaults(), istio=UNVALIDATED), True),
    ],
)
def test_a_kind_of_webhook_that_an_istiod_has_none_of_is_broken(kind: str, settings: Settings, *, broken: bool) -> None:
    cluster = ControlPlane().cluster()
    for ref in hooks_of(cluster, kind):
        del cluster.objects[ref]
    found = [one for one in verify(cluster, settings, AT).places if one.result == "broken"]
    assert [(one.place.ref.kind, one.reason) for one in found] == (
        [(f"{kind}WebhookConfiguration", "there is none")] if broken else []
    )


def test_without_an_istiod_there_need_be_no_webhook() -> None:
    cluster = ControlPlane(istiods=()).cluster()
    for ref in (*hooks_of(cluster, "Mutating"), *hooks_of(cluster, "Validating")):
        del cluster.objects[ref]
    assert [one for one in verify(cluster, defaults(), AT).places if one.place.kind is PlaceKind.WEBHOOK] == []


def test_a_webhook_that_asks_istiod_is_judged_although_its_labels_were_taken_off() -> None:
    cluster = ControlPlane().cluster()
    cluster.put(webhook(STRANGER.pem, labels={}))
    found = [one for one in verify(cluster, defaults(), AT).places if one.result == "broken"]
    assert {one.place.kind for one in found} == {PlaceKind.WEBHOOK}
    assert len(found) == 2


CONTRACTS = (chain.judge.__doc__, control_plane.judge.__doc__)
LISTED = ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")


@pytest.mark.parametrize("kind", LISTED)
def test_where_nobody_may_be_asked_for_who_may_ask_the_root_strict_fails_on_it(kind: str) -> None:
    cluster = ControlPlane().cluster()
    cluster.denied = frozenset({kind})
    report = verify(cluster, defaults(), AT)
    (place,) = [one for one in report.places if one.place.kind is PlaceKind.REQUESTERS]
    assert (place.result, "list refused" in place.reason) == ("unknown", True)
    assert (report.exit_code(strict=False), report.exit_code(strict=True)) == (errors.OK, errors.BROKEN)


def test_so_it_does_where_spires_own_list_was_asked_for_and_refused() -> None:
    class Shut(Mesh):
        def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:  # noqa: ARG002 - a protocol's
            raise ClusterError("MPK-102", "exec refused: pods/exec", status=403)

    cluster = Shut(**vars(ControlPlane().cluster()))
    report = verify(cluster, defaults(), AT, requirements=Requirements(authorities=True))
    assert [(one.place.detail, one.result) for one in report.places if one.result != "proven"] == [
        ("its own list of CAs", "unknown")
    ]
    assert (report.exit_code(strict=False), report.exit_code(strict=True)) == (errors.OK, errors.BROKEN)
    assert verify(cluster, defaults(), AT).exit_code(strict=True) == errors.OK


def test_a_mesh_without_pods_judges_nothing() -> None:
    report = judged()
    assert report.exit_code(strict=False) == errors.PRECONDITION
    assert "no pod of the mesh" in str(unjudged(mesh(), report))


@pytest.mark.parametrize(
    ("names", "found"),
    [((), 2), (("reviews-v1",), 1), (("deployment/reviews-v1", "ratings-v1"), 2), (("reviews-v1-5d9-x",), 1)],
)
def test_workloads_are_chosen_by_name(names: tuple[str, ...], found: int) -> None:
    cluster = healthy(pod(), pod("ratings-v1-77f-z"), reviews_v1_5d9_x=held(), ratings_v1_77f_z=held())
    assert len(verify(cluster, defaults(), AT, Scope(names=names)).pods) == found


@pytest.mark.parametrize("name", ["details-v1", "statefulset/reviews-v1"])
def test_a_workload_that_is_not_there_is_a_usage_error_that_names_those_that_are(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        verify(healthy(pod()), defaults(), AT, Scope(names=(name,)))
    assert "reviews-v1" in caught.value.remedy


def test_namespace_and_selector_narrow_what_is_asked() -> None:
    cluster = healthy(pod(), pod("ratings-v1-77f-z", namespace="other"), reviews_v1_5d9_x=held())
    report = verify(cluster, defaults(), AT, Scope("bookinfo", "app=reviews-v1"))
    assert [one.pod.ref.name for one in report.pods] == [POD]
    assert report.scope == Scope("bookinfo", "app=reviews-v1")


def test_without_a_pinned_root_there_is_nothing_to_judge_against() -> None:
    with pytest.raises(PreconditionError, match="no root is pinned"):
        verify(mesh(pod()), defaults(), AT)


@pytest.mark.parametrize("data", [{"generation": "two"}, {"root.pem": "no PEM"}, {"chain.pem": "no PEM"}])
def test_a_pin_that_no_step_can_read_is_read_by_verify_neither(data: dict[str, str]) -> None:
    cluster = healthy(pod())
    cluster.objects[PIN]["data"] |= data
    with pytest.raises(PreconditionError, match="the pin cannot be read") as caught:
        verify(cluster, defaults(), AT)
    assert caught.value.code == "MPK-376"


def test_the_pin_is_read_once() -> None:
    cluster = healthy(pod(), reviews_v1_5d9_x=held())
    verify(cluster, defaults(), AT)
    assert cluster.requests.count(("get", str(PIN))) == 1


def test_a_fingerprint_from_outside_must_be_the_pinned_one() -> None:
    cluster = healthy(pod(), reviews_v1_5d9_x=held())
    good = ROOT.certificate.sha256
    colons = ":".join(good[place : place + 2] for place in range(0, 64, 2)).upper()
    assert verify(cluster, defaults(), AT, requirements=Requirements((colons,))).counts["proven"] == 1
    with pytest.raises(PreconditionError, match=f"the pinned root is {good}"):
        verify(cluster, defaults(), AT, requirements=Requirements(("0" * 64,)))


@pytest.mark.parametrize(
    ("known", "broken"),
    [((ROOT,), [NEW]), ((NEW,), [ROOT]), ((ROOT, NEW), []), ((), [])],
    ids=["the old root alone", "the new root alone", "both", "none"],
)
def test_while_a_rotation_runs_a_root_that_was_not_named_is_the_one_thing_broken(
    known: tuple[made.Issued, ...], broken: list[made.Issued]
) -> None:
    cluster = ControlPlane(pinned=(NEW, ROOT)).around(pod(), reviews_v1_5d9_x=leaf(example_org=made.pem(NEW, ROOT)))
    report = verify(cluster, defaults(), AT, requirements=Requirements(tuple(one.certificate.sha256 for one in known)))
    found = [finding for finding in report.findings if finding.severity == "fail"]
    assert [(one.code, one.certificate.sha256) for one in found if one.certificate] == [
        ("MPK-354", one.certificate.sha256) for one in broken
    ]
    assert report.counts == Counter(proven=1)
    assert report.results["broken"] == len(broken)


def test_every_root_that_is_named_must_be_pinned() -> None:
    known = [ROOT.certificate.sha256, STRANGER.certificate.sha256]
    with pytest.raises(PreconditionError, match=f"not {known[1]}"):
        verify(healthy(pod()), defaults(), AT, requirements=Requirements(tuple(known)))


@pytest.mark.parametrize(
    ("bundle", "result", "severities"),
    [
        ((NEW, ROOT), "proven", []),
        ((ROOT,), "proven", ["warn"]),
        ((NEW,), "proven", ["warn"]),
        ((ROOT, STRANGER), "broken", ["fail", "fail"]),
        ((STRANGER,), "broken", ["fail", "fail", "fail"]),
        ((), "broken", ["fail"]),
    ],
)
def test_while_a_rotation_pins_two_roots_a_bundle_without_the_other_is_on_its_way(
    bundle: tuple[made.Issued, ...], result: str, severities: list[str]
) -> None:
    cluster = ControlPlane(pinned=(NEW, ROOT)).around(pod(), reviews_v1_5d9_x=leaf(example_org=made.pem(*bundle)))
    found = verify(cluster, defaults(), AT).pods[0]
    assert (found.result, [one.severity for one in found.findings]) == (result, severities)
    assert {one.code for one in found.findings} <= {"MPK-341"}


def test_a_bundle_on_its_way_that_refuses_a_peer_now_fails_as_a_pair() -> None:
    envoys = {"reviews_v1_5d9_x": held(), "reviews_v1_5d9_y": leaf(example_org=NEW.pem)}
    cluster = ControlPlane(pinned=(NEW, ROOT)).around(pod(), pod("reviews-v1-5d9-y"), **envoys)
    report = verify(cluster, defaults(), AT)
    assert {one.result for one in report.pods} == {"proven"}
    assert "1 of the 2 pinned roots" in report.pods[0].findings[0].found
    assert report.exit_code(strict=False) == errors.BROKEN
    # what the two present is signed by the older root, which the second has not got
    assert sum(pair.result == "broken" for pair in report.peers) == 2


def requests(count: int) -> Counter[str]:
    """The requests by verb of a verify of so many healthy pods."""
    pods = [pod(f"reviews-v1-5d9-{number}") for number in range(count)]
    cluster = healthy(*pods, **{f"reviews_v1_5d9_{number}": held() for number in range(count)})
    report = verify(cluster, defaults(), AT)
    assert report.counts == Counter(proven=count)
    assert "Secret" not in str(cluster.requests)
    return Counter(verb for verb, _ in cluster.requests)


def test_no_secret_is_ever_asked_for_and_each_more_pod_costs_one_forward() -> None:
    assert requests(7) - requests(2) == Counter(forward=5)


def test_the_control_plane_is_judged_with_the_pods_and_counts_for_the_exit_code() -> None:
    good = ControlPlane().cluster()
    assert {place.result for place in verify(good, defaults(), AT).places} == {"proven"}
    report = verify(ControlPlane(bundle=made.root().pem).cluster(), defaults(), AT)
    assert report.counts == {"proven": 1}
    assert report.exit_code(strict=False) == errors.BROKEN


def test_pods_are_judged_unknown_where_spires_own_cas_are_not_known() -> None:
    report = verify(mesh(pin(ROOT), pod(), reviews_v1_5d9_x=held()), defaults(), AT)
    assert [(one.result, [finding.code for finding in one.findings]) for one in report.pods] == [
        ("unknown", ["MPK-371"])
    ]


def test_pods_that_hold_other_anchors_are_named_as_peers_that_refuse_each_other() -> None:
    stranger = held(root=made.root())
    report = judged(pod(), pod("reviews-v1-5d9-y"), reviews_v1_5d9_x=held(), reviews_v1_5d9_y=stranger)
    assert sorted(pair.result for pair in report.peers) == ["broken", "broken", "proven", "proven"]


def test_progress_counts_every_pod() -> None:
    seen: list[tuple[int, int]] = []
    cluster = healthy(pod(), pod("ratings-v1-77f-z"), reviews_v1_5d9_x=held(), ratings_v1_77f_z=b"")
    verify(cluster, defaults(), AT, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_an_expired_anchor_beside_a_live_one_that_it_can_be_taken_for_is_a_warning() -> None:
    over = made.ROOT.but(not_before=AT - timedelta(days=2), not_after=AT - timedelta(days=1))
    old = made.root(over, private_key=ROOT.private_key)
    found = judged(pod(), reviews_v1_5d9_x=leaf(example_org=made.pem(old, ROOT))).pods[0]
    assert {"MPK-349", "MPK-341"} <= {one.code for one in found.findings}


def test_a_leaf_that_is_valid_by_the_clusters_clock_has_the_clocks_named() -> None:
    ca = made.mesh_spire_ca()
    ahead = ca.issue(SVID.but(uris=(REVIEWS,), not_before=AT + timedelta(seconds=30)))
    cluster = healthy(pod(), reviews_v1_5d9_x=support.dump(made.pem(ahead, ca), {TRUST_DOMAIN: ROOT.pem}))
    cluster.server_date = AT + timedelta(minutes=1)
    (finding,) = [one for one in verify(cluster, defaults(), AT).pods[0].findings if one.code == "MPK-306"]
    assert "this machine's clock is 60 s behind the API server's" in finding.remedy


def issued_at(begun: datetime) -> bytes:
    ca = made.mesh_spire_ca()
    issued = ca.issue(SVID.but(uris=(REVIEWS,), not_before=begun, not_after=begun + timedelta(hours=1)))
    return support.dump(made.pem(issued, ca), {TRUST_DOMAIN: ROOT.pem})


@pytest.mark.parametrize(
    ("begun", "now", "result"),
    [(8, 20, "proven"), (20, 20, "proven"), (21, 20, "broken"), (8, None, "broken")],
    ids=["issued while verify ran", "this moment", "in the future", "without a clock"],
)
def test_a_certificate_that_was_issued_while_verify_ran_is_judged_at_a_later_moment(
    begun: int, now: int | None, result: str
) -> None:
    cluster = healthy(pod(), reviews_v1_5d9_x=issued_at(AT + timedelta(seconds=begun)))
    clock = None if now is None else lambda: AT + timedelta(seconds=now)
    report = verify(cluster, defaults(), AT, now=clock)
    assert (report.pods[0].result, codes(report)) == (result, () if result == "proven" else ("MPK-306",))
    assert {one.result for one in report.peers} == {result}
    assert report.at == AT


def test_what_else_is_wrong_with_such_a_certificate_stays_wrong() -> None:
    ca = made.mesh_spire_ca()
    other = ca.issue(
        SVID.but(uris=(f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/admin",), not_before=AT + timedelta(seconds=8))
    )
    cluster = healthy(pod(), reviews_v1_5d9_x=support.dump(made.pem(other, ca), {TRUST_DOMAIN: ROOT.pem}))
    report = verify(cluster, defaults(), AT, now=lambda: AT + timedelta(seconds=20))
    assert (report.pods[0].result, codes(report)) == ("broken", ("MPK-306", "MPK-340"))


@pytest.mark.parametrize(("now", "result"), [(20, "proven"), (7, "broken")])
def test_so_is_what_istiod_serves(now: int, result: str) -> None:
    serving = made.ISTIOD_SERVING.but(not_before=AT + timedelta(seconds=8))
    report = verify(ControlPlane(serving=serving).cluster(), defaults(), AT, now=lambda: AT + timedelta(seconds=now))
    assert {one.result for one in report.places if one.place.kind is PlaceKind.ISTIOD} == {result}


def test_the_number_of_a_rule_of_the_control_plane_means_nothing_else_in_a_chain() -> None:
    numbered = [re.findall(r"(?:^ +|· )(\d+)(?=[, ])", text, re.MULTILINE) for text in map(str, CONTRACTS)]
    of_chains, of_places = map(set, numbered)
    # 43 is one rule, of whatever anchors are looked at
    assert of_chains & of_places == {"43"}
    assert {"22", "45"} <= of_chains
    assert {"39", "47"} <= of_places


def test_a_bundle_of_another_trust_domain_is_a_warning() -> None:
    found = judged(pod(), reviews_v1_5d9_x=leaf(example_org=ROOT.pem, evil_example=made.root().pem)).pods[0]
    assert (found.result, [(one.code, one.severity) for one in found.findings]) == ("proven", [("MPK-341", "warn")])


def test_two_secrets_of_one_name_that_differ_cannot_be_judged() -> None:
    first, second = json.loads(fallback()), json.loads(held())
    first["configs"][1]["dynamic_active_secrets"] += second["configs"][1]["dynamic_active_secrets"]
    assert judged(pod(), reviews_v1_5d9_x=json.dumps(first).encode()).pods[0].result == "unknown"


def test_one_silent_pod_does_not_need_the_right_to_see_spires_agents() -> None:
    class Namespaced(Mesh):
        def list(self, query: Query) -> list[Object]:
            if query.kind == "Pod" and query.namespace == "spire-system":
                raise ClusterError("MPK-102", "list refused: pods", status=403)
            return super().list(query)

    good = ControlPlane().around(pod(), pod("ratings-v1-77f-z"), reviews_v1_5d9_x=held(), ratings_v1_77f_z=b"")
    cluster = Namespaced(**vars(good))
    report = verify(cluster, defaults(), AT)
    assert report.counts == {"proven": 1, "unknown": 1}
    assert "SPIRE's agents cannot be seen" in next(one.reason for one in report.pods if one.result == "unknown")
