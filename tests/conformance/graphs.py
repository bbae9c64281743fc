"""Random graphs of CAs, cross-signed and flawed, drawn from a seed: what is sent, what is pinned, which leaf."""

import random
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.x509 import NameOID

from tests.conformance.mesh import Keys
from tests.support import certificates as made
from tests.support.certificates import AT, ROOT, SPIRE_CA, SVID, Issued, Shape

CODE_SIGNING = x509.oid.ExtendedKeyUsageOID.CODE_SIGNING
DAY = timedelta(days=1)
# each may hit any certificate; most hit none
FLAWS: tuple[dict[str, object], ...] = (
    {"not_after": AT - DAY, "not_before": AT - 2 * DAY},
    {"not_before": AT + DAY, "not_after": AT + 2 * DAY},
    {"aki": b"\1" * 20},
    {"aki": False},
    {"ski": False},
    {"unknown_critical": True},
    {"extended": (CODE_SIGNING,)},
    {"ca_critical": False},
    {"key_usage_critical": False},
    {"constraints": x509.NameConstraints([x509.DNSName("svc")], None)},
    {"constraints": x509.NameConstraints([x509.DNSName("com")], None)},
    {"digest": "SHA224"},
)
CA_FLAWS: tuple[dict[str, object], ...] = (
    {"path_length": 0},
    {"path_length": 1},
    {"ca": False},
    {"ca": None},
    {"key_usages": ("crl_sign",)},
    {"key_usages": None},
)


@dataclass(frozen=True)
class Graph:
    """Every CA's certificates in any order, the anchors among them that are pinned, and the leaf."""

    leaf: Issued
    sent: tuple[Issued, ...]
    pinned: tuple[Issued, ...]


def graph(seed: int, number: int) -> Graph:
    """Two or three roots, three to five names of CAs; some names have two keys, some keys two signers."""
    chance, keys = random.Random(f"{seed} graph {number}"), Keys(seed)  # noqa: S311 - repeatable
    roots = [
        made.root(
            _flawed(_named(ROOT, f"root {place % 2}"), chance, CA_FLAWS), private_key=keys.key("P-256", f"root {place}")
        )
        for place in range(chance.choice((2, 3)))
    ]
    authorities: list[Issued] = []
    for place in range(chance.choice((2, 3, 5))):
        shape = _named(SPIRE_CA, f"ca {place % 3}")
        for signer in chance.sample([*roots, *authorities], chance.choice((1, 1, 2))):
            key = keys.key("P-256", f"ca {place}")
            authorities.append(signer.issue(_flawed(shape, chance, CA_FLAWS), private_key=key))
    leaf = chance.choice(authorities).issue(
        _flawed(SVID.but(dns=("a.svc",)), chance), private_key=keys.key("P-256", "leaf")
    )
    sent = chance.sample(authorities, chance.randrange(max(1, len(authorities) - 1), len(authorities) + 1))
    return Graph(leaf, tuple(sent), tuple(chance.sample(roots, chance.randrange(1, len(roots) + 1))))


def _named(shape: Shape, name: str) -> Shape:
    return shape.but(subject=((NameOID.COMMON_NAME, name),), not_after=AT + 90 * DAY)


def _flawed(shape: Shape, chance: random.Random, more: tuple[dict[str, object], ...] = ()) -> Shape:
    return shape.but(**chance.choice((*FLAWS, *more))) if chance.random() < 0.15 else shape
