"""Names of subjects and issuers as they are encoded (RFC 5280 section 4.1.2.4)."""

from collections.abc import Iterator

# BIT STRING for unique identifiers; UTF8, Numeric, Printable, Teletex, IA5, Universal and BMP strings for all else
_STRINGS = frozenset({3, 12, 18, 19, 20, 22, 28, 30})
_LONG = 0x80


def holds_strings_only(name: bytes) -> bool:
    """Whether every value of a name (well-formed DER) is a string; OpenSSL and Envoy's BoringSSL read no other one.

    The library reads a time or an octet string there too.
    """
    ((_, relatives),) = _inside(name)
    attributes = (attribute for _, relative in _inside(relatives) for _, attribute in _inside(relative))
    return all(tuple(_inside(attribute))[1][0] in _STRINGS for attribute in attributes)


def _inside(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other."""
    while der:
        start, length = 2, der[1]
        if length & _LONG:
            start += length - _LONG
            length = int.from_bytes(der[2:start], "big")
        yield der[0], der[start : start + length]
        der = der[start + length :]
