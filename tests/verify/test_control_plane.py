from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Ref
from meshpki.pki.certificate import UnparsableError
from meshpki.settings import defaults
from meshpki.verify.authorities import authorities
from meshpki.verify.bundles import hidden
from meshpki.verify.control_plane import judge
from meshpki.verify.issuance import rogues
from meshpki.verify.judge import Pinned
from meshpki.verify.observation import Observation, Served
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict
from meshpki.verify.survey import observe
from tests.support import certificates as made
from tests.support.certificates import AT, CACERTS, HOUR, SPIRE_CA, TRUST_DOMAIN
from tests.support.control_plane import SERVER, ControlPlane, encoded, listener, request, root_request, webhook
from tests.support.mesh import Mesh

ROOT, OTHER = made.mesh_root(), made.root()
NOW, BEFORE = ROOT.issue(CACERTS), ROOT.issue(CACERTS.but(not_before=AT - 40 * HOUR))
FRESH = ROOT.issue(CACERTS.but(not_before=AT - timedelta(seconds=40)))
ROGUE = ROOT.issue(SPIRE_CA)
OVER = made.ROOT.but(not_before=AT - 9 * HOUR, not_after=AT - HOUR)
EXPIRED_ROOT, EXPIRED_AGAIN = (made.root(OVER, private_key=ROOT.private_key) for _ in range(2))
REQUEST = Ref("cert-manager.io/v1", "CertificateRequest", "elsewhere", "mine")


def judged(
    cluster: Mesh, *, roots: Sequence[made.Issued] = (ROOT,), namespaces: Sequence[str] = ()
) -> dict[str, PlaceVerdict]:
    observation = observe(cluster, defaults(), AT, authorities=False)
    return verdicts(observation, roots, namespaces)


def verdicts(
    observation: Observation, roots: Sequence[made.Issued] = (ROOT,), namespaces: Sequence[str] = ()
) -> dict[str, PlaceVerdict]:
    anchors = tuple(one.certificate for one in roots)
    known = authorities(observation, HOUR, rogues(observation, anchors))
    return {one.name: one for one in judge(observation, Pinned(anchors, TRUST_DOMAIN, AT, known), namespaces)}


