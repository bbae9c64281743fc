"""Whether bytes hold a private key in DER, whole or cut off: told by how each form begins, and nothing is parsed."""

import re

# A length of DER: short, or long with one or two bytes (X.690 8.1.3)
_L = rb"(?:[\x00-\x7f]|\x81.|\x82..)"
_VERSION = rb"\x02\x01[\x00\x01]"
_BEGINNINGS = (
    _VERSION + rb"\x30" + _L + rb"\x06",  # PKCS#8: version, algorithm (RFC 5958 2)
    _VERSION + rb"\x02[\x40-\x7f\x81\x82]",  # PKCS#1: version, modulus (RFC 8017 A.1.2)
    rb"\x02\x01\x01\x04" + _L + rb".{16}",  # SEC1: version 1, key (RFC 5915 3)
    rb"\x30" + _L + rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d",  # encrypted PKCS#8 by PBES2 (RFC 8018 A.4)
    rb"\x30" + _L + rb"\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01",  # encrypted by PKCS#12's own (RFC 7292 C)
)
_OPENSSH = b"openssh-key-v1\0"
_PRIVATE_KEY = re.compile(rb"\x30" + _L + rb"(?:" + rb"|".join(_BEGINNINGS) + rb")", re.DOTALL)


def holds_private_key(content: bytes) -> bool:
    """Whether a private key in DER, or OpenSSH's, begins anywhere in the bytes; no certificate or request is one."""
    return _OPENSSH in content or _PRIVATE_KEY.search(content) is not None
