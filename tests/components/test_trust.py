"""Whether a CA is issued, as the conditions of its Certificate and the CertificateRequests beside it say."""

import base64

import pytest

from meshpki.cluster.manifest import Object
from meshpki.components.trust import CERT_MANAGER, issued, istiod_certificate
from meshpki.settings import defaults
from meshpki.workflow.step import Failed, Ready, Waiting
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster

REF = istiod_certificate(defaults())
PEM = made.mesh_root().pem


def condition(kind: str, status: str = "True", **more: object) -> Object:
    return {"type": kind, "status": status, **more}


def certificate(*conditions: Object, revision: int = 1) -> Object:
    metadata = {"name": REF.name, "namespace": REF.namespace, "generation": 1}
    status = {"conditions": list(conditions), "revision": revision}
    return {"apiVersion": CERT_MANAGER, "kind": "Certificate", "metadata": metadata, "status": status}


def request(revision: int | str, *conditions: Object, pem: bytes = b"") -> Object:
    notes = {"cert-manager.io/certificate-name": REF.name, "cert-manager.io/certificate-revision": str(revision)}
    metadata = {"name": f"cacerts-{revision}", "namespace": REF.namespace, "annotations": notes}
    status = {"conditions": list(conditions), **({"certificate": base64.b64encode(pem).decode()} if pem else {})}
    return {"apiVersion": CERT_MANAGER, "kind": "CertificateRequest", "metadata": metadata, "status": status}


READY, ISSUING = condition("Ready"), condition("Issuing")
DENIED = condition("Issuing", "False", reason="Denied", message="no")


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], Waiting(f"{REF} is not there yet")),
        ([certificate()], Waiting(f"{REF}: no Ready condition yet")),
        ([certificate(condition("Ready", "False", message="soon"))], Waiting(f"{REF}: soon")),
        ([certificate(condition("Ready", observedGeneration=0))], Waiting(f"{REF}: no Ready condition yet")),
        ([certificate(READY, DENIED)], Failed(f"{REF}: Denied: no")),
        ([certificate(READY)], Waiting(f"{REF}: no CertificateRequest of revision 1 holds it")),
        ([certificate(READY), request(2, pem=PEM)], Waiting(f"{REF}: no CertificateRequest of revision 1 holds it")),
        (
            [certificate(READY, revision=0), request("x", pem=PEM)],
            Waiting(f"{REF}: no CertificateRequest of revision 0 holds it"),
        ),
        ([certificate(READY), request(1)], Waiting(f"{REF}: no CertificateRequest of revision 1 holds it")),
        ([certificate(READY), request(1, pem=PEM)], Ready()),
        ([certificate(READY, ISSUING), request(1, pem=PEM)], Waiting(f"{REF} is being issued")),
        (
            [certificate(READY, ISSUING), request(2)],
            Waiting(f"{REF} is being issued: its request is new"),
        ),
        (
            [certificate(ISSUING), request(2, condition("Denied", message="no"))],
            Failed(f"{REF}: its request is Denied: no"),
        ),
        (
            [certificate(ISSUING), request(2, condition("Ready", "False", reason="Failed", message="no"))],
            Failed(f"{REF}: its request Failed: no"),
        ),
    ],
    ids=[
        *(
            "absent",
            "new",
            "not ready",
            "ready for an older generation",
            "denied",
            "no request",
            "another revision's",
            "no revision's",
        ),
        *("unanswered", "issued", "issued anew", "asked anew", "its request denied", "its request failed"),
    ],
)
def test_a_certificate_is_issued_when_its_newest_revision_is_and_no_other_is_under_way(
    objects: list[Object], expected: Ready | Waiting | Failed
) -> None:
    cluster = InMemoryCluster()
    cluster.put(*objects)
    readiness, chain = issued(cluster, REF)
    assert readiness == expected
    assert [one.pem for one in chain] == ([PEM] if expected == Ready() else [])
