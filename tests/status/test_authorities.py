import contextlib
import socket
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meshpki.cluster.client import NoAccessError
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.existing_root import pin_manifest
from meshpki.pki.renewal import OWNER, Renewal
from meshpki.settings import defaults
from meshpki.status import authorities
from meshpki.status.report import State
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR
from tests.support.existing import CORPORATE, ISSUING
from tests.support.mesh import Mesh, mesh, pin, pod

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
SERVER = CA.issue(made.SVID.but(uris=("spiffe://example.org/spire/server",)))
REF = Ref("cert-manager.io/v1", "Certificate", "istio-system", "cacerts")


class Denied(Mesh):
    def get(self, ref: Ref) -> Object | None:
        raise NoAccessError("MPK-102", f"get refused: {ref}", remedy="needs the right to get", status=403)


def certificate(*conditions: Object, **status: Any) -> Object:
    ready = {"type": "Ready", "status": "True"}
    found = {"notBefore": "2026-11-24T11:00:00Z", "notAfter": "2026-11-26T11:00:00Z", **status}
    return {
        "apiVersion": REF.api_version,
        "kind": REF.kind,
        "metadata": {"name": REF.name, "namespace": REF.namespace, "generation": 1},
        "spec": {"commonName": "istiod.istio-system.svc"},
        "status": {**found, "conditions": list(conditions or (ready,))},
    }


UNREADY = {"type": "Ready", "status": "False", "message": "Issuing certificate as Secret does not exist"}
READY = {"type": "Ready", "status": "True"}
FAILED = {"type": "Issuing", "status": "False", "reason": "Failed", "message": "the issuer said no"}


@pytest.mark.parametrize(
    ("live", "state", "why"),
    [
        (certificate(renewalTime="2026-11-25T23:00:00Z"), State.READY, ""),
        (certificate(renewalTime="2026-11-24T11:59:00Z"), State.READY, ""),
        (certificate(renewalTime="2026-11-24T02:00:00Z", notAfter="2026-11-24T13:00:00Z"), State.NOT_READY, "by now"),
        (certificate(notAfter="2026-11-24T11:59:59Z"), State.NOT_READY, "expired"),
        (certificate(UNREADY), State.NOT_READY, "Secret does not exist"),
        (certificate(READY, FAILED), State.NOT_READY, "the issuer said no"),
        (certificate(READY, failedIssuanceAttempts=2), State.NOT_READY, "its renewal fails"),
        ({**certificate(), "status": {}}, State.NOT_READY, "not issued yet"),
        (None, State.ABSENT, "is not there"),
    ],
)
def test_istiods_ca_is_as_cert_manager_says(live: Object | None, state: State, why: str) -> None:
    found = authorities.judge_certificate(live, REF, AT)
    assert found.state is state
    assert why in found.reason
    assert bool(found.reason) is (state is not State.READY)


def test_cert_manager_says_itself_when_it_renews() -> None:
    cluster = mesh(certificate(renewalTime="2026-11-25T23:00:00Z"))
    (found,) = authorities.istiod_ca(cluster, defaults(), AT)
    assert found.renewal == Renewal("cert-manager", AT + 35 * HOUR)
    assert found.subject == "istiod.istio-system.svc"


def test_each_pinned_root_is_shown_and_nothing_renews_it() -> None:
    found = authorities.root(mesh(pin(ROOT, made.root())), AT)
    assert [(one.state, one.renewal.at if one.renewal else AT) for one in found] == [(State.READY, None)] * 2


@pytest.mark.parametrize(
    ("data", "state"),
    [({"generation": "1", "root.pem": "hello"}, State.NOT_READY), ({}, State.NOT_READY)],
)
def test_a_damaged_pin_is_not_well(data: dict[str, str], state: State) -> None:
    damaged = {**pin(ROOT), "data": data}
    (found,) = authorities.root(mesh(damaged), AT)
    assert (found.state, bool(found.reason)) == (state, True)


def test_an_expired_root_and_one_of_tomorrow_are_not_well() -> None:
    cluster = mesh(pin(ROOT))
    (late,) = authorities.root(cluster, ROOT.certificate.not_after + HOUR)
    (early,) = authorities.root(cluster, ROOT.certificate.not_before - HOUR)
    assert (late.reason, early.reason) == ("it is expired", "it is not valid yet: compare the clocks")


def test_without_a_right_a_ca_is_unknown_and_the_right_is_named() -> None:
    cluster = Denied()
    found = (
        *authorities.root(cluster, AT),
        *authorities.istiod_ca(cluster, defaults(), AT),
        *authorities.spire_ca(cluster, defaults(), AT),
    )
    assert {one.state for one in found} == {State.UNKNOWN}
    assert all("the right to get" in one.reason for one in found)


def test_before_anything_is_installed_every_ca_is_absent() -> None:
    found = (*authorities.root(mesh(), AT), *authorities.spire_ca(mesh(), defaults(), AT))
    assert {one.state for one in found} == {State.ABSENT}


def served(folder: Path, *chain: made.Issued) -> Mesh:
    """A spire-server pod that serves a chain on 8081."""
    file = folder / "served.pem"
    file.write_bytes(made.pem(*chain) + chain[0].key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = pod("spire-server-0-0", namespace="spire-server")
    server["metadata"]["labels"] = {"app": "spire-server"}
    selector = {"matchLabels": {"app": "spire-server"}}
    metadata = {"name": "spire-server", "namespace": "spire-server"}
    stateful = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": {"selector": selector}}
    cluster = mesh(server, stateful)
    cluster.listeners["spire-server-0-0", 8081] = partial(_serve, context)
    return cluster


def _serve(context: ssl.SSLContext, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)


def test_spires_ca_is_read_off_what_its_server_serves(tmp_path: Path) -> None:
    (found,) = authorities.spire_ca(served(tmp_path, SERVER, CA), defaults(), AT)
    assert (found.state, found.not_after) == (State.READY, CA.certificate.not_after)
    assert found.renewal
    assert found.renewal.by == "spire-server"


def test_a_ca_that_spire_should_have_replaced_is_not_well(tmp_path: Path) -> None:
    (found,) = authorities.spire_ca(served(tmp_path, SERVER, CA), defaults(), CA.certificate.not_after - HOUR)
    assert (found.state, found.reason) == (State.NOT_READY, "spire-server should have renewed it by now")


def test_a_server_that_serves_no_ca_or_nothing_at_all_is_not_well(tmp_path: Path) -> None:
    alone = served(tmp_path, SERVER)
    silent = served(tmp_path, SERVER, CA)
    silent.listeners.clear()
    for cluster in (alone, silent):
        (found,) = authorities.spire_ca(cluster, defaults(), AT)
        assert (found.state, bool(found.reason)) == (State.NOT_READY, True)


def test_an_existing_ca_is_listed_below_its_root_and_renewed_by_its_owner() -> None:
    top = made.root(CORPORATE)
    ended = top.issue(ISSUING.but(not_after=AT - HOUR))
    found = authorities.root(mesh(pin_manifest((ended.certificate, top.certificate))), AT)
    assert [(one.name, one.subject, one.state, one.renewal.by if one.renewal else "") for one in found] == [
        ("root", "CN=Corporate Root", State.READY, OWNER),
        ("existing CA", "CN=Corporate Issuing CA", State.NOT_READY, OWNER),
    ]
