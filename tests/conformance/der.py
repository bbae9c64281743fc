"""DER by hand (X.690): for certificates that no builder writes. It knows nothing of the code under test."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.certificates import PrivateKey

SEQUENCE, INTEGER, BIT_STRING = 0x30, 0x02, 0x03
VERSION, EXTENSIONS = 0xA0, 0xA3
_LONG = 0x80

Edit = Callable[[list[bytes]], list[bytes]]


@dataclass(frozen=True)
class Element:
    """Where one tag, length and value stand in a text: offsets in bytes."""

    tag: int
    start: int
    value: int
    end: int


def tlv(tag: int, *values: bytes) -> bytes:
    """One element of definite length."""
    value = b"".join(values)
    if len(value) < _LONG:
        return bytes([tag, len(value)]) + value
    size = len(value).to_bytes((len(value).bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG | len(size)]) + size + value


def element(text: bytes, start: int = 0) -> Element:
    """The element that begins at an offset of well-formed DER."""
    first = text[start + 1]
    if first < _LONG:
        return Element(text[start], start, start + 2, start + 2 + first)
    value = start + 2 + (first & 0x7F)
    return Element(text[start], start, value, value + int.from_bytes(text[start + 2 : value], "big"))


def children(text: bytes) -> list[bytes]:
    """The elements inside the one that the text is."""
    outer, found = element(text), []
    at = outer.value
    while at < outer.end:
        inner = element(text, at)
        found.append(text[at : inner.end])
        at = inner.end
    return found


@lru_cache(16)
def elements(text: bytes) -> tuple[Element, ...]:
    """Every element of well-formed DER, at any depth of constructed ones."""
    found: list[Element] = []
    todo = [(0, len(text))]
    while todo:
        at, end = todo.pop()
        while at < end:
            one = element(text, at)
            found.append(one)
            if one.tag & 0x20:
                todo.append((one.value, one.end))
            at = one.end
    return tuple(found)


def of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def signed(tbs: bytes, algorithm: bytes, key: PrivateKey) -> bytes:
    """A certificate around the TBS part, signed by an EC or RSA key with SHA-256."""
    match key:
        case ec.EllipticCurvePrivateKey():
            signature = key.sign(tbs, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        case rsa.RSAPrivateKey():
            signature = key.sign(tbs, padding.PKCS1v15(), hashes.SHA256())
        case _:
            raise NotImplementedError(type(key).__name__)
    return tlv(SEQUENCE, tbs, algorithm, tlv(BIT_STRING, b"\0", signature))


def edited(der: bytes, key: PrivateKey, edit: Edit) -> bytes:
    """The certificate with the fields of its TBS part edited, and signed again."""
    tbs, algorithm, _ = children(der)
    return signed(tlv(SEQUENCE, *edit(children(tbs))), algorithm, key)


def with_serial(value: bytes) -> Edit:
    """Serial number: the bytes of the INTEGER."""
    return lambda fields: [fields[0], tlv(INTEGER, value), *fields[2:]]


def with_version(value: int) -> Edit:
    """Version: the number in the field, which is one less than its name."""
    return lambda fields: [tlv(VERSION, tlv(INTEGER, bytes([value]))), *fields[1:]]


def without_version(fields: list[bytes]) -> list[bytes]:
    """Version 1, by default, with the extensions that only version 3 has."""
    return fields[1:]


def without_extensions(fields: list[bytes]) -> list[bytes]:
    return [one for one in fields if one[0] != EXTENSIONS]


def with_extensions(edit: Edit) -> Edit:
    """Edit the list of extensions."""

    def edit_fields(fields: list[bytes]) -> list[bytes]:
        (listed,) = children(fields[-1])
        return [*fields[:-1], tlv(EXTENSIONS, tlv(SEQUENCE, *edit(children(listed))))]

    return edit_fields


def with_inner_algorithm(algorithm: bytes) -> Edit:
    """The signature algorithm that is signed; the one outside stays."""
    return lambda fields: [*fields[:2], algorithm, *fields[3:]]


def with_issuer(edit: Callable[[bytes], bytes]) -> Edit:
    """The issuer's name; field 3, as the version is given."""
    return lambda fields: [*fields[:3], edit(fields[3]), *fields[4:]]


def with_subject(edit: Callable[[bytes], bytes]) -> Edit:
    """The subject's name; field 5."""
    return lambda fields: [*fields[:5], edit(fields[5]), *fields[6:]]


def signature_flipped(der: bytes) -> bytes:
    """One bit of the signature's last byte changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


def with_unused_bits(der: bytes) -> bytes:
    """The signature as it was, but said to end with an unused bit: X.690 8.6.2, outside of what is signed."""
    value = element(der, len(der) - len(children(der)[2])).value
    return der[:value] + b"\x01" + der[value + 1 :]
