import base64
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from meshpki.cluster.manifest import Object
from meshpki.lab.serving import SIGNER, judge, pending
from meshpki.lab.topology import plan

LAB = {node.name: node for node in plan("lab", 2).nodes}
NODE, OTHER = LAB.values()
USER = f"system:node:{NODE.name}"
GROUPS = ("system:nodes", "system:authenticated")
USAGES = ("digital signature", "server auth")
SUBJECT = (f"O=system:nodes,CN={USER}",)
OWN: tuple[x509.GeneralName, ...] = (x509.DNSName(NODE.name), x509.IPAddress(ip_address(NODE.address)))


def asked(subject: str = SUBJECT[0], names: Sequence[x509.GeneralName] = OWN) -> bytes:
    """A PKCS#10 request in PEM, signed with a key of its own."""
    attributes = {"O": NameOID.ORGANIZATION_NAME, "CN": NameOID.COMMON_NAME}
    pairs = (part.split("=", 1) for part in subject.split(","))
    name = x509.Name([x509.NameAttribute(attributes[kind], value) for kind, value in pairs])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


def wish(
    pem: bytes, user: str = USER, groups: Sequence[str] = GROUPS, usages: Sequence[str] = USAGES, **more: object
) -> Object:
    """A CertificateSigningRequest as the API server gives it."""
    spec = {"signerName": SIGNER, "username": user, "groups": list(groups), "usages": list(usages)}
    return {"metadata": {"name": "csr-1"}, "spec": {**spec, "request": base64.b64encode(pem).decode(), **more}}


def broken(pem: bytes) -> bytes:
    """The request with its signature spoilt."""
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return b"".join(
        [b"-----BEGIN CERTIFICATE REQUEST-----\n", base64.encodebytes(der), b"-----END CERTIFICATE REQUEST-----\n"]
    )


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(wish(asked()), id="own-name-and-address"),
        pytest.param(wish(asked(names=OWN[1:])), id="own-address-alone"),
        pytest.param(wish(asked(), usages=("server auth",)), id="server-auth-alone"),
        pytest.param(wish(asked(), usages=(*USAGES, "key encipherment")), id="an-rsa-key's-usages"),
    ],
)
def test_a_kubelet_gets_a_certificate_for_its_own_name_and_address(good: Object) -> None:
    judged = judge(good, LAB)
    assert (judged.request, judged.objections) == ("csr-1", ())


def ip(address: str) -> x509.IPAddress:
    return x509.IPAddress(ip_address(address))


FOREIGN = "system:node:elsewhere"
REFUSED = {
    "a-node-of-another-cluster": (wish(asked(f"O=system:nodes,CN={FOREIGN}"), user=FOREIGN), "no node of this lab"),
    "a-person": (wish(asked(), user="kubernetes-admin"), "no node of this lab"),
    "a-person-called-like-a-node": (wish(asked(), user=NODE.name), "no node of this lab"),
    "nobody": (wish(asked(), user=""), "no node of this lab"),
    "not-in-the-nodes'-group": (wish(asked(), groups=("system:authenticated",)), "system:nodes"),
    "another-usage": (wish(asked(), usages=(*USAGES, "client auth")), "client auth"),
    "no-server-usage": (wish(asked(), usages=("digital signature",)), "usages"),
    "another-node's-subject": (wish(asked(f"O=system:nodes,CN=system:node:{OTHER.name}")), OTHER.name),
    "another-organization": (wish(asked(f"O=system:masters,CN={USER}")), "system:masters"),
    "one-more-organization": (wish(asked(f"O=system:masters,{SUBJECT[0]}")), "system:masters"),
    "one-more-dns-name": (wish(asked(names=(*OWN, x509.DNSName("kubernetes")))), "kubernetes"),
    "another-node's-dns-name": (wish(asked(names=(x509.DNSName(OTHER.name), OWN[1]))), OTHER.name),
    "a-wildcard": (wish(asked(names=(x509.DNSName("*"), OWN[1]))), "DNS names"),
    "another-node's-address": (wish(asked(names=(OWN[0], ip(OTHER.address)))), OTHER.address),
    "one-more-address": (wish(asked(names=(*OWN, ip("10.96.0.1")))), "10.96.0.1"),
    "no-address": (wish(asked(names=OWN[:1])), "addresses"),
    "no-names": (wish(asked(names=())), "addresses"),
    "a-uri": (wish(asked(names=(*OWN, x509.UniformResourceIdentifier("spiffe://a/b")))), "another kind"),
    "an-email": (wish(asked(names=(*OWN, x509.RFC822Name("a@example.org")))), "another kind"),
    "signed-with-another-key": (wish(broken(asked())), "not signed with its own key"),
}


@pytest.mark.parametrize(("bad", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_request_for_anything_else_is_refused_for_that_reason_alone(bad: Object, reason: str) -> None:
    (objection,) = judge(bad, LAB).objections
    assert reason in objection


@pytest.mark.parametrize("content", [b"", b"no request", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_cannot_be_read_is_refused(content: bytes) -> None:
    assert len(judge(wish(content), LAB).objections) == 1


def test_what_is_not_base64_is_refused() -> None:
    assert judge(wish(b"", request="="), LAB).objections


def test_every_objection_is_told_at_once() -> None:
    bad = wish(asked(names=(x509.DNSName("a"), ip("192.0.2.1"))), groups=(), usages=("client auth",))
    assert len(judge(bad, LAB).objections) == 4


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ({}, True),
        ({"status": {"conditions": []}}, True),
        ({"status": {"conditions": [{"type": "Approved"}]}}, False),
        ({"status": {"conditions": [{"type": "Denied"}]}}, False),
        ({"spec": {"signerName": "kubernetes.io/kube-apiserver-client"}}, False),
    ],
)
def test_only_undecided_requests_for_serving_certificates_are_judged(change: Object, *, waits: bool) -> None:
    request = {"metadata": {"name": "csr-1"}, "spec": {"signerName": SIGNER}, **change}
    assert pending([request]) == ((request,) if waits else ())
