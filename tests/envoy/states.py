"""Certificates of a mesh whose root is replaced, and the states that two of its proxies can be in meanwhile.

All are valid now: Envoy has no other clock than the machine's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Literal

from cryptography.x509 import NameOID

from tests.support import certificates as made
from tests.support.certificates import A_RUN, AT, HOUR, ROOT, SPIRE_CA, SVID, Issued, Shape
from tests.support.envoys import Holding

NOW = datetime.now(UTC).replace(microsecond=0)
Side = Literal["A", "B"]


def now(shape: Shape) -> Shape:
    """The shape, valid around this moment as it was around that of the other tests, and for the whole run."""
    return shape.but(not_before=shape.not_before - AT + NOW, not_after=shape.not_after - AT + NOW + A_RUN)


OLD = now(ROOT)
NEW = OLD.but(subject=((NameOID.COMMON_NAME, "meshpki-root-g2"),))
CA, LEAF = now(SPIRE_CA), now(SVID)
OVER = {"not_before": NOW - 3 * HOUR, "not_after": NOW - HOUR}
DRIFTED = {"ski": b"counted another way"}
BARE = {"ski": False, "aki": False}

R1, R2, TWIN = made.root(OLD), made.root(NEW), made.root(OLD)
CROSS = NEW.but(aki=True)
X = R1.issue(CROSS, private_key=R2.private_key)
BARE_1, BARE_2 = made.root(OLD.but(**BARE)), made.root(OLD.but(**BARE))

ANCHORS = {
    "R1": R1,
    "R2": R2,
    # R1's name with another key
    "twin": TWIN,
    # R1's key, name and key identifier, but its time is over
    "R1-over": made.root(OLD.but(**OVER), private_key=R1.private_key),
    # R1's key and name with the key identifier that a newer Go gives it
    "R1-drifted": made.root(OLD.but(**DRIFTED), private_key=R1.private_key),
    # R2's key and name, signed by R1
    "X": X,
    # one name, two keys, no key identifiers
    "bare-1": BARE_1,
    "bare-2": BARE_2,
}
CA_1, CA_2 = R1.issue(CA), R2.issue(CA)
# what is sent after the leaf, and the shape of the leaf
CHAINS: dict[str, tuple[tuple[Issued, ...], Shape]] = {
    "1": ((CA_1,), LEAF),
    "1+root": ((CA_1, R1), LEAF),
    "2": ((CA_2,), LEAF),
    "2+X": ((CA_2, X), LEAF),
    "2+X-over": ((CA_2, R1.issue(CROSS.but(**OVER), private_key=R2.private_key)), LEAF),
    "2+X-drifted": ((CA_2, R1.issue(CROSS.but(**DRIFTED), private_key=R2.private_key)), LEAF),
    "twin": ((TWIN.issue(CA),), LEAF),
    "bare-1": ((BARE_1.issue(CA.but(**BARE)),), LEAF.but(**BARE)),
    "bare-2": ((BARE_2.issue(CA.but(**BARE)),), LEAF.but(**BARE)),
    "over": ((CA_1,), LEAF.but(**OVER)),
    "elsewhere": ((CA_1,), LEAF.but(uris=("spiffe://elsewhere.org/ns/bookinfo/sa/a",))),
}


@dataclass(frozen=True)
class State:
    """What each side trusts and presents, by the names above; and which sides refuse what the other presents.

    `refusing` is what the real Envoys do. meshpki judges the same, but for sides named in `stricter`: those it refuses
    too.
    """

    name: str
    a: tuple[str, str]
    b: tuple[str, str]
    refusing: str = ""
    stricter: str = ""

    def refuses(self, side: Side) -> bool:
        """Whether this side refuses the other's chain."""
        return side in self.refusing


def holding(side: Side, trust: str, chain: str) -> Holding:
    """What a side holds, from the names of the anchors in their order, and of the chain."""
    return Holding(tuple(ANCHORS[name] for name in trust.split()), _chain(side, chain))


@cache
def _chain(side: Side, name: str) -> tuple[Issued, ...]:
    authorities, shape = CHAINS[name]
    uris = tuple(f"{uri.rpartition('/')[0]}/{side.lower()}" for uri in shape.uris)
    return (authorities[0].issue(shape.but(uris=uris)), *authorities)


def seen(name: str, trust: str, chain: str, refusing: str = "", stricter: str = "") -> State:
    """A state in which A judges a chain of B, and B has no reason to refuse A."""
    return State(name, (trust, "1"), ("R1", chain), refusing, stricter)


