"""What a certificate signing request (PKCS#10, RFC 2986) asks for."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509


@dataclass(frozen=True, slots=True)
class Request:
    """Subject (RFC 4514, in the order of the request), and the subject alternative names by kind."""

    subject: str
    dns_names: tuple[str, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...]
    other_names: tuple[str, ...]


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
