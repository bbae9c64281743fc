"""Ways to damage a chain, drawn from a seed: bytes and structure, PEM text, and edits signed again by the right key."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.conformance import der
from tests.conformance.mesh import Case, Chain, Keys, Position, Row, issue, pem
from tests.conformance.mesh_table import ROWS, proven
from tests.support.certificates import SPIRE_CA, SVID, Issued, PrivateKey

KINDS = {
    "bits": 24,
    "bytes": 18,
    "splice": 14,
    "length": 12,
    "cut": 6,
    "text": 14,
    "extensions": 5,
    "signed": 4,
    "shape": 2,
    "pinned": 1,
}
_BYTE = 256
# a key of these kinds is slow to make, and says no more than the others
_SLOW = ("RSA-3072", "DSA-2048")


@dataclass(frozen=True)
class Mutant:
    """What is sent and what is pinned, in PEM; `signed` where the right key signed what was changed."""

    kind: str
    sent: bytes
    pinned: bytes
    signed: bool = False


@dataclass(frozen=True)
class Material:
    """A sound chain with its keys, and the bytes of other certificates to splice in."""

    chain: Chain
    strangers: tuple[bytes, ...]

    @property
    def ders(self) -> tuple[bytes, ...]:
        return (*self.chain.sent, *self.chain.pinned)


def material(seed: int) -> Material:
    """The chain that is damaged; the same bytes for the same seed."""
    keys = Keys(seed)
    chain = issue(Case("spire", "leaf", proven("nothing", dns=("productpage.bookinfo.svc",))), keys)
    other = issue(Case("istiod", "leaf", proven("nothing")), keys)
    return Material(chain, (*other.sent, *other.pinned))


def mutant(given: Material, chance: random.Random) -> Mutant:
    """One damaged chain of a kind drawn by weight."""
    (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
    leaf, ca = given.chain.sent
    pinned = pem(*given.chain.pinned)
    match kind:
        case "text":
            return Mutant(kind, _text(pem(leaf, ca), chance), pinned)
        case "pinned":
            return Mutant(kind, pem(leaf, ca), pem(_bits(given.chain.pinned[0], given, chance)))
        case "extensions" | "signed" | "shape":
            sent = _signed_again(kind, given, chance)
            return Mutant(kind, pem(*sent), pinned, signed=True)
    change = _DAMAGE[kind]
    if chance.random() < 0.7:
        return Mutant(kind, pem(change(leaf, given, chance), ca), pinned)
    return Mutant(kind, pem(leaf, change(ca, given, chance)), pinned)


def _bits(content: bytes, _given: Material, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _bytes(content: bytes, _given: Material, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 6))):
        place = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[place] = chance.randrange(_BYTE)
            case 1:
                del changed[place]
            case 2:
                changed.insert(place, chance.randrange(_BYTE))
            case _:
                other = chance.randrange(len(changed))
                changed[place], changed[other] = changed[other], changed[place]
    return bytes(changed)


def _splice(content: bytes, given: Material, chance: random.Random) -> bytes:
    """Whole elements or any stretch of another certificate put into this one."""
    source = chance.choice((*given.ders, *given.strangers))
    if chance.random() < 0.5:
        taken, place = chance.choice(der.elements(source)), chance.choice(der.elements(content))
        return content[: place.start] + source[taken.start : taken.end] + content[place.end :]
    first, place = chance.randrange(len(source)), chance.randrange(len(content))
    stretch = source[first : first + chance.randrange(1, 64)]
    return content[:place] + stretch + content[place + chance.choice((0, len(stretch))) :]


def _length(content: bytes, _given: Material, chance: random.Random) -> bytes:
    """One element's length said otherwise: off by some, indefinite, overlong, huge."""
    one = chance.choice(der.elements(content))
    true = one.end - one.value
    said = chance.choice(
        (
            bytes([chance.randrange(128)]),
            b"\x80",
            b"\xff",
            b"\x84\xff\xff\xff\xff",
            b"\x88" + b"\x7f" * 8,
            bytes([0x81, true & 0xFF]),
            b"\x83" + true.to_bytes(3, "big"),
            b"\x82" + ((true + chance.choice((-1, 1, 2))) & 0xFFFF).to_bytes(2, "big"),
        )
    )
    return content[: one.start + 1] + said + content[one.value :]