def wrong(found: dict[str, PlaceVerdict]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What is not proven without a finding: the place's kind and name, its result and the codes found."""
    return {
        f"{one.place.kind} {one.place.ref.name}": (one.result, tuple(finding.code for finding in one.findings))
        for one in found.values()
        if one.result != "proven" or one.findings
    }


def test_a_healthy_control_plane_is_proven_at_every_place() -> None:
    found = judged(ControlPlane(istiods=(None, None)).cluster(), namespaces=["bookinfo"])
    assert wrong(found) == {}
    assert len(found) == 16
    assert {one.place.kind for one in found.values()} == set(PlaceKind) - {PlaceKind.REQUEST}


def test_a_proven_listener_shows_its_path_and_when_it_ends() -> None:
    found = judged(ControlPlane(cacerts=NOW).cluster())["Pod istio-system/istiod-0 port 15012"]
    assert [one.sha256 for one in found.path[1:]] == [NOW.certificate.sha256, ROOT.certificate.sha256]
    assert found.expires == AT + HOUR


@dataclass(frozen=True)
class Case:
    name: str
    plane: ControlPlane
    wrong: dict[str, tuple[str, tuple[str, ...]]]
    says: str = ""


def everywhere(*codes: str, result: str = "broken") -> dict[str, tuple[str, tuple[str, ...]]]:
    """The places of a bundle that all hold the same."""
    names = (
        "webhook istio-sidecar-injector", "webhook istio-validator-istio-system",
        "istio-bundle istio-ca-root-cert", "spire-bundle spire-bundle",
    )  # fmt: skip
    return dict.fromkeys(names, (result, codes))


def elsewhere(*chain: made.Issued, issuer: Object | None = None) -> Object:
    return request(
        "mine", *chain, namespace="elsewhere", certificate="", username="eve",
        issuer=issuer or {"name": "meshpki-root", "kind": "ClusterIssuer"},
    )  # fmt: skip


def leaf_request(*chain: made.Issued) -> Object:
    """A request that asks for no CA."""
    plain = elsewhere(*chain)
    plain["spec"]["isCA"] = False
    return plain


def requests(*more: Object, cacerts: Sequence[Object] = ()) -> list[Object]:
    return [root_request(ROOT), *(cacerts or (request("cacerts-1", NOW),)), *more]


def identity(uri: str) -> made.Issued:
    return ROOT.issue(made.SVID.but(uris=(uri,)))


TWO_REVISIONS = (request("cacerts-2", NOW, revision=2), request("cacerts-1", BEFORE))
UNANSWERED_FIRST = (request("a"), request("b", BEFORE, revision=2), request("c", NOW, revision=3))
CASES = (
    Case(
        "one istiod serves through the cacerts before",
        ControlPlane(istiods=(None, BEFORE), cacerts=NOW),
        {"istiod istiod-1": ("broken", ("MPK-347",))},
        "kubectl rollout restart",
    ),
    Case(
        "istiod serves an older chain while the kubelet still brings the new one",
        ControlPlane(istiods=(BEFORE,), cacerts=FRESH),
        {"istiod istiod-0": ("broken", ("MPK-347",))},
        "cacerts is 40 s old",
    ),
    Case(
        "istiod serves an older chain while cert-manager issues the next",
        ControlPlane(istiods=(BEFORE,), requests=requests(request("cacerts-2", revision=2))),
        {"istiod istiod-0": ("broken", ("MPK-347",))},
        "is issuing cacerts right now",
    ),
    Case(
        "istiod serves a certificate of the root itself",
        ControlPlane(istiods=(ROOT,), cacerts=NOW),
        {"istiod istiod-0": ("broken", ("MPK-347",))},
    ),
    Case(
        "istiod serves a chain of another root",
        ControlPlane(istiods=(OTHER.issue(CACERTS),), cacerts=NOW),
        {"istiod istiod-0": ("broken", ("MPK-304", "MPK-347"))},
    ),
    Case(
        "cacerts cannot be compared, as its request is gone",
        ControlPlane(requests=[root_request(ROOT)]),
        {"istiod istiod-0": ("unknown", ("MPK-347",))},
    ),
    Case(
        "istiod serves through the newest of two revisions",
        ControlPlane(cacerts=NOW, requests=requests(cacerts=TWO_REVISIONS)),
        {},
    ),
    Case(
        "istiod serves through the older of two revisions, and an even older one was never answered",
        ControlPlane(cacerts=BEFORE, requests=requests(cacerts=UNANSWERED_FIRST)),
        {"istiod istiod-0": ("broken", ("MPK-347",))},
        "kubectl rollout restart",
    ),
    Case(
        "cacerts is no CA",
        ControlPlane(requests=requests(cacerts=(request("cacerts-1", ROOT.issue(made.SVID)),)), istiods=()),
        {"istiod-ca cacerts-1": ("broken", ("MPK-359",)), "istiod istiod": ("unknown", ())},
    ),
    Case(
        "cacerts may sign and encipher",
        ControlPlane(cacerts=ROOT.issue(CACERTS.but(key_usages=("digital_signature", "key_cert_sign", "crl_sign")))),
        {"istiod-ca cacerts-1": ("proven", ("MPK-359",))},
    ),
    Case(
        "cacerts has ended",
        ControlPlane(cacerts=ROOT.issue(CACERTS.but(not_before=AT - 9 * HOUR, not_after=AT - HOUR))),
        {"istiod-ca cacerts-1": ("broken", ("MPK-305",)), "istiod istiod-0": ("broken", ("MPK-305",))},
    ),
    Case(
        "cacerts is below another root",
        ControlPlane(cacerts=OTHER.issue(CACERTS)),
        {"istiod-ca cacerts-1": ("broken", ("MPK-304",)), "istiod istiod-0": ("broken", ("MPK-304",))},
    ),
    Case("bundles with a stranger", ControlPlane(bundle=made.pem(ROOT, OTHER)), everywhere("MPK-348")),
    Case("bundles of another root", ControlPlane(bundle=OTHER.pem), everywhere("MPK-348", "MPK-348")),
    Case("bundles that are empty", ControlPlane(bundle=b""), everywhere("MPK-348")),
    Case("bundles that are cut off", ControlPlane(bundle=ROOT.pem[:-40]), everywhere("MPK-301")),
    Case(
        "an expired root of the same name and key stands beside it",
        ControlPlane(bundle=made.pem(EXPIRED_ROOT, ROOT)),
        everywhere("MPK-348", "MPK-349"),
    ),
    Case(
        "SPIRE serves a chain of another root",
        ControlPlane(spire_ca=OTHER.issue(SPIRE_CA)),
        {"spire-server spire-server-0": ("broken", ("MPK-304",))},
    ),
    Case(
        "SPIRE serves with a CA that somebody else obtained",
        ControlPlane(spire_ca=ROGUE, cacerts=NOW, requests=requests(elsewhere(ROGUE))),
        {"spire-server spire-server-0": ("broken", ("MPK-344",)), "request mine": ("broken", ("MPK-358",))},
        "eve obtained a CA through ClusterIssuer meshpki-root",
    ),
    Case(
        "a CA that somebody obtained through an issuer of another name",
        ControlPlane(cacerts=NOW, requests=requests(elsewhere(ROGUE, issuer={"name": "copy"}))),
        {"request mine": ("broken", ("MPK-358",))},
        "eve obtained a CA through Issuer elsewhere/copy",
    ),
    Case(
        "a CA that somebody obtained and that has run out since",
        ControlPlane(cacerts=NOW, requests=requests(elsewhere(ROOT.issue(SPIRE_CA.but(not_after=AT - HOUR / 2))))),
        {"request mine": ("proven", ("MPK-358",))},
        "eve obtained a CA through ClusterIssuer meshpki-root",
    ),
    Case(
        "a CA of another root is nobody's business here",
        ControlPlane(cacerts=NOW, requests=requests(elsewhere(OTHER.issue(SPIRE_CA), issuer={"name": "copy"}))),
        {},
    ),
    Case(
        "an identity of the trust domain that the root issued",
        ControlPlane(cacerts=NOW, requests=requests(leaf_request(identity(f"spiffe://{TRUST_DOMAIN}/ns/a/sa/b")))),
        {"request mine": ("broken", ("MPK-358",))},
        f"the identity spiffe://{TRUST_DOMAIN}/ns/a/sa/b",
    ),
    Case(
        "a plain certificate that the root issued",
        ControlPlane(cacerts=NOW, requests=requests(leaf_request(identity("spiffe://other.example/a")))),
        {"request mine": ("proven", ("MPK-358",))},
    ),
    Case(
        "a pin beside another request's root",
        ControlPlane(requests=[root_request(OTHER), request("cacerts-1", NOW)], cacerts=NOW),
        {"root meshpki-trust": ("broken", ("MPK-357",))},
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_place_is_judged_by_what_it_holds(case: Case) -> None:
    found = judged(case.plane.cluster())
    assert wrong(found) == case.wrong
    told = " ".join(f"{one.found} {one.remedy}" for place in found.values() for one in place.findings)
    assert case.says in told


def test_a_pin_whose_fingerprint_is_not_its_roots_is_broken() -> None:
    cluster = ControlPlane().cluster()
    cluster.objects[Ref("v1", "ConfigMap", "kube-system", "meshpki-trust")]["data"]["root.sha256"] = "00"
    assert wrong(judged(cluster)) == {"root meshpki-trust": ("broken", ("MPK-357",))}


def test_while_a_rotation_pins_two_roots_both_are_shown_and_bundles_hold_both() -> None:
    new = made.root()
    cluster = ControlPlane(pinned=(new, ROOT)).cluster()
    found = judged(cluster, roots=(new, ROOT))
    assert wrong(found) == {}
    older = judged(cluster)
    assert [one for one in wrong(older) if one.startswith("root")] == []


def test_while_two_roots_are_pinned_a_bundle_without_the_newer_is_on_its_way() -> None:
    found = judged(ControlPlane(pinned=(OTHER, ROOT), bundle=ROOT.pem).cluster(), roots=(OTHER, ROOT))
    assert wrong(found) == everywhere("MPK-348", result="proven")
    assert "1 of the 2 pinned roots" in found["ConfigMap spire-system/spire-bundle"].findings[0].found


def test_a_bundle_on_its_way_that_refuses_what_is_served_now_is_broken() -> None:
    found = judged(ControlPlane(pinned=(OTHER, ROOT), bundle=OTHER.pem).cluster(), roots=(OTHER, ROOT))
    assert {place: result for place, (result, _) in wrong(found).items()} == dict.fromkeys(everywhere(), "broken")
    told = {finding.found for place in found.values() for finding in place.findings if finding.severity == "fail"}
    assert told == {
        "it does not prove what Pod istio-system/istiod-0 port 15012 serves",
        "it does not prove what Pod istio-system/istiod-0 port 15017 serves",
        "it does not prove what Pod spire-server/spire-server-0 port 8081 serves",
    }


def test_while_two_roots_are_pinned_a_stranger_in_a_bundle_breaks_it_as_ever() -> None:
    bundle = made.pem(ROOT, made.root())
    found = judged(ControlPlane(pinned=(OTHER, ROOT), bundle=bundle).cluster(), roots=(OTHER, ROOT))
    assert wrong(found) == everywhere("MPK-348", "MPK-348")


def test_a_namespace_with_pods_of_the_mesh_and_without_istios_bundle_is_broken() -> None:
    found = judged(ControlPlane().cluster(), namespaces=["bookinfo", "shop"])
    assert found["ConfigMap shop/istio-ca-root-cert"].result == "broken"
    assert found["ConfigMap bookinfo/istio-ca-root-cert"].result == "proven"


def test_where_istios_bundles_cannot_be_listed_none_is_called_missing() -> None:
    cluster = ControlPlane().cluster()
    cluster.denied = frozenset({"ConfigMap"})
    found = judged(cluster, namespaces=["shop"])
    assert "ConfigMap shop/istio-ca-root-cert" not in found
    assert found["ConfigMap istio-system/istio-ca-root-cert"].result == "unknown"


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("CertificateRequest", "Certificate istio-system/cacerts"),
        ("Pod", "Deployment istio-system/istiod"),
        ("MutatingWebhookConfiguration", "MutatingWebhookConfiguration of Istio"),
    ],
)
def test_a_place_that_may_not_be_read_is_unknown_never_proven(kind: str, place: str) -> None:
    cluster = ControlPlane().cluster()
    cluster.denied = frozenset({kind})
    found = judged(cluster)[place]
    assert (found.result, kind in found.reason) == ("unknown", True)


def test_a_server_that_answers_under_another_name_is_broken() -> None:
    cluster = ControlPlane(cacerts=NOW).cluster()
    cluster.listeners["istiod-0", 15012] = listener(NOW.issue(made.ISTIOD_SERVING.but(dns=("other",))), NOW)
    ca = made.mesh_spire_ca()
    cluster.listeners["spire-server-0", 8081] = listener(ca.issue(made.SVID), ca)
    found = judged(cluster)
    assert [one.code for one in found["Pod istio-system/istiod-0 port 15012"].findings] == ["MPK-359"]
    assert [one.code for one in found["Pod spire-server/spire-server-0 port 8081"].findings] == ["MPK-359"]


def test_a_certificate_of_istiod_that_is_not_for_servers_is_broken() -> None:
    cluster = ControlPlane(cacerts=NOW).cluster()
    cluster.listeners["istiod-0", 15012] = listener(NOW.issue(made.ISTIOD_SERVING.but(extended=(made.CLIENT,))), NOW)
    assert [one.code for one in judged(cluster)["Pod istio-system/istiod-0 port 15012"].findings] == ["MPK-324"]


def test_a_chain_that_cannot_be_parsed_is_broken() -> None:
    place = Place(PlaceKind.SPIRE_SERVER, Ref("v1", "Pod", "spire-server", "spire-server-0"), "port 8081")
    found = verdicts(Observation(served=(Served(place, error=UnparsableError("cut off")),)))[str(place)]
    assert (found.result, [one.code for one in found.findings]) == ("broken", ["MPK-301"])


def test_a_server_that_does_not_answer_is_unknown() -> None:
    cluster = ControlPlane().cluster()
    del cluster.listeners["spire-server-0", 8081]
    found = judged(cluster)["Pod spire-server/spire-server-0 port 8081"]
    assert (found.result, "HTTP 404" in found.reason) == ("unknown", True)


def test_a_port_forward_that_is_refused_names_both_verbs_it_takes() -> None:
    error = ClusterError("MPK-102", 'pods "istiod-0" is forbidden: ', status=403)
    place = Place(PlaceKind.ISTIOD, Ref("v1", "Pod", "istio-system", "istiod-0"), "port 15012")
    found = verdicts(Observation(served=(Served(place, error=error),)))[str(place)]
    assert (found.result, "`get` and `create` pods/portforward in istio-system" in found.reason) == ("unknown", True)


def test_a_ca_bundle_that_is_no_base64_is_broken() -> None:
    torn = webhook(ROOT.pem, name="istio-revision-injector")
    torn["webhooks"][0]["clientConfig"]["caBundle"] = "!"
    del torn["webhooks"][1]["clientConfig"]["caBundle"]
    found = judged(ControlPlane(others=[torn]).cluster())
    names = [f"MutatingWebhookConfiguration istio-revision-injector {one}.istio.io" for one in ("namespace", "object")]
    assert [[one.code for one in found[name].findings] for name in names] == [["MPK-301"], ["MPK-348"]]


def test_an_answer_to_a_stranger_that_cannot_be_read_is_unknown() -> None:
    torn = elsewhere(ROGUE)
    torn["status"]["certificate"] = encoded(ROGUE.pem[:-40])
    found = judged(ControlPlane(requests=requests(torn), cacerts=NOW).cluster())
    assert found["CertificateRequest elsewhere/mine"].result == "unknown"


def test_rogues_are_known_by_their_keys() -> None:
    leaf = identity("spiffe://other.example/a")
    plain = elsewhere(leaf)
    plain["metadata"]["name"] = "plain"
    cluster = ControlPlane(cacerts=NOW, requests=requests(elsewhere(ROGUE), plain)).cluster()
    observation = observe(cluster, defaults(), AT, authorities=False)
    assert rogues(observation, [ROOT.certificate]) == {ROGUE.certificate.key_sha256: REQUEST}


@pytest.mark.parametrize(
    ("seconds", "codes", "says"),
    [
        (2, [], "agrees"),
        (-2, [], "agrees"),
        (3, ["MPK-373"], "3 s behind the API server's: 12:00:00 here, 12:00:03 there"),
        (-90, ["MPK-373"], "90 s ahead of the API server's: 12:00:00 here, 11:58:30 there"),
    ],
)
def test_clocks_that_differ_are_a_warning_that_names_the_direction(seconds: int, codes: list[str], says: str) -> None:
    cluster = ControlPlane().cluster()
    cluster.server_date = AT + timedelta(seconds=seconds)
    found = judged(cluster)["Clock API server"]
    assert (found.result, [one.code for one in found.findings]) == ("proven", codes)
    assert says in found.reason


def test_without_a_date_the_clocks_are_unknown() -> None:
    cluster = ControlPlane().cluster()
    cluster.server_date = None
    assert judged(cluster)["Clock API server"].result == "unknown"


@pytest.mark.parametrize(("ahead", "explained"), [(30, True), (10, False), (-30, False), (0, False)])
def test_a_certificate_that_is_valid_by_the_api_servers_clock_is_explained_by_the_clocks(
    ahead: int, explained: bool
) -> None:
    early = ROOT.issue(CACERTS.but(not_before=AT + timedelta(seconds=20)))
    cluster = ControlPlane(cacerts=early).cluster()
    cluster.server_date = AT + timedelta(seconds=ahead)
    found = judged(cluster)["CertificateRequest istio-system/cacerts-1"]
    assert [one.code for one in found.findings] == ["MPK-306"]
    assert ("set the clocks first" in found.findings[0].remedy) is explained


@pytest.mark.parametrize(
    ("anchors", "codes"),
    [
        ((EXPIRED_ROOT, ROOT), ["MPK-349"]),
        ((ROOT, EXPIRED_ROOT), ["MPK-349"]),
        ((made.root(OVER.but(ski=False)), ROOT), ["MPK-349"]),
        ((made.root(OVER), ROOT), []),
        ((EXPIRED_ROOT,), []),
        ((EXPIRED_ROOT, EXPIRED_AGAIN), []),
        ((EXPIRED_ROOT, made.root(made.ROOT.but(subject=((made.NameOID.COMMON_NAME, "g2"),)))), []),
        ((made.root(made.ROOT.but(not_before=AT + HOUR)), ROOT), []),
    ],
    ids=[
        "expired first",
        "valid first",
        "no key identifier",
        "another key",
        "expired alone",
        "expired twice",
        "another name",
        "not yet valid first",
    ],
)
def test_an_expired_anchor_counts_only_beside_a_valid_one_that_it_can_be_taken_for(
    anchors: tuple[made.Issued, ...], codes: list[str]
) -> None:
    assert [one.code for one in hidden([one.certificate for one in anchors], AT)] == codes


def test_a_server_identity_is_the_whole_name() -> None:
    assert SERVER.uris == (f"spiffe://{TRUST_DOMAIN}/spire/server",)
