"""Certificate signing requests (PKCS#10, RFC 2986): what one asks for, and one to be thrown away."""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Request:
    """Subject (RFC 4514, in the order of the request), and the subject alternative names by kind."""

    subject: str
    dns_names: tuple[str, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...]
    other_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ThrowAway:
    """A request in PEM whose private key was never kept, and the digest of its public key (SHA-256, hex)."""

    pem: bytes
    key_sha256: str


def throw_away(common_name: str, uri: str, dns_name: str) -> ThrowAway:
    """A request to be signed once and never used: its key lives no longer than this call."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(dns_name)])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = builder.sign(key, hashes.SHA256())
    return ThrowAway(signed.public_bytes(Encoding.PEM), hashlib.sha256(public).hexdigest())


def parse(pem: bytes) -> Request:
    """Read a PEM request whose signature proves that its sender has the key; ValueError otherwise."""
    read = x509.load_pem_x509_csr(pem)
    if not read.is_signature_valid:
        raise ValueError("the request is not signed with its own key")
    names = _alternative_names(read)
    addresses = names.get_values_for_type(x509.IPAddress)
    return Request(
        ",".join(name.rfc4514_string() for name in read.subject.rdns),
        tuple(names.get_values_for_type(x509.DNSName)),
        tuple(each for each in addresses if isinstance(each, IPv4Address | IPv6Address)),
        tuple(repr(each) for each in names if not isinstance(each, x509.DNSName | x509.IPAddress)),
    )


def _alternative_names(read: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName:
    try:
        return read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
    except x509.DuplicateExtension as error:
        raise ValueError("an extension stands in the request twice") from error
