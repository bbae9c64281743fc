"""A CA of a company's own, and cert-manager's CA issuer on its Secret: chain and CA as it puts them together.

cert-manager v1.21: pkg/controller/certificaterequests/ca/ca.go, pkg/util/pki/parse_certificate_chain.go.
"""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from meshpki.cluster.manifest import Object, Ref, ref_of
from meshpki.settings import Existing, Root, Settings
from tests.support import certificates as made
from tests.support.certificates import ROOT, Issued
from tests.support.cluster import InMemoryCluster

SECRET = "corporate-ca"
NOW = datetime.now(UTC)
_LONG = timedelta(days=1000)
CORPORATE = ROOT.but(
    subject=((NameOID.COMMON_NAME, "Corporate Root"),), uris=(), not_before=NOW - _LONG, not_after=NOW + 2 * _LONG
)
ISSUING = CORPORATE.but(subject=((NameOID.COMMON_NAME, "Corporate Issuing CA"),), aki=True, not_after=NOW + _LONG)


def corporate() -> tuple[Issued, Issued]:
    """An issuing CA and its root."""
    root = made.root(CORPORATE)
    return root.issue(ISSUING), root


def wish(*chain: Issued) -> Settings:
    """Settings that name this chain."""
    return Settings(root=Root(existing=Existing(SECRET, made.pem(*chain).decode())))


def secret(kind: str = "kubernetes.io/tls") -> Object:
    """The owner's Secret; what a test must never see read is in it."""
    metadata = {"name": SECRET, "namespace": "cert-manager"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": {"tls.key": "canary"}}


@dataclass
class Issuing:
    """cert-manager with `tls` (tls.crt, CA first, and its key) and the rest of the chain, as it answers a request.

    `refused` is the message of a request that fails, `trouble` that of an issuer which is not ready.
    """

    signer: Issued
    sent: tuple[Issued, ...]
    refused: str = ""
    trouble: str = ""
    asked: list[Object] = field(default_factory=list)

    def react(self, cluster: InMemoryCluster, stored: Object) -> None:
        """An issuer becomes ready, a request is answered."""
        if "status" in stored:
            return
        if stored["kind"] == "ClusterIssuer":
            ready = {"type": "Ready", "status": "False" if self.trouble else "True", "message": self.trouble}
            cluster.put({**stored, "status": {"conditions": [ready]}})
        if stored["kind"] == "CertificateRequest":
            self.asked.append(stored)
            if self.refused:
                failed = {"type": "Ready", "status": "False", "reason": "Failed", "message": self.refused}
                cluster.put({**stored, "status": {"conditions": [failed]}})
            elif not self.trouble:
                cluster.put({**stored, "status": self._answer(stored)})

    def _answer(self, stored: Object) -> Object:
        leaf = self._sign(base64.b64decode(stored["spec"]["request"]))
        chain = [one for one in self.sent if not one.certificate.self_signed]
        top = self.sent[-1] if self.sent else None
        answer = {"certificate": _encoded(leaf, *(one.pem for one in chain))}
        return {**answer, "ca": _encoded(top.pem)} if top else answer

    def _sign(self, request: bytes) -> bytes:
        asked = x509.load_pem_x509_csr(request)
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(self.signer.x509.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(minutes=1))
            .not_valid_after(NOW + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_CERT_SIGN, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(asked.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.signer.x509.public_key()), critical=False
            )
        )
        for extension in asked.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(self.signer.private_key, hashes.SHA256()).public_bytes(made.Encoding.PEM)


_CERT_SIGN = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _encoded(*pem: bytes) -> str:
    return base64.b64encode(b"".join(pem)).decode()


def cluster(cert_manager: Issuing, *objects: Object) -> InMemoryCluster:
    """A cluster with cert-manager, its namespace and kube-system."""
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in ("cert-manager", "kube-system")
    ]
    placed = InMemoryCluster({ref_of(one): one for one in (*namespaces, *objects)})
    placed.reactions.append(cert_manager.react)
    return placed


def gone(found: InMemoryCluster) -> bool:
    """Whether nothing of a probe is left."""
    return not any(ref.name == "meshpki-root-probe" for ref in found.objects)


PIN = Ref("v1", "ConfigMap", "kube-system", "meshpki-trust")
ALIAS = Ref("cert-manager.io/v1", "ClusterIssuer", "", "meshpki-root")
