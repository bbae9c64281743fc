"""The second opinion: `openssl verify -x509_strict`, many leaves a process."""

import subprocess
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from tests.conformance.mesh import pem
from tests.support.certificates import AT

_LEAVES = 400
# no bound of a validity lies here: RFC 5280 counts the last second in, OpenSSL does not
MOMENT = AT + timedelta(seconds=17)


def accepted(folder: Path, leaves: Sequence[bytes], authorities: Iterable[bytes], anchors: Iterable[bytes]) -> set[int]:
    """The places of the leaves (DER) that OpenSSL proves through the same CAs to the same anchors."""
    roots, cas = folder / "roots.pem", folder / "cas.pem"
    roots.write_bytes(pem(*anchors))
    cas.write_bytes(pem(*authorities))
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-attime",
        str(int(MOMENT.timestamp())),
        "-no-CApath",
        "-no-CAstore",
    ]
    command += ["-CAfile", str(roots), *(["-untrusted", str(cas)] if cas.stat().st_size else [])]
    found: set[int] = set()
    for first in range(0, len(leaves), _LEAVES):
        files = [str(_write(folder, first + place, leaf)) for place, leaf in enumerate(leaves[first : first + _LEAVES])]
        out = subprocess.run([*command, *files], capture_output=True, text=True, check=False).stdout
        found |= {int(Path(line.removesuffix(": OK")).stem) for line in out.splitlines() if line.endswith(": OK")}
    return found


def _write(folder: Path, place: int, leaf: bytes) -> Path:
    path = folder / f"{place}.pem"
    path.write_bytes(pem(leaf))
    return path
