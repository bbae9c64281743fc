"""The step of an existing CA on a cluster in memory: what it asks, what it refuses, what it leaves behind."""

import base64
import threading
from datetime import timedelta

import pytest
from cryptography import x509

from meshpki.cluster.manifest import Object
from meshpki.components import root_probe
from meshpki.components.existing_root import existing_root, holds_chain
from meshpki.components.trust import pinned
from meshpki.errors import StepError
from meshpki.install import WISH, install, kept_wish
from meshpki.settings import Settings, to_yaml
from meshpki.workflow.event import Applied, Event
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Step
from meshpki.workflow.work import Limits
from tests.support import certificates as made
from tests.support.certificates import Issued
from tests.support.cluster import FakeClock, InMemoryCluster, config_map
from tests.support.existing import ALIAS, CORPORATE, ISSUING, NOW, PIN, Issuing, cluster, corporate, gone, secret, wish

CERT_MANAGER = Step("cert-manager", "")


def brought_up(found: InMemoryCluster, settings: Settings) -> list[Event]:
    plan = Plan((CERT_MANAGER, existing_root(settings)))
    return list(run(plan, found, FakeClock(), Limits(timedelta(hours=3))))


def applied(events: list[Event]) -> list[str]:
    return [f"{event.ref} {event.outcome}" for event in events if isinstance(event, Applied)]


@pytest.mark.parametrize("alone", [False, True])
def test_the_root_of_the_chain_is_pinned_and_the_alias_signs_with_the_secret(alone: bool) -> None:
    chain = (made.root(CORPORATE),) if alone else corporate()
    found = cluster(Issuing(chain[0], chain), secret())
    brought_up(found, wish(*chain))
    pin = pinned(found)
    assert pin is not None
    assert pin.roots == (chain[-1].certificate,)
    assert pin.chain == tuple(one.certificate for one in chain)
    assert (pin.signer, pin.max_depth) == (chain[0].certificate, len(chain))
    assert found.objects[ALIAS]["spec"] == {"ca": {"secretName": "corporate-ca"}}
    assert gone(found)


def test_the_probe_ends_before_anything_names_the_secret_and_nothing_reads_its_data() -> None:
    chain = corporate()
    found = cluster(Issuing(chain[0], chain), secret())
    brought_up(found, wish(*chain))
    writes = [f"{verb} {what}" for verb, what in found.writes]
    last_of_probe = max(number for number, one in enumerate(writes) if "meshpki-root-probe" in one)
    assert last_of_probe < writes.index(f"apply {PIN}") < writes.index(f"apply {ALIAS}")
    assert not [request for request in found.requests if "Secret" in str(request[1]) and request[0] != "headers"]


def test_a_second_run_changes_nothing() -> None:
    chain = corporate()
    found, settings = cluster(Issuing(chain[0], chain), secret()), wish(*chain)
    brought_up(found, settings)
    before = len(found.writes)
    brought_up(found, settings)
    assert len(found.writes) == before


def test_the_request_is_a_ca_s_for_an_hour_with_the_names_of_the_mesh() -> None:
    chain = corporate()
    cert_manager = Issuing(chain[0], chain)
    brought_up(cluster(cert_manager, secret()), wish(*chain))
    (asked,) = cert_manager.asked
    assert asked["metadata"]["namespace"] == "cert-manager"
    assert (asked["spec"]["isCA"], asked["spec"]["duration"]) == (True, "1h")
    names = x509.load_pem_x509_csr(base64.b64decode(asked["spec"]["request"])).extensions
    value = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert value.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org"]
    assert value.get_values_for_type(x509.DNSName) == ["istiod.istio-system.svc"]


def refused(cert_manager: Issuing, settings: Settings, *objects: Object) -> tuple[str, InMemoryCluster]:
    found = cluster(cert_manager, *objects)
    with pytest.raises(StepError) as caught:
        brought_up(found, settings)
    return caught.value.code, found


def renewed(ca: Issued, root: Issued) -> Issued:
    """Another certificate of the same key and name."""
    return root.issue(ISSUING.but(not_after=NOW + timedelta(days=500)), private_key=ca.private_key)


CA, TOP = corporate()
OTHER_CA, OTHER_TOP = corporate()
MISMATCH = (
    "Error signing certificate: error creating x509 certificate: x509: provided PrivateKey doesn't match parent's"
)


@pytest.mark.parametrize(
    ("cert_manager", "code"),
    [
        (Issuing(OTHER_CA, (OTHER_CA, OTHER_TOP)), "MPK-281"),
        (Issuing(TOP.issue(ISSUING), (CA, TOP)), "MPK-281"),
        (Issuing(CA, (renewed(CA, TOP), TOP)), "MPK-281"),
        (Issuing(TOP, (TOP,)), "MPK-281"),
        (Issuing(CA, (CA,)), "MPK-282"),
        (Issuing(CA, ()), "MPK-282"),
        (Issuing(CA, (CA, TOP, OTHER_TOP)), "MPK-282"),
        (Issuing(CA, (CA, TOP), refused=MISMATCH), "MPK-280"),
        (Issuing(CA, (CA, TOP), refused="Error signing certificate: out of order"), "MPK-283"),
        (Issuing(CA, (CA, TOP), trouble="Error getting keypair for CA issuer: certificate is not a CA"), "MPK-272"),
    ],
)
def test_what_cert_manager_signs_must_be_of_the_given_chain(cert_manager: Issuing, code: str) -> None:
    seen, found = refused(cert_manager, wish(CA, TOP), secret())
    assert seen == code
    assert gone(found)
    assert not {PIN, ALIAS} & set(found.objects)