def _cut(content: bytes, _given: Material, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return chance.choice((content[:place], content[place:], content + content[:place], content * 2))


_DAMAGE: dict[str, Callable[[bytes, Material, random.Random], bytes]] = {
    "bits": _bits,
    "bytes": _bytes,
    "splice": _splice,
    "length": _length,
    "cut": _cut,
}
_LABELS = (
    b"-----BEGIN CERTIFICATE-----",
    b"-----END CERTIFICATE-----",
    b"-----BEGIN TRUSTED CERTIFICATE-----",
    b"-----BEGIN X509 CERTIFICATE-----",
    b"-----BEGIN PRIVATE KEY-----",
    b"-----BEGIN certificate-----",
    b"----BEGIN CERTIFICATE----",
    b"-----BEGIN CERTIFICATE----- ",
    b"-----BEGIN -----",
    b"-----END -----",
)
_BETWEEN = (
    b"",
    b"\0",
    b"\n\n",
    b"\r",
    b" ",
    b"\t",
    b"Proc-Type: 4,ENCRYPTED\n",
    b"\xef\xbb\xbf",
    b"# text\n",
    b"=",
    b"-",
    b"A",
)


def _text(text: bytes, chance: random.Random) -> bytes:
    """Games with labels, lines, base64 and what stands between the blocks."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        lines = text.split(b"\n")
        place = chance.randrange(len(lines))
        match chance.randrange(8):
            case 0:
                lines[place] = chance.choice(_LABELS)
            case 1:
                lines.insert(place, chance.choice(_LABELS))
            case 2:
                del lines[place]
            case 3:
                lines[place] = lines[place] + chance.choice(_BETWEEN)
            case 4:
                lines.insert(place, lines[chance.randrange(len(lines))])
            case 5:
                lines[place] = chance.choice(_BETWEEN) + lines[place]
            case 6:
                lines[place:place] = [chance.randbytes(chance.randrange(80))]
            case _:
                lines = lines[:place]
        text = chance.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r")).join(lines)
    return text


def _signed_again(kind: str, given: Material, chance: random.Random) -> tuple[bytes, bytes]:
    """The leaf or the CA changed, and signed by the CA or the root: everything but the form is right."""
    leaf, ca = given.chain.sent
    if chance.random() < 0.9:
        return _edited(kind, leaf, given.chain, "leaf", chance), ca
    return leaf, _edited(kind, ca, given.chain, "ca", chance)


def _edited(kind: str, content: bytes, chain: Chain, position: Position, chance: random.Random) -> bytes:
    signer, key = (chain.ca, chain.leaf.private_key) if position == "leaf" else (chain.root, chain.ca.private_key)
    match kind:
        case "extensions":
            edit = der.with_extensions(lambda listed: _shuffled(listed, chance))
            return der.edited(content, signer.private_key, edit)
        case "signed":
            tbs, algorithm, _ = der.children(content)
            return der.signed(_bits(tbs, Material(chain, ()), chance), algorithm, signer.private_key)
    rows = chance.sample(_REISSUED[position], chance.choice((1, 2, 3)))
    try:
        return _issued_again(rows, position, signer, key)
    except ValueError:
        # what the builder refuses to write: changes that exclude each other
        return _issued_again(rows[:1], position, signer, key)


def _issued_again(rows: Sequence[Row], position: Position, signer: Issued, key: PrivateKey) -> bytes:
    changes = {"serial": 1 << 151, **{name: value for row in rows for name, value in row.shape.items()}}
    shape = (SVID if position == "leaf" else SPIRE_CA).but(**changes)
    private_key = key if shape.key == "P-256" else Keys(0).key(shape.key, position)
    return der.of(signer.issue(shape, private_key=private_key).x509)


def _shuffled(listed: list[bytes], chance: random.Random) -> list[bytes]:
    """Extensions in another order, twice, left out, critical or not, or with a bit of their value changed."""
    place = chance.randrange(len(listed))
    match chance.randrange(5):
        case 0:
            return chance.sample(listed, len(listed))
        case 1:
            return [*listed, listed[place]]
        case 2:
            return [*listed[:place], *listed[place + 1 :]]
        case 3:
            oid, *_, value = der.children(listed[place])
            flag = chance.choice((b"", der.tlv(0x01, b"\xff"), der.tlv(0x01, b"\0")))
            return [*listed[:place], der.tlv(der.SEQUENCE, oid, flag, value), *listed[place + 1 :]]
        case _:
            changed = bytearray(listed[place])
            changed[chance.randrange(2, len(changed))] ^= 1 << chance.randrange(8)
            return [*listed[:place], bytes(changed), *listed[place + 1 :]]


def _reissued(rows: tuple[Row, ...]) -> list[Row]:
    return [row for row in rows if row.shape and row.shape.get("key") not in _SLOW]


_REISSUED = {"leaf": _reissued(ROWS["leaf"]), "ca": _reissued(ROWS["ca"])}
