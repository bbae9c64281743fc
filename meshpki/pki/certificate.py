"""Certificates as values: read once, with limits before the parser sees a byte."""

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from meshpki.errors import MeshpkiError
from meshpki.pki import extensions, names
from meshpki.pki.extensions import Extensions

# Sizes of PEM in bytes: cert-manager internal/pem/decode.go at v1.21, set after CVE-2024-12401
LEAF_LIMIT = 36_500
CA_LIMIT = 6_500
CHAIN_LIMIT = 95_000
# of certificates, since small ones cost as much as large ones: a chain of a mesh has three
CHAIN_LENGTH = 16

_LABEL = re.compile(rb"-----(BEGIN|END) ([^\r\n]*?)-----")
_EDGE = re.compile(rb"-----(?:BEGIN|END)")
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_CERTIFICATE = b"CERTIFICATE"
# bytes of a key identifier
_KEY_ID = 20
# DER is three quarters of its PEM
_DER_SHARE = 0.75
# The library still reads a serial number of zero or less, with a warning that names no certificate (RFC 5280 4.1.2.2)
warnings.filterwarnings("error", "Parsed a serial number", CryptographyDeprecationWarning)
# names longer than X.520 allows are odd, but no reason to write to somebody's terminal
warnings.filterwarnings("ignore", "Attribute's length must be", UserWarning)
# all that the library is known to raise on damaged or foreign input
_PARSE_ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)


class UnparsableError(MeshpkiError):
    """Bytes that are no certificate, or not whole, or too many of them; nothing of them was believed."""

    def __init__(self, what: str) -> None:
        """Say what is wrong with the bytes; the bytes themselves are never repeated."""
        super().__init__("MPK-301", what, remedy="have the certificate issued again, and read the whole file")


@dataclass(frozen=True)
class Certificate:
    """One X.509 certificate (RFC 5280); names as RFC 4514 text, times in UTC, digests and key ids in lower-case hex.

    `self_signed` means that its own key verifies its signature, not only that the two names are equal.
    """

    sha256: str
    subject: str
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    self_signed: bool
    key: str
    signature_hash: str
    extensions: Extensions
    der: bytes = field(repr=False)

    @property
    def parsed(self) -> x509.Certificate:
        """The library's own view, made anew: kept, it would hold what it has read in ten times the bytes."""
        return x509.load_der_x509_certificate(self.der)

    @property
    def pem(self) -> bytes:
        """One PEM block."""
        return self.parsed.public_bytes(Encoding.PEM)

    @property
    def is_ca(self) -> bool:
        """Whether BasicConstraints says cA; absent reads as no."""
        constraints = self.extensions.basic_constraints
        return constraints is not None and constraints.is_ca

    @property
    def uris(self) -> tuple[str, ...]:
        """The URI names of the subject alternative name."""
        names = self.extensions.alternative_names
        return names.uris if names else ()

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS names of the subject alternative name."""
        names = self.extensions.alternative_names
        return names.dns if names else ()

    @property
    def ski(self) -> str | None:
        """The subject key identifier."""
        return self.extensions.ski

    @cached_property
    def key_sha256(self) -> str:
        """The digest of its SubjectPublicKeyInfo: the same for every certificate of one key."""
        return hashlib.sha256(
            self.parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()

    @property
    def key_ids(self) -> frozenset[str]:
        """The identifiers of its key, whatever it says of itself: RFC 5280 4.2.1.2 (1) and RFC 7093 2 (1), in hex."""
        key = self.parsed.public_key()
        return frozenset({self.sha1_key_id, hashlib.sha256(_bit_string(key)).digest()[:_KEY_ID].hex()})

    @property
    def sha1_key_id(self) -> str:
        """RFC 5280 4.2.1.2 (1): SHA-1 of the key's bit string, by which spire-server looks for its own CAs."""
        return x509.SubjectKeyIdentifier.from_public_key(self.parsed.public_key()).digest.hex()

    @property
    def aki(self) -> str | None:
        """The authority key identifier."""
        return self.extensions.aki

    def valid_at(self, at: datetime) -> bool:
        """Whether the moment, in whole seconds, lies in the validity, both ends included (RFC 5280 section 4.1.2.5)."""
        return self.not_before <= at.replace(microsecond=0) <= self.not_after

    @cached_property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same name, whoever's key signed."""
        return self.names_issuer(self)

    def names_issuer(self, other: "Certificate") -> bool:
        """Whether the other's subject is this one's issuer, byte for byte."""
        return self.parsed.issuer.public_bytes() == other.parsed.subject.public_bytes()

    def may_be_issued_by(self, other: "Certificate") -> bool:
        """Whether neither the issuer's name nor the key identifiers say that it is not (RFC 5280 section 4.2.1.1)."""
        told_apart = self.aki is not None and other.ski is not None and self.aki != other.ski
        return not told_apart and self.names_issuer(other)

    def signed_by(self, other: "Certificate") -> bool:
        """Whether the other bears the issuer's name and its key verifies this signature."""
        return _signed_by(self.parsed, other.parsed)


def read_chain(pem: bytes) -> tuple[Certificate, ...]:
    """The certificates of a chain in their order, leaf first; raises UnparsableError unless every block is whole.

    Text between the blocks is passed over, as RFC 7468 allows; a block of another kind is refused.
    """
    return read_blocks(pem, CHAIN_LIMIT, LEAF_LIMIT, CHAIN_LENGTH)


