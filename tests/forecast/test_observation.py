from dataclasses import replace

import pytest

from meshpki.cluster.manifest import Ref
from meshpki.components.renewal import cacerts_renewal
from meshpki.components.spire_authorities import Authority, Slots
from meshpki.forecast import gather
from meshpki.forecast.observation import SPIRE_LIST, Observation, observed
from meshpki.pki.renewal import Renewal
from meshpki.pki.verdict import Result
from meshpki.settings import defaults
from meshpki.verify import verify
from meshpki.verify.places import PlaceKind, Unseen
from meshpki.verify.report import Report
from tests.support import certificates as made
from tests.support import reports
from tests.support.certificates import AT, HOUR
from tests.support.control_plane import ControlPlane
from tests.support.mesh import Mesh
from tests.support.reports import drawn

UNASKED = Unseen(SPIRE_LIST, "--authorities")
LISTING = '{"active": {"authority_id": "a1", "expires_at": "1795608000", "upstream_authority_subject_key_id": "b2"}}'


def of(report: Report, slots: tuple[Slots, ...] | Unseen = UNASKED) -> Observation:
    return observed(report, {}, slots)


def test_a_whole_mesh_is_seen_with_its_cas_servers_and_workloads() -> None:
    found = of(drawn("good"))
    assert found.spire_ca == reports.workload_path()[1]
    assert found.cacerts == reports.serving_path()[1]
    assert found.anchors == found.roots == (made.mesh_root().certificate,)
    assert found.nodes == ("node-1",)
    assert len(found.svids) == 8
    assert {one.from_spire for one in found.svids} == {True}
    assert [one.kind for one in found.listeners] == [PlaceKind.SPIRE_SERVER, PlaceKind.ISTIOD]
    assert found.unseen == (UNASKED,)


@pytest.mark.parametrize(
    ("result", "listed", "taken"),
    [
        ("broken", False, False),
        # a CA that was activated by hand, before spire-server's own certificate follows
        ("unknown", False, True),
        ("broken", True, True),
        ("proven", True, True),
    ],
)
def test_spires_ca_is_the_one_that_it_lists_else_the_newest_of_what_is_not_broken(
    result: Result, *, listed: bool, taken: bool
) -> None:
    newer = made.mesh_root().issue(made.SPIRE_CA.but(not_before=AT))
    path = made.read(newer.issue(made.SVID), newer, made.mesh_root())
    pods = [*drawn("good").pods, reports.pod("moved", path, result)]
    active = Slots(Authority(str(newer.certificate.ski), "", AT)) if listed else Slots()
    found = of(replace(drawn("good"), workloads=reports.grouped(pods)), (active,))
    assert found.spire_ca == (newer.certificate if taken else reports.workload_path()[1])


def test_a_certificate_that_istiod_signed_is_not_counted_among_spires() -> None:
    cacerts = made.mesh_root().issue(made.CACERTS)
    path = made.read(cacerts.issue(made.ISTIOD_LEAF), cacerts, made.mesh_root())
    report = replace(drawn("good"), workloads=reports.grouped([reports.pod("old", path)]))
    assert [one.from_spire for one in of(report).svids] == [False]
    assert of(report).nodes == ()


def test_istiods_ca_is_the_one_that_it_serves_with_where_requests_may_not_be_read() -> None:
    places = tuple(one for one in drawn("good").places if one.place.kind is not PlaceKind.ISTIOD_CA)
    assert of(replace(drawn("good"), places=places)).cacerts == reports.serving_path()[1]


def test_a_root_that_no_chain_leads_to_any_more_ends_nothing() -> None:
    second = made.root(made.ROOT.but(subject=((made.NameOID.COMMON_NAME, "meshpki-root-g2"),)))
    report = replace(drawn("good"), roots=(second.certificate, *drawn("good").roots))
    assert (of(report).anchors, len(of(report).roots)) == (drawn("good").roots, 2)


def test_what_could_not_be_seen_is_named_with_the_reason() -> None:
    silent = reports.pod("silent", (), "unknown", reason="no answer from Envoy's admin port")
    closed = reports.place(PlaceKind.ISTIOD, "istiod-1", "unknown", reason="no right")
    found = of(replace(drawn("good"), workloads=reports.grouped([silent]), places=(closed,)))
    assert [one.needs for one in found.unseen] == ["no right", "no answer from Envoy's admin port", "--authorities"]
    assert found.empty


def test_a_pin_alone_is_an_empty_observation() -> None:
    assert of(drawn("empty")).empty
    assert not of(drawn("good")).empty


@pytest.fixture
def cluster() -> Mesh:
    return ControlPlane().cluster()


def report_of(cluster: Mesh) -> Report:
    return verify(cluster, defaults(), AT)


def test_spire_server_is_asked_for_its_cas_only_where_that_is_wished(cluster: Mesh) -> None:
    report, cluster.answers["exec"] = report_of(cluster), LISTING
    quiet = gather(cluster, defaults(), report, authorities=False)
    assert "exec" not in {verb for verb, _ in cluster.requests}
    assert (quiet.slots, quiet.unseen[-1].what) == (None, SPIRE_LIST)
    asked = gather(cluster, defaults(), report, authorities=True)
    assert asked.slots is not None
    assert [one.active.authority_id for one in asked.slots if one.active] == ["a1"]
    assert asked.unseen == ()


def test_a_server_that_answers_with_something_else_is_not_seen(cluster: Mesh) -> None:
    report, cluster.answers["exec"] = report_of(cluster), "no JSON"
    found = gather(cluster, defaults(), report, authorities=True)
    assert (found.slots, [one.needs for one in found.unseen]) == (None, ["the answer is no JSON"])


def test_without_a_server_nothing_is_known_of_what_is_prepared(cluster: Mesh) -> None:
    report = report_of(cluster)
    cluster.delete(Ref("v1", "Pod", "spire-server", "spire-server-0"))
    found = gather(cluster, defaults(), report, authorities=True)
    assert (found.slots, [one.needs for one in found.unseen]) == (None, ["a spire-server that runs"])


def test_cert_managers_own_plan_for_cacerts_is_taken(cluster: Mesh) -> None:
    ready = [{"type": "Ready", "status": "True"}]
    cluster.put({
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "cacerts", "namespace": "istio-system"},
        "status": {"revision": 1, "renewalTime": "2026-11-25T12:00:00Z", "conditions": ready},
    })  # fmt: skip
    report = report_of(cluster)
    assert cacerts_renewal(cluster, defaults())
    found = gather(cluster, defaults(), report, authorities=False)
    assert found.cacerts_renewal == Renewal("cert-manager", AT + 24 * HOUR)
    assert Ref("v1", "Secret", "istio-system", "cacerts") not in {what for _, what in cluster.requests}
