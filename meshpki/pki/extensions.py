"""The extensions of one certificate as plain values, in the words of RFC 5280 section 4.2."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from cryptography import x509

_T = TypeVar("_T", bound=x509.ExtensionType)

_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
# the extended key usage that stands for all (4.2.1.12)
ANY_USAGE = "2.5.29.37.0"
# kinds of key and of name constraint that the library refuses without judging them
UNJUDGED_KEYS = ("Ed25519", "Ed448")
UNJUDGED_CONSTRAINTS = frozenset({"URI", "directoryName", "other"})
# bits that mean nothing, and cannot be asked for, without keyAgreement (4.2.1.3)
_AGREEMENT_USAGES = ("encipher_only", "decipher_only")
_KNOWN_CONSTRAINTS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.IPAddress: "IP",
    x509.RFC822Name: "e-mail",
    x509.UniformResourceIdentifier: "URI",
    x509.DirectoryName: "directoryName",
}
# what this package and the library's path validation read; anything else that is critical is unknown, and so are the
# key identifiers, which must not be (4.2.1.1, 4.2.1.2): OpenSSL and Envoy's BoringSSL refuse the certificate
_UNDERSTOOD = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
    x509.NameConstraints,
)


@dataclass(frozen=True)
class BasicConstraints:
    """RFC 5280 section 4.2.1.9; `path_length` None means that it is not limited."""

    is_ca: bool
    path_length: int | None
    critical: bool


@dataclass(frozen=True)
class KeyUsage:
    """RFC 5280 section 4.2.1.3; names in snake case, as `key_cert_sign`."""

    names: frozenset[str]
    critical: bool


@dataclass(frozen=True)
class AlternativeNames:
    """RFC 5280 section 4.2.1.6, the kinds that a mesh uses; `others` counts the rest."""

    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    others: int = 0
    critical: bool = False


@dataclass(frozen=True)
class NameConstraints:
    """RFC 5280 section 4.2.1.10; the kinds of name that are permitted or excluded, and the DNS names among them."""

    kinds: frozenset[str]
    critical: bool
    permitted_dns: tuple[str, ...] = ()
    excluded_dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuthorityNames:
    """RFC 5280 section 4.2.1.1, the other way to name the signer's certificate: its issuer (RFC 4514) and serial."""

    issuers: tuple[str, ...]
    serial: int


@dataclass(frozen=True)
class Extensions:
    """What one certificate says of itself; None where the extension is absent, key ids in lower-case hex."""

    basic_constraints: BasicConstraints | None
    key_usage: KeyUsage | None
    extended_key_usages: frozenset[str] | None
    alternative_names: AlternativeNames | None
    ski: str | None
    aki: str | None
    aki_names: AuthorityNames | None
    name_constraints: NameConstraints | None
    unknown_critical: tuple[str, ...]


def read(extensions: x509.Extensions) -> Extensions:
    """Every extension that a rule needs; raises what the parser raises on damaged ones."""
    usages = _find(extensions, x509.ExtendedKeyUsage)
    ski = _find(extensions, x509.SubjectKeyIdentifier)
    return Extensions(
        basic_constraints=_basic_constraints(extensions),
        key_usage=_key_usage(extensions),
        extended_key_usages=None if usages is None else _oids(usages.value),
        alternative_names=_alternative_names(extensions),
        ski=None if ski is None else ski.value.digest.hex(),
        aki=_authority_key_id(extensions),
        aki_names=_authority_names(extensions),
        name_constraints=_name_constraints(extensions),
        unknown_critical=tuple(
            extension.oid.dotted_string
            for extension in extensions
            if extension.critical and not isinstance(extension.value, _UNDERSTOOD)
        ),
    )


def _find(extensions: x509.Extensions, kind: type[_T]) -> x509.Extension[_T] | None:
    return next((extension for extension in extensions if type(extension.value) is kind), None)


def _basic_constraints(extensions: x509.Extensions) -> BasicConstraints | None:
    found = _find(extensions, x509.BasicConstraints)
    return None if found is None else BasicConstraints(found.value.ca, found.value.path_length, found.critical)


def _key_usage(extensions: x509.Extensions) -> KeyUsage | None:
    found = _find(extensions, x509.KeyUsage)
    if found is None:
        return None
    return KeyUsage(_usages(found.value), found.critical)


@lru_cache(maxsize=64)
def _usages(value: x509.KeyUsage) -> frozenset[str]:
    """The same for nearly every leaf, so made and kept once."""
    asked = (*_KEY_USAGES, *_AGREEMENT_USAGES) if value.key_agreement else _KEY_USAGES
    return frozenset(name for name in asked if getattr(value, name))


@lru_cache(maxsize=64)
def _oids(value: x509.ExtendedKeyUsage) -> frozenset[str]:
    """As `_usages`."""
    return frozenset(oid.dotted_string for oid in value)


def _alternative_names(extensions: x509.Extensions) -> AlternativeNames | None:
    found = _find(extensions, x509.SubjectAlternativeName)
    if found is None:
        return None
    uris = tuple(found.value.get_values_for_type(x509.UniformResourceIdentifier))
    dns = tuple(found.value.get_values_for_type(x509.DNSName))
    return AlternativeNames(uris, dns, len(list(found.value)) - len(uris) - len(dns), found.critical)


def _authority_key_id(extensions: x509.Extensions) -> str | None:
    found = _find(extensions, x509.AuthorityKeyIdentifier)
    if found is None or found.value.key_identifier is None:
        return None
    return found.value.key_identifier.hex()


def _authority_names(extensions: x509.Extensions) -> AuthorityNames | None:
    found = _find(extensions, x509.AuthorityKeyIdentifier)
    if found is None or found.value.authority_cert_serial_number is None:
        return None
    names = found.value.authority_cert_issuer or ()
    issuers = tuple(one.value.rfc4514_string() for one in names if isinstance(one, x509.DirectoryName))
    return AuthorityNames(issuers, found.value.authority_cert_serial_number)


def _name_constraints(extensions: x509.Extensions) -> NameConstraints | None:
    found = _find(extensions, x509.NameConstraints)
    if found is None:
        return None
    subtrees = [*(found.value.permitted_subtrees or ()), *(found.value.excluded_subtrees or ())]
    kinds = frozenset(_KNOWN_CONSTRAINTS.get(type(subtree), "other") for subtree in subtrees)
    permitted, excluded = _dns(found.value.permitted_subtrees), _dns(found.value.excluded_subtrees)
    return NameConstraints(kinds, found.critical, permitted, excluded)


def _dns(subtrees: Iterable[x509.GeneralName] | None) -> tuple[str, ...]:
    return tuple(one.value for one in subtrees or () if isinstance(one, x509.DNSName))
