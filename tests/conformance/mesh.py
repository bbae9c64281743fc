"""Chains of three meshes, each with one thing changed at one place, made from a seed apart from the code that verifies.

- spire: SVID <- SPIRE's CA <- root, elliptic curves throughout, as meshpki installs it
- istiod: leaf of istiod's form <- `cacerts` <- root: empty subject, critical name, no SKI, a CA without SPIFFE ID
- rotation: SVID <- SPIRE's CA <- the new root, RSA above the leaf; the same CA, signed by the older root, is sent too
"""

import base64
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import NameOID

from tests.conformance import der
from tests.support import certificates as made
from tests.support.certificates import CACERTS, ISTIOD_LEAF, ROOT, SPIRE_CA, SVID, Issued, PrivateKey, Shape

Position = Literal["leaf", "ca", "root"]
BASES = ("spire", "istiod", "rotation")
SHAPES: dict[str, dict[str, Shape]] = {
    "spire": {"leaf": SVID, "ca": SPIRE_CA, "root": ROOT},
    "istiod": {"leaf": ISTIOD_LEAF, "ca": CACERTS, "root": ROOT},
    "rotation": {
        "leaf": SVID,
        "ca": SPIRE_CA.but(key="RSA-2048"),
        "root": ROOT.but(key="RSA-2048", subject=((NameOID.COMMON_NAME, "meshpki-root-g2"),)),
    },
}
# what each base is warned of as it stands: 18, a signer without SPIFFE ID
WARNINGS = {"spire": "", "istiod": "18:328", "rotation": ""}


@dataclass(frozen=True)
class Chain:
    """A leaf, its CA and the root, with keys; and what is sent and pinned, in DER."""

    leaf: Issued
    ca: Issued
    root: Issued
    sent: tuple[bytes, ...]
    pinned: tuple[bytes, ...]


@dataclass(frozen=True)
class Expectation:
    """The verdict, and its findings as `rule:code`: failures and what cannot be judged, of a proven chain warnings."""

    result: str
    findings: str = ""


@dataclass(frozen=True)
class Row:
    """One change: of a shape, of the DER before it is sent, of what is sent and pinned, or of the PEM text.

    `leaf` changes the leaf's shape besides. `instead` is what another base than the first must say.
    """

    name: str
    expected: Expectation
    shape: Mapping[str, object] = field(default_factory=dict)
    leaf: Mapping[str, object] = field(default_factory=dict)
    der: Callable[[bytes, PrivateKey], bytes] | None = None
    arrange: Callable[[Chain], Chain] | None = None
    pem: Callable[[bytes], bytes] | None = None
    bases: tuple[str, ...] = BASES
    instead: Mapping[str, Expectation] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A row at a place of a base."""

    base: str
    position: Position
    row: Row

    @property
    def name(self) -> str:
        return f"{self.base}: {self.position}: {self.row.name}"

    @property
    def expected(self) -> Expectation:
        found = self.row.instead.get(self.base, self.row.expected)
        if found.result != "proven" or self.base in self.row.instead:
            return found
        return Expectation("proven", f"{found.findings} {WARNINGS[self.base]}".strip())


@dataclass(frozen=True)
class Keys:
    """Keys that a seed gives: EC keys always the same ones, RSA and DSA keys once a run for each holder."""

    seed: int

    def key(self, kind: str, holder: str) -> PrivateKey:
        known = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
        if kind not in known:
            return _once(kind, holder)
        chance = random.Random(f"{self.seed} {kind} {holder}")  # noqa: S311 - a seed makes the keys repeatable
        return ec.derive_private_key(chance.getrandbits(250) + 1, known[kind])

    def serial(self, holder: str) -> int:
        """A serial number of 20 octets, its first one neither small nor large."""
        return random.Random(f"{self.seed} {holder}").getrandbits(150) | 1 << 151  # noqa: S311 - repeatable


@cache
def _once(kind: str, holder: str) -> PrivateKey:
    return made.new_key(kind)


def build(case: Case, seed: int) -> tuple[bytes, bytes]:
    """The PEM that the peer sends, and the PEM of the pinned anchors."""
    chain = issue(case, Keys(seed))
    chance = random.Random(f"{seed} {case.name}")  # noqa: S311 - the order of what is sent, repeatable
    if case.base == "rotation":
        chain = replace(chain, sent=_mixed(chain.sent, der.of(_before(chain, seed).x509), chance))
    if case.row.arrange:
        chain = case.row.arrange(chain)
    sent, pinned = pem(*chain.sent), pem(*chain.pinned)
    if case.row.pem is None:
        return sent, pinned
    return (sent, case.row.pem(pinned)) if case.position == "root" else (case.row.pem(sent), pinned)


def pem(*ders: bytes) -> bytes:
    """PEM blocks of any bytes."""
    return b"".join(_block(one) for one in ders)


def _block(content: bytes) -> bytes:
    text = base64.b64encode(content)
    lines = b"\n".join(text[place : place + 64] for place in range(0, len(text), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"


def issue(case: Case, keys: Keys) -> Chain:
    """The certificates of a case with their keys, as they are before anything is arranged."""
    shapes = {position: _shape(case, position, keys) for position in ("leaf", "ca", "root")}
    own = {position: keys.key(shape.key, f"{case.base} {position}") for position, shape in shapes.items()}
    root = made.root(shapes["root"], private_key=own["root"])
    ca = root.issue(shapes["ca"], private_key=own["ca"])
    leaf = ca.issue(shapes["leaf"], private_key=own["leaf"])
    ders = {"leaf": der.of(leaf.x509), "ca": der.of(ca.x509), "root": der.of(root.x509)}
    if case.row.der:
        signer = own["ca"] if case.position == "leaf" else own["root"]
        ders[case.position] = case.row.der(ders[case.position], signer)
    return Chain(leaf, ca, root, (ders["leaf"], ders["ca"]), (ders["root"],))


def _shape(case: Case, position: str, keys: Keys) -> Shape:
    shape = SHAPES[case.base][position].but(serial=keys.serial(f"{case.base} {position}"))
    if position == "leaf":
        shape = shape.but(**case.row.leaf)
    return shape.but(**case.row.shape) if position == case.position else shape


def _before(chain: Chain, seed: int) -> Issued:
    """SPIRE's CA as the root before the rotation had signed it: sound, but not pinned any more."""
    older = made.root(ROOT, private_key=Keys(seed).key("P-256", "root before"))
    return older.issue(SPIRE_CA, private_key=_once("RSA-2048", "rotation ca"))


def _mixed(sent: tuple[bytes, ...], other: bytes, chance: random.Random) -> tuple[bytes, ...]:
    """The leaf first, the CAs in any order."""
    authorities = [*sent[1:], other]
    chance.shuffle(authorities)
    return (sent[0], *authorities)
