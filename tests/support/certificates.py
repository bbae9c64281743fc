"""Real certificates in the shapes their makers give them: cert-manager, SPIRE and istiod; any part can be changed.

Shapes: cert-manager pkg/util/pki/certificatetemplate.go at v1.21, SPIRE pkg/server/credtemplate/builder.go at v1.15,
Istio security/pkg/pki/util/generate_cert.go at 1.29.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshpki.pki.certificate import Certificate, read_chain

AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
# Longer than any run of the suite: what a module makes of its own moment has to outlive the run, builds and all.
A_RUN = timedelta(hours=12)
TRUST_DOMAIN = "example.org"
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_CURVES: dict[str, ec.EllipticCurve] = {
    "P-192": ec.SECP192R1(),
    "P-224": ec.SECP224R1(),
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "K-256": ec.SECP256K1(),
}
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey


@dataclass(frozen=True)
class Shape:
    """Everything about a certificate but its keys; None leaves an extension out."""

    subject: tuple[tuple[x509.ObjectIdentifier, str], ...] = ()
    not_before: datetime = AT - HOUR
    not_after: datetime = AT + HOUR
    key_usages: tuple[str, ...] | None = ("digital_signature", "key_encipherment", "key_agreement")
    key_usage_critical: bool = True
    ca: bool | None = False
    ca_critical: bool = True
    path_length: int | None = None
    extended: tuple[x509.ObjectIdentifier, ...] | None = (SERVER, CLIENT)
    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    names_critical: bool = False
    ski: bytes | bool = True
    aki: bytes | bool = True
    constraints: x509.NameConstraints | None = None
    constraints_critical: bool = True
    unknown_critical: bool = False
    key: str = "P-256"
    serial: int | None = None
    digest: str = "SHA256"
    # extensions as they stand: OID, critical, DER of the value
    more: tuple[tuple[str, bool, bytes], ...] = ()

    def but(self, **changes: object) -> Self:
        """The same shape with some parts changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # the table's rows are checked by running them


