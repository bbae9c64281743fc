import json
from collections import Counter
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.settings import defaults
from meshpki.verify.observation import Observation
from meshpki.verify.places import PlaceKind
from meshpki.verify.survey import observe
from tests.support import certificates as made
from tests.support.certificates import AT
from tests.support.control_plane import SELF_SIGNED, SPIRE, ControlPlane, replica, request, root_request, webhook
from tests.support.mesh import Mesh

SLOT = {"expires_at": "1795608000", "upstream_authority_subject_key_id": "b2"}
LISTING = json.dumps({"active": {"authority_id": "a1", **SLOT}, "old": {"authority_id": "0e", **SLOT}})


def seen(cluster: Mesh, *, authorities: bool = False) -> Observation:
    return observe(cluster, defaults(), AT, authorities=authorities)


def test_everything_of_a_healthy_control_plane_is_seen() -> None:
    found = seen(ControlPlane(istiods=(None, None)).cluster())
    assert Counter(one.place.kind for one in found.served) == {PlaceKind.ISTIOD: 4, PlaceKind.SPIRE_SERVER: 1}
    assert all(len(one.chain) == 2 for one in found.served)
    assert Counter(one.place.kind for one in found.kept) == {
        PlaceKind.WEBHOOK: 4,
        PlaceKind.ISTIO_BUNDLE: 2,
        PlaceKind.SPIRE_BUNDLE: 1,
    }
    assert [one.party for one in found.signed or ()] == ["root", "istiod-ca"]
    assert found.pin is not None
    assert (found.pin.generation, found.pin.roots) == (1, (made.mesh_root().certificate,))
    assert (found.requesters, found.skew) == ((), timedelta(0))


def test_no_secret_is_asked_for_and_nothing_is_changed() -> None:
    cluster = ControlPlane().cluster()
    seen(cluster)
    assert {verb for verb, _ in cluster.requests} == {"get", "list", "forward"}
    assert "Secret" not in str(cluster.requests)


def test_what_is_left_out_by_choice_is_told_with_the_option_that_would_look() -> None:
    assert [one.needs for one in seen(ControlPlane().cluster()).unseen if "--authorities" in one.needs] != []


def test_every_spire_server_is_asked_for_its_own_authorities_when_the_user_wants_it() -> None:
    cluster = ControlPlane(others=[replica("spire-server", 1)]).cluster()
    cluster.answers["exec"] = LISTING
    found = seen(cluster, authorities=True)
    assert found.local is not None
    assert (found.local.active, found.local.prepared, found.local.old) == ({"a1"}, frozenset(), {"0e"})
    assert [what.split()[-1] for verb, what in cluster.requests if verb == "exec"] == [
        "/opt/spire/bin/spire-server"
    ] * 2
    assert not any("--authorities" in one.needs for one in found.unseen)


@pytest.mark.parametrize(
    "answer", ["", "null", "[]", "{}", "{", '{"active":{"authority_id":"A1"}}', '{"old":3}', "x" * 100_000]
)
def test_a_listing_that_is_none_is_unseen_and_nothing_of_it_is_believed(answer: str) -> None:
    cluster = ControlPlane().cluster()
    cluster.answers["exec"] = answer
    found = seen(cluster, authorities=True)
    assert found.local is None
    assert [one.what for one in found.unseen if "MPK-420" in one.needs] == ["SPIRE's prepared and old CAs"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("CertificateRequest", "certificaterequests"),
        ("ConfigMap", "configmaps/istio-ca-root-cert"),
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        ("ClusterRole", "clusterroles"),
        ("Pod", "pods"),
    ],
)
def test_what_may_not_be_listed_is_unseen_with_the_right_it_takes_and_hides_nothing_else(kind: str, what: str) -> None:
    cluster = ControlPlane().cluster()
    cluster.denied = frozenset({kind})
    found = seen(cluster)
    assert [one for one in found.unseen if "the right to" in one.needs and what in one.needs and "`list`" in one.needs]
    assert found.pin is not None
    assert found.kept


def test_where_requests_or_rbac_may_not_be_read_nothing_is_claimed_of_them() -> None:
    cluster = ControlPlane().cluster()
    cluster.denied = frozenset({"CertificateRequest", "RoleBinding"})
    found = seen(cluster)
    assert (found.signed, found.requesters) == (None, None)


def test_a_server_that_does_not_answer_leaves_its_reason_and_the_others_their_chains() -> None:
    cluster = ControlPlane(istiods=(None, None)).cluster()
    del cluster.listeners["istiod-1", 15017]
    silent = [one for one in seen(cluster).served if one.error]
    assert [(one.place.ref.name, one.place.detail, one.error.code) for one in silent if one.error] == [
        ("istiod-1", "port 15017", "MPK-102")
    ]


def test_a_component_that_is_not_there_is_a_place_with_that_reason() -> None:
    found = seen(Mesh())
    assert {(one.place.kind, one.error.code) for one in found.served if one.error} == {
        (PlaceKind.ISTIOD, "MPK-351"),
        (PlaceKind.SPIRE_SERVER, "MPK-351"),
    }


