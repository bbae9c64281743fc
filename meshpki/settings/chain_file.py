"""The public chain of an existing CA: PEM text, or the file that holds it. Never a private key."""

import re
from pathlib import Path

LARGEST = 95_000  # bytes of PEM: cert-manager internal/pem/decode.go at v1.21

_BEGIN = "-----BEGIN "
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")


class ChainError(ValueError):
    """Text that is no public chain; the text itself is never repeated."""

    def __init__(self, code: str, what: str, remedy: str) -> None:
        """Keep the parts of the problem it becomes."""
        super().__init__(what)
        self.code, self.what, self.remedy = code, what, remedy


def is_pem(text: str) -> bool:
    """Whether a text is PEM and no path."""
    return _BEGIN in text


def certificates(text: str) -> str:
    """The certificates of PEM text and nothing besides; raises ChainError (MPK-270 for a private key, MPK-285)."""
    if _KEY.search(text):
        remedy = "leave the key where it is: in the Secret alone; treat it as known to whoever saw this file"
        raise ChainError("MPK-270", "holds a private key", remedy)
    if len(text) > LARGEST:
        raise ChainError("MPK-285", f"is larger than {LARGEST} bytes", "give the CA's own chain alone")
    bodies = _BLOCK.findall(text)
    if not bodies or len(bodies) != text.count(_BEGIN):
        raise ChainError("MPK-285", "holds no whole certificates alone", "write blocks of BEGIN CERTIFICATE in PEM")
    return "".join(f"-----BEGIN CERTIFICATE-----\n{_lines(body)}\n-----END CERTIFICATE-----\n" for body in bodies)


def from_file(path: Path) -> str:
    """The certificates of a file; raises ChainError as `certificates`, and where it cannot be read."""
    try:
        with path.open("rb") as file:
            return certificates(file.read(LARGEST + 1).decode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "write a path relative to the settings file"
        raise ChainError("MPK-285", f"cannot be read: {reason}", remedy) from error
    except UnicodeDecodeError as error:
        raise ChainError("MPK-285", "is no PEM text", "convert it: openssl x509 -inform der") from error


def _lines(body: str) -> str:
    return "\n".join(line.strip() for line in body.split())
