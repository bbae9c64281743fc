"""Envoy's counters before and after: what grew, where, and what that says."""

import json

import pytest

from meshpki.cluster.manifest import Object, Ref
from meshpki.probing.counters import MUST_BE_ZERO, PATH, Changes, Counted, compare, read, snapshot
from tests.support.mesh import mesh, pod

REF = Ref("v1", "Pod", "bookinfo", "reviews-v1-5d9-x")
# as a sidecar of Istio 1.29.1 answers
LISTENER = "listener.0.0.0.0_15006"
CLUSTER = "cluster.outbound|8080||server-0.meshpki-probe.svc.cluster.local;"


def stats(**values: object) -> bytes:
    return json.dumps({"stats": [{"name": name, "value": value} for name, value in values.items()]}).encode()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"{LISTENER}.ssl.handshake", "ssl.handshake"),
        (f"{CLUSTER}.ssl.handshake", "ssl.handshake"),
        (f"{CLUSTER}.ssl.fail_verify_error", "ssl.fail_verify_error"),
        (f"{LISTENER}.ssl.fail_verify_san", "ssl.fail_verify_san"),
        (f"{LISTENER}.ssl.connection_error", "ssl.connection_error"),
        ("sds.default.update_success", "sds.update_success"),
        ("sds.ROOTCA.update_rejected", "sds.update_rejected"),
        ("sds.default.key_rotation_failed", "sds.key_rotation_failed"),
        (
            f"{CLUSTER}.client_ssl_socket_factory.upstream_context_secrets_not_ready",
            "factory.upstream_context_secrets_not_ready",
        ),
        (
            f"{LISTENER}.server_ssl_socket_factory.downstream_context_secrets_not_ready",
            "factory.downstream_context_secrets_not_ready",
        ),
        ("cluster.xds-grpc;.update_rejected", ""),
        ("listener_manager.lds.update_rejected", ""),
        ("cluster.sds-grpc;.update_success", ""),
        (f"{LISTENER}.ssl.certificate.default.expiration_unix_time_seconds", ""),
        (f"{LISTENER}.ssl.versions.TLSv1.3", ""),
        ("sds.default.version", ""),
        ("", ""),
    ],
)
def test_a_counter_is_known_by_its_family_and_its_last_word(name: str, kind: str) -> None:
    assert read(stats(**{name: 3})) == ({kind: 3} if kind else {})


def test_the_same_counter_of_many_listeners_and_clusters_is_summed() -> None:
    assert read(stats(**{f"{LISTENER}.ssl.handshake": 3, f"{CLUSTER}.ssl.handshake": 4})) == {"ssl.handshake": 7}


def test_histograms_and_texts_are_let_be() -> None:
    answer = {"stats": [{"histograms": {}}, {"name": f"{LISTENER}.ssl.handshake", "value": "x"}]}
    assert read(json.dumps(answer).encode()) == {}


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"stats":3}', b'{"stats":[3]}', b"[" * 100_000])
def test_an_answer_of_another_form_holds_no_counters(answer: bytes) -> None:
    with pytest.raises(ValueError, match="no counters"):
        read(answer)


def counted(uid: str = "a", unread: str = "", *, restarts: int = 0, began: str = "", **totals: int) -> Counted:
    return Counted(uid, {f"ssl.{name}": value for name, value in totals.items()}, unread, (restarts, began))


AGAIN = "2026-11-25T12:00:00Z"


@pytest.mark.parametrize(
    ("before", "after", "fate", "grown"),
    [
        (counted(handshake=5), counted(handshake=9), "kept", {"ssl.handshake": 4}),
        (counted(), counted(handshake=9), "kept", {"ssl.handshake": 9}),
        (counted(handshake=9), counted(restarts=1, handshake=5), "restarted", {"ssl.handshake": 5}),
        (counted(handshake=9), counted(began=AGAIN, handshake=12), "restarted", {"ssl.handshake": 12}),
        (counted(handshake=9), counted(handshake=5), "unread", {}),
        (counted(handshake=9, fail_verify_error=1), counted(handshake=10), "unread", {}),
        (counted(handshake=5), counted("b", handshake=2), "born", {"ssl.handshake": 2}),
        (None, counted(handshake=2), "born", {"ssl.handshake": 2}),
        (counted(handshake=5), None, "gone", {}),
        (counted(handshake=5), counted(unread="silent"), "unread", {}),
        (counted(unread="silent"), counted(handshake=5), "unread", {}),
        (counted(), counted(), "unread", {}),
        (counted(unread="silent"), counted("b", handshake=5), "born", {"ssl.handshake": 5}),
    ],
)
def test_a_pod_is_kept_born_restarted_gone_or_unread(
    before: Counted | None, after: Counted | None, fate: str, grown: dict[str, int]
) -> None:
    changes = compare({REF: before} if before else {}, {REF: after} if after else {})
    assert [(one.fate, dict(one.grown)) for one in changes.pods] == [(fate, grown)]


