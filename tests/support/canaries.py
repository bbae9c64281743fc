"""Secrets to be planted wherever a mesh may hold one, each told apart, and the search for them in a support bundle."""

import base64
import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import certificates as made

_RUN = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_OF_A_KEY = 24  # bytes from its middle


@dataclass
class Canaries:
    """Every canary by where it was planted, as the bytes that must be found nowhere."""

    planted: dict[str, bytes] = field(default_factory=dict)

    def word(self, where: str) -> str:
        """A text that only this place has."""
        text = f"cnry{len(self.planted):02d}{made.new_key('Ed25519').private_bytes_raw().hex()[:12]}"  # type: ignore[union-attr]
        self.planted[where] = text.encode()
        return text

    def key(self, where: str, kind: str = "P-256", form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
        """A private key in DER."""
        der = made.new_key(kind).private_bytes(Encoding.DER, form, NoEncryption())
        middle = len(der) // 2
        self.planted[where] = der[middle : middle + _OF_A_KEY]
        return der

    def pem(self, where: str) -> str:
        """The same in PEM."""
        lines = base64.encodebytes(self.key(where)).decode()
        return f"-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n"

    def jwt(self, where: str) -> str:
        """A token as a ServiceAccount's."""
        claims = base64.urlsafe_b64encode(f'{{"sub":"{self.word(where)}"}}'.encode()).decode().rstrip("=")
        return f"eyJhbGciOiJSUzI1NiJ9.{claims}.c2lnbmF0dXJlLW9mLWEtdGVzdA"

    def found(self, members: Mapping[str, bytes]) -> dict[str, str]:
        """Where each that got out was planted, and the member in which it is, also in base64 of it."""
        return {
            where: name
            for name, content in members.items()
            for where, canary in self.planted.items()
            if any(canary in text for text in (content, *decoded(content)))
        }


def decoded(content: bytes) -> Iterator[bytes]:
    """What any base64 in the bytes says, from each place where a quantum may begin, also over line breaks."""
    for text in (content, re.sub(rb"(?:\\+[nr]|\s)+", b"", content)):
        for run in _RUN.findall(text):
            standard = run.replace(b"-", b"+").replace(b"_", b"/")
            for start in range(4):
                rest = standard[start:] if len(standard[start:]) % 4 != 1 else standard[start:-1]
                yield base64.b64decode(rest + b"=" * (-len(rest) % 4))


def members(archive: bytes) -> dict[str, bytes]:
    """The files of a tar.gz by their names, in their order."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
