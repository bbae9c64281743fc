from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from meshpki.cluster.manifest import Ref
from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate
from meshpki.verify.authorities import Authorities, authorities, judge_issuer
from meshpki.verify.observation import LocalAuthorities, Observation, Served
from meshpki.verify.places import Place, PlaceKind
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR, SPIRE_CA, SVID

ROOT = made.mesh_root()
DAY = timedelta(hours=24)


def spire_ca(issued: datetime, life: timedelta = DAY) -> made.Issued:
    """A CA of SPIRE's, as cert-manager issues it: for a day, never dated back."""
    return ROOT.issue(SPIRE_CA.but(not_before=issued, not_after=issued + life))


def known(serving: made.Issued, **changes: object) -> Authorities:
    base = Authorities((serving.certificate,), complete=True, svid_ttl=HOUR)
    return replace(base, **changes)  # type: ignore[arg-type]  # the table's rows are checked by running them


def local(*listed: made.Issued) -> LocalAuthorities:
    keys = [one.certificate.ski or "" for one in listed]
    return LocalAuthorities(frozenset(keys[:1]), frozenset(), frozenset(keys[1:]))


FRESH, MIDDLE, OLD = (spire_ca(AT - age) for age in (timedelta(minutes=2), 12 * HOUR, 21 * HOUR))
ANCIENT = spire_ca(AT - 23 * HOUR)
TAKEN = Ref("cert-manager.io/v1", "CertificateRequest", "elsewhere", "mine")


@dataclass(frozen=True)
class Case:
    name: str
    issuer: made.Issued
    known: Authorities
    code: str | None


CASES = (
    Case("the CA that the server serves with", FRESH, known(FRESH), None),
    Case("a newer CA while SPIRE's own is in its prime", FRESH, known(MIDDLE), "MPK-344"),
    Case("a newer CA when SPIRE's own is about to be followed", FRESH, known(OLD), "MPK-371"),
    Case("an older CA while its leaves may still live", OLD, known(FRESH), "MPK-371"),
    Case("an older CA when its leaves have run out", ANCIENT, known(MIDDLE), "MPK-344"),
    Case(
        "a CA that a request elsewhere obtained",
        FRESH,
        known(FRESH, rogue={FRESH.certificate.key_sha256: TAKEN}),
        "MPK-344",
    ),
    Case("another CA where not every server answered", FRESH, known(MIDDLE, complete=False), "MPK-371"),
    Case("an old CA that the server lists", OLD, known(FRESH, local=local(FRESH, OLD)), None),
    Case("an old CA that the server does not list", OLD, known(FRESH, local=local(FRESH)), "MPK-344"),
    Case("no server could be asked", FRESH, replace(known(FRESH), serving=(), complete=False), "MPK-371"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_spires_own_cas_may_issue(case: Case) -> None:
    leaf = case.issuer.issue(SVID).certificate
    finding = judge_issuer(leaf, case.issuer.certificate, case.known, AT)
    assert (finding.code if finding else None) == case.code
    assert finding is None or finding.rule == 37


@pytest.mark.parametrize(
    ("life", "age", "code"),
    [(60, 22, "MPK-371"), (60, 24, "MPK-344"), (45, 16, "MPK-344"), (180, 22, "MPK-371"), (180, 24, "MPK-344")],
)
def test_a_ca_of_before_is_known_by_the_caps_of_spires_own_clock(life: int, age: int, code: str) -> None:
    """SPIRE prepares a CA 30 days before the end of the one before at most, and activates it 7 days before it."""
    serving = spire_ca(AT - age * DAY, life * DAY)
    before = spire_ca(AT - (age + 20) * DAY, life * DAY)
    finding = judge_issuer(before.issue(SVID).certificate, before.certificate, known(serving), AT)
    assert finding is not None
    assert finding.code == code


@pytest.mark.parametrize(("left", "code"), [(8, "MPK-344"), (7, "MPK-371")])
def test_a_ca_that_follows_is_known_by_them_too(left: int, code: str) -> None:
    serving, following = spire_ca(AT - (60 - left) * DAY, 60 * DAY), spire_ca(AT - DAY, 60 * DAY)
    finding = judge_issuer(following.issue(SVID).certificate, following.certificate, known(serving), AT)
    assert finding is not None
    assert finding.code == code


def test_a_key_identifier_that_a_rogue_borrowed_does_not_make_it_one_that_the_server_lists() -> None:
    own = MIDDLE.certificate
    borrowed = ROOT.issue(SPIRE_CA.but(ski=bytes.fromhex(own.ski or "")))
    assert borrowed.certificate.ski == own.ski
    asked = known(MIDDLE, local=local(MIDDLE))
    finding = judge_issuer(borrowed.issue(SVID).certificate, borrowed.certificate, asked, AT)
    assert finding is not None
    assert finding.code == "MPK-344"


def test_a_ca_that_a_server_only_sends_along_is_not_the_one_it_serves_with() -> None:
    chain = made.read(made.root(SPIRE_CA.but(aki=False)).issue(SVID), FRESH)
    seen = authorities(Observation(served=(served("spire-server-0", chain),)), HOUR, {})
    assert (seen.serving, seen.complete) == ((), False)


def test_a_rogue_is_named_by_the_request_that_obtained_it() -> None:
    rogue = known(MIDDLE, rogue={FRESH.certificate.key_sha256: TAKEN})
    finding = judge_issuer(FRESH.issue(SVID).certificate, FRESH.certificate, rogue, AT)
    assert finding is not None
    assert "CertificateRequest elsewhere/mine" in finding.found


def served(name: str, chain: tuple[Certificate, ...]) -> Served:
    error = None if chain else MeshpkiError("MPK-352", "the TLS handshake failed")
    return Served(Place(PlaceKind.SPIRE_SERVER, Ref("v1", "Pod", "spire-server", name), "8081"), chain, error)


def test_the_known_authorities_are_those_behind_the_servers_own_certificates() -> None:
    chain = made.read(FRESH.issue(SVID), FRESH)
    seen = authorities(Observation(served=(served("spire-server-0", chain),)), HOUR, {})
    assert [one.sha256 for one in seen.serving] == [FRESH.certificate.sha256]
    assert seen.complete


def test_a_server_that_does_not_answer_leaves_the_known_authorities_incomplete() -> None:
    chain = made.read(FRESH.issue(SVID), FRESH)
    both = (served("spire-server-0", chain), served("spire-server-1", ()))
    assert not authorities(Observation(served=both), HOUR, {}).complete
    assert not authorities(Observation(), HOUR, {}).complete