def read_blocks(pem: bytes, total_limit: int, first_limit: int, most: int) -> tuple[Certificate, ...]:
    """The certificates of PEM text, at most so many.

    Sizes are in bytes, `first_limit` for the first block and CA_LIMIT for the others.
    """
    if len(pem) > total_limit:
        raise UnparsableError(f"{len(pem)} bytes of PEM, at most {total_limit} are read")
    expected = _count_blocks(pem)
    refuse_many(expected, most)
    try:
        parsed = x509.load_pem_x509_certificates(pem)
    except _PARSE_ERRORS as error:
        raise UnparsableError(f"no certificate could be read: {type(error).__name__}") from error
    if len(parsed) != expected:
        raise UnparsableError(f"{expected} certificates begin, {len(parsed)} are whole")
    return _read_all(parsed, first_limit)


def read_der(ders: Sequence[bytes]) -> tuple[Certificate, ...]:
    """The certificates of a chain in DER, leaf first; limits and errors as `read_chain`."""
    refuse_many(len(ders), CHAIN_LENGTH)
    if sum(map(len, ders)) > CHAIN_LIMIT * _DER_SHARE:
        raise UnparsableError(f"{sum(map(len, ders))} bytes of DER are more than a chain may have")
    try:
        parsed = [x509.load_der_x509_certificate(der) for der in ders]
    except _PARSE_ERRORS as error:
        raise UnparsableError(f"no certificate could be read: {type(error).__name__}") from error
    return _read_all(parsed, LEAF_LIMIT)


def refuse_many(count: int, most: int) -> None:
    """Raise UnparsableError where there are more certificates than a chain or a bundle may have."""
    if count > most:
        raise UnparsableError(f"{count} certificates, at most {most} are read")


def _count_blocks(pem: bytes) -> int:
    labels = _LABEL.findall(pem)
    kinds = {kind for _, kind in labels}
    if any(b"PRIVATE KEY" in kind for kind in kinds):
        raise UnparsableError("a private key lies among the certificates")
    if kinds - {_CERTIFICATE}:
        raise UnparsableError("a block that is no CERTIFICATE lies among them")
    paired = [edge for edge, _ in labels] == [b"BEGIN", b"END"] * (len(labels) // 2)
    if not paired or _cut_in_a_label(pem, len(labels)):
        raise UnparsableError("a certificate is cut off: its BEGIN and END lines do not pair")
    if not labels:
        raise UnparsableError("there is no certificate")
    return len(labels) // 2


def _cut_in_a_label(pem: bytes, labels: int) -> bool:
    """Whether the text ends within a BEGIN line, or has one without its dashes, which would pass for text between."""
    last = pem.rpartition(b"\n")[2]
    return bool(last and _BEGIN.startswith(last)) or len(_EDGE.findall(pem)) != labels


def _read_all(parsed: Sequence[x509.Certificate], first_limit: int) -> tuple[Certificate, ...]:
    limits = [first_limit, *[CA_LIMIT] * (len(parsed) - 1)]
    return tuple(_read(one, limit) for one, limit in zip(parsed, limits, strict=True))


def _read(parsed: x509.Certificate, limit: int) -> Certificate:
    der = parsed.public_bytes(Encoding.DER)
    if len(der) > limit * _DER_SHARE:
        raise UnparsableError(f"a certificate is larger than {limit} bytes of PEM")
    try:
        return _certificate(der) if limit == LEAF_LIMIT else _kept(der)
    except _PARSE_ERRORS as error:
        raise UnparsableError(f"a certificate cannot be read: {type(error).__name__}") from error


@lru_cache(maxsize=128)
def _kept(der: bytes) -> Certificate:
    """A CA stands behind thousands of leaves: it is read once."""
    return _certificate(der)


def _certificate(der: bytes) -> Certificate:
    parsed = x509.load_der_x509_certificate(der)
    if parsed.version is not x509.Version.v3:
        raise UnparsableError("a certificate is not of X.509 version 3")
    # the octet before the signature (X.690 8.6.2), which ends the certificate: the library ignores what it says
    if der[-len(parsed.signature) - 1]:
        raise UnparsableError("a certificate's signature does not end with a whole octet")
    hashed = parsed.signature_hash_algorithm
    return Certificate(
        sha256=hashlib.sha256(der).hexdigest(),
        subject=_name(parsed.subject.public_bytes()),
        issuer=_name(parsed.issuer.public_bytes()),
        serial=parsed.serial_number,
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        self_signed=_signed_by(parsed, parsed),
        key=_key(parsed.public_key()),
        signature_hash="" if hashed is None else hashed.name,
        extensions=extensions.read(parsed.extensions),
        der=der,
    )


@lru_cache(maxsize=512)
def _name(der: bytes) -> str:
    """A name as text; those of one workload or one CA are read once."""
    if not names.holds_strings_only(der):
        raise UnparsableError("a certificate's subject or issuer holds what is no text")
    return x509.Name.from_bytes(der).rfc4514_string()


def _key(public: CertificatePublicKeyTypes) -> str:
    match public:
        case rsa.RSAPublicKey():
            return f"RSA {public.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"EC {public.curve.name}"
        case _:
            return type(public).__name__.lstrip("_").removesuffix("PublicKey")


def _bit_string(public: CertificatePublicKeyTypes) -> bytes:
    """The content of subjectPublicKey; empty for kinds of key that no CA of a mesh has."""
    match public:
        case rsa.RSAPublicKey():
            return public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        case ec.EllipticCurvePublicKey():
            return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case _:
            return b""


def _signed_by(parsed: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        parsed.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_PARSE_ERRORS):
        return False
    return True
