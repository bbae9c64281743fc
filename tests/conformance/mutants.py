"""Mutants judged in a process of their own, a share at a time, and what came of them."""

import random
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from meshpki.pki.bundle import read_bundle
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from tests.conformance import openssl
from tests.conformance.mesh import pem
from tests.conformance.mutations import Material, Mutant, material, mutant
from tests.support.certificates import TRUST_DOMAIN

# a leaf (DER) by the CAs and the anchor (DER) that prove it
Proven = dict[tuple[bytes, ...], list[bytes]]


@dataclass
class Tally:
    """What a share of mutants came to; the lists hold what must not be, as hexadecimal PEM or DER."""

    judged: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    untouched: int = 0
    accepted: int = 0
    asked: int = 0
    # seconds of processor time: other work on the machine must not count
    slowest: float = 0.0
    seconds: float = 0.0
    crashed: list[str] = field(default_factory=list)
    uncoded: list[str] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    only_ours: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            match value:
                case Counter() | list():
                    setattr(self, name, getattr(self, name) + value)
                case float() if name == "slowest":
                    self.slowest = max(self.slowest, value)
                case _:
                    setattr(self, name, getattr(self, name) + value)


def share(seed: int, number: int, count: int) -> Tally:
    """Judge a share of the mutants that a seed gives; OpenSSL is asked once for each chain that is proven."""
    started = time.process_time()
    given, chance, tally = material(seed), random.Random(f"{seed} {number}"), Tally()  # noqa: S311 - repeatable
    known = dict.fromkeys(given.ders, True)
    signed = {one.parsed.tbs_certificate_bytes for one in _read(given)}
    accepted: Proven = defaultdict(list)
    for _ in range(count):
        one = mutant(given, chance)
        path = _judged(one, tally)
        if path is None:
            continue
        tally.accepted += 1
        if all(certificate.der in known for certificate in path):
            tally.untouched += 1
            continue
        if not one.signed and not {each.parsed.tbs_certificate_bytes for each in path[:-1]} <= signed:
            tally.unsigned.append(one.sent.hex())
        accepted[tuple(each.der for each in path[1:])].append(path[0].der)
    _ask(accepted, tally)
    tally.seconds = time.process_time() - started
    return tally


def _read(given: Material) -> tuple[Certificate, ...]:
    return read_chain(pem(*given.ders))


def _judged(one: Mutant, tally: Tally) -> tuple[Certificate, ...] | None:
    """The path where the mutant is proven; every other end is counted."""
    tally.judged += 1
    tally.kinds[one.kind] += 1
    started = time.process_time()
    try:
        expected = Expected(read_bundle(one.pinned).anchors, openssl.MOMENT, trust_domain=TRUST_DOMAIN, strict=True)
        verdict = judge(read_chain(one.sent), expected)
    except UnparsableError as error:
        tally.refused[error.code] += 1
        return None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of the library is no Exception, and must be counted
        tally.crashed.append(f"{type(error).__name__}: {error} {one.sent.hex()} {one.pinned.hex()}")
        return None
    finally:
        tally.slowest = max(tally.slowest, time.process_time() - started)
    if verdict.result == "proven":
        return verdict.path
    codes = [finding.code for finding in verdict.findings if finding.severity != "warn"]
    tally.refused.update(codes[:1])
    if not codes:
        tally.uncoded.append(one.sent.hex())
    return None


def _ask(accepted: Proven, tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for above, leaves in accepted.items():
            *cas, anchor = above
            distinct = list(dict.fromkeys(leaves))
            agreed = openssl.accepted(Path(folder), distinct, cas, [anchor])
            tally.asked += len(distinct)
            tally.only_ours += [
                " ".join(part.hex() for part in (leaf, *above))
                for place, leaf in enumerate(distinct)
                if place not in agreed
            ]