ROOT = Shape(
    subject=((NameOID.COMMON_NAME, "meshpki-root-g1"),),
    not_after=AT + timedelta(days=900),
    key_usages=("key_cert_sign", "crl_sign"),
    ca=True,
    extended=None,
    uris=(f"spiffe://{TRUST_DOMAIN}",),
    aki=False,
)
SPIRE_CA = ROOT.but(
    subject=(
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.ORGANIZATION_NAME, "SPIFFE"),
        (NameOID.SERIAL_NUMBER, "1234567890"),
    ),
    not_after=AT + timedelta(hours=24),
    aki=True,
)
CACERTS = ROOT.but(
    subject=((NameOID.COMMON_NAME, "istiod.istio-system.svc"),),
    not_after=AT + timedelta(days=60),
    uris=(),
    dns=("istiod.istio-system.svc",),
    aki=True,
)
SVID = Shape(
    subject=((NameOID.COUNTRY_NAME, "US"), (NameOID.ORGANIZATION_NAME, "SPIRE")),
    not_before=AT - timedelta(seconds=10),
    uris=(f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/bookinfo-productpage",),
)
ISTIOD_LEAF = Shape(
    not_before=AT - timedelta(minutes=2),
    key_usages=("digital_signature", "key_encipherment"),
    uris=SVID.uris,
    names_critical=True,
    ski=False,
)
ISTIOD_SERVING = ISTIOD_LEAF.but(uris=(), dns=("istiod.istio-system.svc", "istiod-remote.istio-system.svc"))


@dataclass(frozen=True)
class Issued:
    """A certificate with the key it was made for, and the way up to the root, itself first."""

    x509: x509.Certificate
    private_key: PrivateKey
    chain: tuple["Issued", ...] = ()

    @cached_property
    def certificate(self) -> Certificate:
        """As meshpki reads it."""
        return read_chain(self.pem)[0]

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.x509.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, for a server of a test."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def issue(self, shape: Shape, *, private_key: PrivateKey | None = None) -> "Issued":
        """A certificate signed by this one's key."""
        key = private_key or new_key(shape.key)
        return Issued(_signed(shape, key, self.x509.subject, self.private_key), key, (self, *self.chain))


def root(shape: Shape = ROOT, *, private_key: PrivateKey | None = None) -> Issued:
    """A self-signed root."""
    key = private_key or new_key(shape.key)
    return Issued(_signed(shape, key, _name(shape), key), key)


@cache
def mesh_root() -> Issued:
    """The root that most tests pin; made once."""
    return root()


@cache
def mesh_spire_ca() -> Issued:
    """SPIRE's CA below it; made once."""
    return mesh_root().issue(SPIRE_CA)


def svid(shape: Shape = SVID, *, ca: Issued | None = None) -> tuple[Certificate, ...]:
    """A workload's chain as Envoy holds it: the leaf and SPIRE's CA, without the root."""
    issuer = ca or mesh_spire_ca()
    return read(issuer.issue(shape), issuer)


def read(*issued: Issued) -> tuple[Certificate, ...]:
    """The certificates as meshpki reads a chain."""
    return read_chain(pem(*issued))


def pem(*issued: Issued) -> bytes:
    """PEM blocks in order."""
    return b"".join(one.pem for one in issued)


def new_key(kind: str) -> PrivateKey:
    """A private key: P-256, K-256 (secp256k1), Ed25519, or RSA or DSA with its bits, as `RSA-2048`."""
    match kind.partition("-"):
        case ("Ed25519", _, _):
            return ed25519.Ed25519PrivateKey.generate()
        case ("RSA", _, bits):
            return rsa.generate_private_key(65537, int(bits))
        case ("DSA", _, bits):
            return dsa.generate_private_key(int(bits))
        case _:
            return ec.generate_private_key(_CURVES[kind])


def _signed(shape: Shape, key: PrivateKey, issuer: x509.Name, issuer_key: PrivateKey) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(shape))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(shape.serial or x509.random_serial_number())
        .not_valid_before(shape.not_before)
        .not_valid_after(shape.not_after)
    )
    for extension, critical in _extensions(shape, key, issuer_key):
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else getattr(hashes, shape.digest)()
    same_again = True if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(issuer_key, digest, ecdsa_deterministic=same_again)


def _extensions(shape: Shape, key: PrivateKey, issuer_key: PrivateKey) -> Sequence[tuple[x509.ExtensionType, bool]]:
    names = [
        *map(x509.UniformResourceIdentifier, shape.uris),
        *map(x509.DNSName, shape.dns),
        *map(x509.RFC822Name, shape.emails),
        *(x509.IPAddress(ip_address(address)) for address in shape.addresses),
    ]
    found: list[tuple[x509.ExtensionType, bool]] = []
    if shape.ca is not None:
        found.append((x509.BasicConstraints(shape.ca, shape.path_length), shape.ca_critical))
    if shape.key_usages is not None:
        usages = {name: name in shape.key_usages for name in _KEY_USAGES}
        found.append((x509.KeyUsage(**usages), shape.key_usage_critical))
    if shape.extended is not None:
        found.append((x509.ExtendedKeyUsage(shape.extended), False))
    if names:
        found.append((x509.SubjectAlternativeName(names), shape.names_critical))
    if shape.constraints is not None:
        found.append((shape.constraints, shape.constraints_critical))
    if shape.unknown_critical:
        found.append((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True))
    raw = (
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical) for oid, critical, value in shape.more
    )
    return [*found, *_key_ids(shape, key, issuer_key), *raw]


def _key_ids(shape: Shape, key: PrivateKey, issuer_key: PrivateKey) -> Sequence[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if shape.ski:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        found.append((own if shape.ski is True else x509.SubjectKeyIdentifier(bytes(shape.ski)), False))
    if shape.aki:
        issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        given = None if shape.aki is True else x509.AuthorityKeyIdentifier(bytes(shape.aki), None, None)
        found.append((given or issuers, False))
    return found


def _name(shape: Shape) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in shape.subject])