ORDERED = (
    State("one root", ("R1", "1"), ("R1", "1")),
    State("both roots trusted by A", ("R1 R2", "1"), ("R1", "1")),
    State("both roots trusted by both", ("R1 R2", "1"), ("R1 R2", "1")),
    State("A's leaf below the new root", ("R1 R2", "2"), ("R1 R2", "1")),
    State("both leaves below the new root", ("R1 R2", "2"), ("R1 R2", "2")),
    State("the old root dropped by A", ("R2", "2"), ("R1 R2", "2")),
    State("the old root dropped by both", ("R2", "2"), ("R2", "2")),
)
DISORDERED = (
    State("A's leaf moved before anybody trusts its root", ("R1", "2"), ("R1", "1"), "B"),
    State("both leaves moved before anybody trusts their root", ("R1", "2"), ("R1", "2"), "AB"),
    State("A's leaf moved before B trusts its root", ("R1 R2", "2"), ("R1", "1"), "B"),
    State("both leaves moved before B trusts their root", ("R1 R2", "2"), ("R1", "2"), "B"),
    State("the old root dropped by A before a leaf moved", ("R2", "1"), ("R1 R2", "1"), "A"),
    State("the old root dropped by A before B's leaf moved", ("R2", "2"), ("R1 R2", "1"), "A"),
    State("the old root dropped by both before B's leaf moved", ("R2", "2"), ("R2", "1"), "A"),
    State("the old root dropped by both before a leaf moved", ("R2", "1"), ("R2", "1"), "AB"),
    State("A moved to the new root at once", ("R2", "2"), ("R1", "1"), "AB"),
    State("A moved to a root of the same name at once", ("twin", "twin"), ("R1", "1"), "AB"),
    State("B's leaf moved back after A dropped the old root", ("R2", "2"), ("R2 R1", "1"), "A"),
)
JUDGED = (
    seen("a new root in a bundle of both, the new one first", "R2 R1", "2"),
    seen("a new root of the old one's name, both trusted", "R1 twin", "twin"),
    seen("a new root of the old one's name, both trusted, the new one first", "twin R1", "twin"),
    seen("a new root of the old one's name, the old one's chain", "twin R1", "1"),
    seen("the old root under the key identifier of a newer Go", "R1-drifted", "1", "A"),
    seen("the old root under the key identifier of a newer Go, and the old one sent", "R1-drifted", "1+root", "A"),
    seen("the root twice", "R1 R1", "1"),
    seen("the root sent along", "R1", "1+root"),
    seen("the root sent along, another trusted", "R2", "1+root", "A"),
    seen("the old root expired", "R1-over", "1", "A"),
    seen("the old root expired, and its copy sent", "R1-over", "1+root", "A"),
    seen("the old root expired before its copy with the same key", "R1-over R1", "1", "", "A"),
    seen("the old root expired behind its copy with the same key", "R1 R1-over", "1", "A"),
    seen("the old root expired before its copy, beside the new one", "R1-over R1 R2", "1", "A"),
    seen("the old root expired behind its copy, beside the new one", "R1 R1-over R2", "1", "", "A"),
    seen("the old root expired beside the new one", "R1-over R2", "2"),
    seen("the cross certificate alone for an anchor", "X", "2", "A"),
    seen("the cross certificate alone for an anchor, and sent", "X", "2+X", "A"),
    seen("the cross certificate for an anchor before its root", "X R2", "2", "", "A"),
    seen("the cross certificate for an anchor behind its root", "R2 X", "2", "A"),
    seen("the cross certificate for an anchor beside its signer", "X R1", "2", "", "A"),
    seen("no cross certificate", "R1", "2", "A"),
    seen("a cross certificate under the old root", "R1", "2+X", "", "A"),
    seen("a cross certificate under the new root", "R2", "2+X"),
    seen("a cross certificate under both", "R1 R2", "2+X"),
    seen("a cross certificate beside an expired root", "R1-over R2", "2+X"),
    seen("an expired cross certificate under the old root", "R1", "2+X-over", "A"),
    seen("an expired cross certificate under the new root", "R2", "2+X-over"),
    seen("an expired cross certificate under both", "R1 R2", "2+X-over"),
    seen("a cross certificate of another key identifier under the old root", "R1", "2+X-drifted", "A"),
    seen("a cross certificate of another key identifier under the new root", "R2", "2+X-drifted"),
    seen("no key identifiers, one name, the other root first", "bare-1 bare-2", "bare-2", "", "A"),
    seen("no key identifiers, one name, its root first", "bare-2 bare-1", "bare-2", "A"),
    seen("no key identifiers, one root", "bare-1", "bare-1"),
    seen("a leaf that is over", "R1", "over", "A"),
    seen("a leaf of another trust domain", "R1", "elsewhere", "A"),
)