def test_replicas_that_leave_or_have_ended_are_not_asked() -> None:
    ended = replica("istiod", 8)
    ended["status"]["phase"] = "Failed"
    found = seen(ControlPlane(others=[replica("istiod", 7, leaving=True), ended]).cluster())
    assert {one.place.ref.name for one in found.served} == {"istiod-0", "spire-server-0"}


@pytest.mark.parametrize(("name", "namespace"), [("kyverno", "istio-system"), ("istiod", "another")])
def test_webhooks_of_others_are_not_looked_at(name: str, namespace: str) -> None:
    foreign = webhook(made.root().pem, name="foreign-injector", labels={"app": "other"})
    for hook in foreign["webhooks"]:
        hook["clientConfig"]["service"] |= {"name": name, "namespace": namespace}
    found = seen(ControlPlane(others=[foreign]).cluster())
    assert "foreign-injector" not in {one.place.ref.name for one in found.kept}


def test_requests_that_are_gone_are_told() -> None:
    found = seen(ControlPlane(requests=()).cluster())
    assert [one.what for one in found.unseen if "gone" in one.needs] == [
        "what the pinned root was issued as",
        "the newest cacerts",
    ]


def test_the_clocks_are_compared_before_anything_else() -> None:
    cluster = ControlPlane().cluster()
    cluster.server_date = AT + timedelta(seconds=7)
    assert seen(cluster).skew == timedelta(seconds=7)
    cluster.server_date = None
    assert seen(cluster).skew is None


def test_an_api_server_that_fails_at_every_request_leaves_everything_unseen() -> None:
    cluster = ControlPlane().cluster()
    cluster.faults = [ClusterError("MPK-102", "try later", status=503) for _ in range(99)]
    found = seen(cluster)
    assert found.served == ()
    assert sum("try later (MPK-102)" in one.needs for one in found.unseen) == 10


ROOT = made.mesh_root()
ROGUE = ROOT.issue(made.SPIRE_CA)


@pytest.mark.parametrize(
    ("listed", "party"),
    [
        (root_request(ROOT), "root"),
        (root_request(ROOT, 12), "root"),
        (request("x", ROOT, namespace="cert-manager", certificate="other", issuer=SELF_SIGNED), ""),
        (request("cacerts-1", ROGUE), "istiod-ca"),
        (request("x", ROGUE, namespace="spire-server", certificate="", username=SPIRE), "spire"),
        (request("x", ROGUE, username="eve"), ""),
        (request("x", ROGUE, namespace="default"), ""),
        (request("x", ROGUE, certificate="other"), ""),
        (request("x", ROGUE, namespace="spire-server", certificate=""), ""),
        (request("x", ROGUE, namespace="default", certificate="", username=SPIRE), ""),
        (request("x", ROGUE, namespace="cert-manager", certificate="meshpki-root-g1"), ""),
        (request("x", ROGUE, issuer={"name": "meshpki-root", "kind": "ClusterIssuer", "group": "other.example"}), ""),
        (request("x", ROGUE, issuer={"name": "meshpki-root"}), ""),
    ],
)  # fmt: skip
def test_a_request_is_the_meshs_own_only_by_whom_the_webhook_saw_where_and_for_what(
    listed: dict[str, object], party: str
) -> None:
    found = seen(ControlPlane(requests=[listed]).cluster()).signed
    assert found is not None
    assert [one.party for one in found] == [party]


def test_requests_of_other_issuers_count_only_where_they_ask_for_a_ca() -> None:
    other = request("x", ROGUE, issuer={"name": "other"})
    plain = request("y", ROGUE, issuer={"name": "other"})
    plain["spec"]["isCA"] = False
    found = seen(ControlPlane(requests=[other, plain]).cluster()).signed
    assert [one.ref.name for one in found or ()] == ["x"]


@pytest.mark.parametrize(
    "refusal",
    [
        {"type": "Denied", "status": "True"},
        {"type": "InvalidRequest", "status": "True"},
        {"type": "Ready", "status": "False", "reason": "Failed"},
    ],
    ids=lambda one: str(one["type"]),
)
def test_a_request_that_was_refused_gave_nobody_anything(refusal: dict[str, str]) -> None:
    refused, pending = request("refused"), request("pending")
    refused["status"] = {"conditions": [refusal]}
    pending["status"] = {"conditions": [{"type": "Ready", "status": "False", "reason": "Pending"}]}
    found = seen(ControlPlane(requests=[refused, pending]).cluster()).signed
    assert [one.ref.name for one in found or ()] == ["pending"]


@pytest.mark.parametrize("status", ["!!", "bm90IGEgY2VydGlmaWNhdGU="])
def test_an_answer_that_is_no_certificate_is_kept_as_an_error(status: str) -> None:
    broken = request("x")
    broken["status"] = {"certificate": status}
    found = seen(ControlPlane(requests=[broken]).cluster()).signed
    assert [one.error.code for one in found or () if one.error] == ["MPK-301"]