@pytest.mark.parametrize("objects", [(), (secret("Opaque"),)])
def test_a_secret_that_is_missing_or_of_another_type_is_refused_before_the_probe(objects: tuple[Object, ...]) -> None:
    seen, found = refused(Issuing(CA, (CA, TOP)), wish(CA, TOP), *objects)
    assert seen == "MPK-279"
    assert not found.writes


def test_a_probe_that_nobody_answers_gives_up_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_probe, "_LOOK", 0.0)
    found = cluster(Issuing(CA, (CA, TOP), trouble="Error getting keypair for CA issuer: no key"), secret())
    with pytest.raises(StepError, match="no key") as caught:
        brought_up(found, wish(CA, TOP))
    assert caught.value.code == "MPK-283"
    assert gone(found)


def test_a_run_that_is_stopped_removes_the_probe() -> None:
    found, stop = cluster(Issuing(CA, (CA, TOP), trouble="not yet"), secret()), threading.Event()
    stop.set()
    (program,) = existing_root(wish(CA, TOP)).programs
    program.run(found, stop)
    assert gone(found)
    assert PIN not in found.objects


def test_what_a_killed_run_left_is_removed_by_the_next() -> None:
    found, settings = cluster(Issuing(CA, (CA, TOP)), secret()), wish(CA, TOP)
    old = {"request": "old", "issuerRef": {"name": "meshpki-root-probe"}}
    metadata = {"name": "meshpki-root-probe", "namespace": "cert-manager"}
    found.put(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "CertificateRequest",
            "metadata": metadata,
            "spec": old,
            "status": {"certificate": ""},
        }
    )
    brought_up(found, settings)
    assert holds_chain(pinned(found), settings)
    assert gone(found)


def test_an_owner_s_new_intermediate_under_the_same_root_is_probed_and_pinned_anew() -> None:
    first = Issuing(CA, (CA, TOP))
    found = cluster(first, secret())
    brought_up(found, wish(CA, TOP))
    later = TOP.issue(ISSUING)
    first.signer, first.sent = later, (later, TOP)
    events = brought_up(found, wish(later, TOP))
    assert [line for line in applied(events) if line.startswith("ClusterIssuer meshpki-root ")] != []
    pin = pinned(found)
    assert pin is not None
    assert (pin.root, pin.signer) == (TOP.certificate, later.certificate)


def controller(*, runs: bool) -> Object:
    """cert-manager's Deployment, rolled out or not."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), int(runs))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cert-manager", "namespace": "cert-manager", "generation": 1},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "cert-manager"}}},
        "status": {"observedGeneration": 1, **counts},
    }


def installing(found: InMemoryCluster, settings: Settings) -> list[Event]:
    plan = Plan(
        (Step("cert-manager", "", (config_map("a", "cert-manager", of=to_yaml(settings)),)), existing_root(settings))
    )
    return list(install(plan, settings, found, FakeClock(), Limits(timedelta(hours=3))))


def test_of_a_mesh_that_runs_nothing_is_changed_and_no_wish_is_kept_where_another_chain_is_refused() -> None:
    found = cluster(Issuing(CA, (CA, TOP)), secret(), controller(runs=True))
    installing(found, wish(CA, TOP))
    kept, before = kept_wish(found), len(found.writes)
    with pytest.raises(StepError, match="MPK-281"):
        installing(found, wish(TOP.issue(ISSUING), TOP))
    assert {what for _, what in found.writes[before:]} == {
        "ClusterIssuer meshpki-root-probe",
        "CertificateRequest cert-manager/meshpki-root-probe",
    }
    assert kept_wish(found) == kept != ""
    assert gone(found)


def test_another_chain_that_is_proven_is_kept_before_it_is_pinned_so_that_a_killed_run_goes_on() -> None:
    first = Issuing(CA, (CA, TOP))
    found = cluster(first, secret(), controller(runs=True))
    installing(found, wish(CA, TOP))
    before, later = len(found.writes), TOP.issue(ISSUING)
    first.signer, first.sent = later, (later, TOP)
    installing(found, wish(later, TOP))
    writes = [what for _, what in found.writes[before:]]
    assert "meshpki-root-probe" in writes[0]
    assert writes.index(str(WISH)) < writes.index(str(PIN))
    assert kept_wish(found) == to_yaml(wish(later, TOP))


@pytest.mark.parametrize("pinned_before", [False, True])
def test_without_a_cert_manager_that_could_answer_the_wish_is_kept_first(*, pinned_before: bool) -> None:
    first = Issuing(CA, (CA, TOP))
    found = cluster(first, secret(), controller(runs=False))
    if pinned_before:
        installing(found, wish(CA, TOP))
    before, later = len(found.writes), TOP.issue(ISSUING)
    first.signer, first.sent = later, (later, TOP)
    installing(found, wish(later, TOP))
    assert found.writes[before] == ("apply", str(WISH))