def changes(**grown: int) -> Changes:
    before, after = Counted("a"), Counted("a", {f"{name.replace('_', '.', 1)}": n for name, n in grown.items()})
    return compare({REF: before}, {REF: after})


@pytest.mark.parametrize("kind", MUST_BE_ZERO)
def test_each_counter_of_something_gone_wrong_speaks_against_the_proof(kind: str) -> None:
    good = changes(ssl_handshake=5, sds_update_success=2)
    bad = changes(ssl_handshake=5, sds_update_success=2, **{kind.replace(".", "_", 1): 1})
    assert good.why_not() == ""
    assert bad.why_not() == f"{kind} grew by 1 ({REF})"
    assert bad.wrong == {kind: 1}


def test_what_had_to_grow_and_stood_still_speaks_against_it_too() -> None:
    assert changes(ssl_handshake=5).why_not() == "sds.update_success did not grow"
    assert changes(ssl_handshake=5).why_not(must_grow=["ssl.handshake"]) == ""
    assert changes(sds_update_success=5).why_not() == "ssl.handshake did not grow"


def test_a_proxy_that_started_meanwhile_is_told_apart() -> None:
    seen = compare({}, {REF: counted(handshake=3, fail_verify_error=1)})
    assert (seen.wrong, seen.starting) == ({}, {"ssl.fail_verify_error": 1})


def test_what_goes_away_with_a_service_hides_no_refused_certificate_from_the_verdict() -> None:
    before = counted(handshake=100, fail_verify_error=1)
    seen = compare({REF: before}, {REF: counted(handshake=60, fail_verify_error=5)})
    assert seen.starting == {}
    assert f"{REF}: its counters shrank though it was not restarted" in seen.why_not(())
    assert compare({REF: before}, {REF: counted(restarts=1, handshake=60)}).why_not(()) == ""


@pytest.mark.parametrize("place", ["initContainerStatuses", "containerStatuses"])
def test_a_restart_is_known_from_the_container_of_the_proxy_and_of_no_other(place: str) -> None:
    def standing(restarts: int, began: str, others: int = 0) -> Object:
        proxy = {"name": "istio-proxy", "restartCount": restarts, "state": {"running": {"startedAt": began}}}
        return pod(
            "reviews-v1-5d9-x", **{"initContainerStatuses": [], place: [{"name": "app", "restartCount": others}, proxy]}
        )

    def fates(*looks: Object) -> list[str]:
        answer = stats(**{f"{LISTENER}.ssl.handshake": 3})
        before, after = (snapshot(mesh(look, reviews_v1_5d9_x=answer), [look]) for look in looks)
        return [one.fate for one in compare(before, after).pods]

    first = standing(0, "2026-11-25T11:00:00Z")
    assert fates(first, standing(0, "2026-11-25T11:00:00Z", others=3)) == ["kept"]
    assert fates(first, standing(1, AGAIN)) == ["restarted"]
    assert fates(first, standing(0, AGAIN)) == ["restarted"]


def test_a_snapshot_asks_every_envoy_and_keeps_the_reason_of_one_that_does_not_answer() -> None:
    pods = [pod("reviews-v1-5d9-x"), pod("details-v1-5d9-x"), pod("ratings-v1-5d9-x")]
    cluster = mesh(*pods, reviews_v1_5d9_x=stats(**{f"{LISTENER}.ssl.handshake": 3}), details_v1_5d9_x=b"no JSON")
    seen = {ref.name.partition("-")[0]: one for ref, one in snapshot(cluster, pods).items()}
    assert seen["reviews"] == Counted("uid-reviews-v1-5d9-x", {"ssl.handshake": 3})
    assert seen["details"].unread == "its answer holds no counters"
    assert "404" in seen["ratings"].unread
    assert " " not in PATH
    assert "|" not in PATH
