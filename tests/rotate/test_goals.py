"""Tables of what one look sees -> which stage a rotation is in, and who is left; both ways between the two roots."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

import pytest
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from meshpki.cluster.manifest import Ref
from meshpki.components.spire_authorities import Authority, Slots, Trusted
from meshpki.pki.certificate import Certificate
from meshpki.rotate import goals
from meshpki.rotate.facts import Envoy, Facts, Generation, Keeper, Server, SpireServer, Turn
from meshpki.rotate.goals import ACTIVATE, FORGET, ISTIOD_CA, MOVED, PREPARE, TAINT, TRUST, TRUST_ISTIOD
from meshpki.rotate.journey import Standing
from meshpki.verify.places import Place, PlaceKind
from meshpki.verify.pods import MeshPod, Workload
from tests.support import certificates as made

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def root(number: int) -> made.Issued:
    return made.root(made.ROOT.but(subject=((NameOID.COMMON_NAME, f"meshpki-root-g{number}"),)))


ROOTS = root(1), root(2)
R1, R2, STRANGER = (one.certificate for one in (*ROOTS, root(9)))
# SPIRE's CA below each root, and a leaf of it
CAS = {one.certificate: one.issue(made.SPIRE_CA) for one in ROOTS}
LEAVES = {above: ca.issue(made.SVID).certificate for above, ca in CAS.items()}
FORTH = Turn(Generation(1, R1), Generation(2, R2))
BACK = FORTH.back
ORDER = [*(stage.name for stage in goals.STAGES), ""]
Bundle = tuple[tuple[Certificate, bool], ...]
ONE: Bundle = ((R1, False),)
BOTH: Bundle = (*ONE, (R2, False))
OTHER: Bundle = ((R2, False),)


@dataclass(frozen=True)
class Seen:
    """A small mesh in the words of the rows below: two Envoys, servers and replicas, a bundle here and there."""

    alias: int = 1
    cacerts: Certificate | None = R1
    slots: tuple[str, ...] = (
        "1",
        "1",
    )  # of each server: the roots above active, prepared and old; - where there is none
    bundle: Bundle = ONE
    serving: tuple[Certificate | None, ...] = (R1, R1)
    anchors: tuple[tuple[Certificate, ...] | None, ...] = ((R1,), (R1,))
    leaves: tuple[Certificate | None, ...] = (R1, R1)
    published: tuple[Certificate, ...] = (R1,)
    kept: tuple[tuple[Certificate, ...] | None, ...] = ((R1,), (R1,))
    istiods: tuple[Certificate | None, ...] = (R1, R1)
    loaded: tuple[tuple[Certificate, ...], ...] = ((R1,), (R1,))
    absent: tuple[str, ...] = ()
    issuer: str = ""  # of what is served on 8081, where it is not SPIRE's CA of now

    @property
    def facts(self) -> Facts:
        """As a scan tells it."""
        bundle = tuple(Trusted(one, tainted) for one, tainted in self.bundle)
        return Facts(
            at=AT,
            alias=self.alias,
            cacerts=sha(self.cacerts),
            handed=None,
            spire=tuple(
                SpireServer({"metadata": {"name": f"spire-server-{number}"}}, slots(text), bundle)
                for number, text in enumerate(self.slots)
            ),
            envoys=tuple(map(envoy, "ab", self.anchors, self.leaves)),
            istio=tuple(Keeper(place(f"keeper-{number}"), shas(held), "gone") for number, held in enumerate(self.kept)),
            published=(Keeper(place("spire-bundle"), shas(self.published)),),
            istiod=tuple(
                Server(f"istiod-{number}", sha(under), "" if under else "no answer", shas(loaded) or frozenset())
                for number, (under, loaded) in enumerate(zip(self.istiods, self.loaded, strict=True))
            ),
            spire_serving=tuple(
                Server(f"8081-{number}", sha(under), issuer=self.issuer or own_ca(under))
                for number, under in enumerate(self.serving)
            ),
            absent=self.absent,
        )


def place(name: str) -> Place:
    return Place(PlaceKind.ISTIO_BUNDLE, Ref("v1", "ConfigMap", "bookinfo", name))


def sha(one: Certificate | None) -> str:
    return one.sha256 if one else ""


def own_ca(above: Certificate | None) -> str:
    return CAS[above].certificate.ski or "" if above else ""


def shas(some: tuple[Certificate, ...] | None) -> frozenset[str] | None:
    return None if some is None else frozenset(one.sha256 for one in some)


def slots(text: str) -> Slots:
    """`12-`: active under R1, prepared under R2, no old one."""
    roots = {"1": R1, "2": R2}
    held = [authority(roots[one]) if one in roots else None for one in text.ljust(3, "-")]
    return Slots(*held)


def authority(above: Certificate) -> Authority:
    return Authority(CAS[above].certificate.ski or "", above.ski or "", AT)


def envoy(name: str, anchors: tuple[Certificate, ...] | None, under: Certificate | None) -> Envoy:
    ref = Ref("v1", "Pod", "bookinfo", name)
    pod = MeshPod(ref, name, Workload("bookinfo", "Deployment", name), name, "node-1", True, True, True, "")
    return Envoy(
        pod, shas(anchors), sha(under), LEAVES[under] if under else None, "" if anchors is not None else "no answer"
    )


def moved(seen: Seen, **changes: object) -> Seen:
    return replace(seen, **changes)  # type: ignore[arg-type]  # the rows are checked by running them


AWAY_NOW = ("spire-server: 1 of 2 pods are there",)
START = Seen()
TRUSTED = moved(START, kept=((R1, R2),) * 2, loaded=((R1, R2),) * 2)
PREPARED = moved(TRUSTED, alias=2, slots=("12", "12"), bundle=BOTH, published=(R1, R2))
EVERYBODY = moved(PREPARED, anchors=((R1, R2),) * 2)
SIGNS = moved(EVERYBODY, slots=("2-1", "2-1"))
ISSUED = moved(SIGNS, leaves=(R2, R2))
SERVED = moved(ISSUED, cacerts=R2, istiods=(R2, R2))
TAINTED = moved(SERVED, bundle=((R1, True), (R2, False)))
AWAY = moved(TAINTED, serving=(R2, R2))
DROPPED = moved(AWAY, slots=("22", "2-1"), bundle=OTHER, published=(R2,))
GONE = moved(DROPPED, anchors=((R2,), (R2,)))
FORGOTTEN = moved(GONE, kept=((R2,),) * 2, loaded=((R2,),) * 2)

# what is seen, the stage on the way from R1 to R2, and the stage on the way back
WAY = [
    ("the second root is only pinned", START, TRUST_ISTIOD, ""),
    ("one keeper lags", moved(TRUSTED, kept=((R1, R2), (R1,))), TRUST_ISTIOD, FORGET),
    ("one caBundle cannot be read", moved(TRUSTED, kept=((R1, R2), None)), TRUST_ISTIOD, TRUST_ISTIOD),
    ("one istiod has not loaded it", moved(TRUSTED, loaded=((R1, R2), (R1,))), TRUST_ISTIOD, FORGET),
    ("a stranger's root is kept", moved(TRUSTED, kept=((R1, R2), (R1, R2, STRANGER))), TRUST_ISTIOD, TRUST_ISTIOD),
    ("istiod trusts both", TRUSTED, PREPARE, FORGET),
    ("the alias is pointed there", moved(TRUSTED, alias=2), PREPARE, PREPARE),
    ("the alias is somebody's", moved(TRUSTED, alias=0), PREPARE, PREPARE),
    ("one of two servers prepared", moved(PREPARED, slots=("12", "1")), PREPARE, PREPARE),
    ("a server is not there", moved(PREPARED, absent=AWAY_NOW), PREPARE, PREPARE),
    ("no server is there", moved(PREPARED, slots=(), absent=AWAY_NOW), PREPARE, PREPARE),
    ("SPIRE prepared", PREPARED, TRUST, PREPARE),
    ("the prepared slot was lost", moved(PREPARED, slots=("1", "12")), PREPARE, PREPARE),
    ("the ConfigMap lags", moved(EVERYBODY, published=(R1,)), TRUST, PREPARE),
    ("one Envoy lags", moved(EVERYBODY, anchors=((R1, R2), (R1,))), TRUST, PREPARE),
    ("one Envoy cannot be read", moved(EVERYBODY, anchors=((R1, R2), None)), TRUST, PREPARE),
    ("everybody trusts both", EVERYBODY, ACTIVATE, PREPARE),
    ("one of two servers signs", moved(SIGNS, slots=("2-1", "12")), ACTIVATE, PREPARE),
    ("SPIRE signs", SIGNS, ACTIVATE, PREPARE),
    ("one leaf is there", moved(ISSUED, leaves=(R2, R1)), ACTIVATE, PREPARE),
    ("a leaf lies under none", moved(ISSUED, leaves=(R2, None)), ACTIVATE, PREPARE),
    ("the old slot was overwritten", moved(ISSUED, slots=("22", "2-1")), ACTIVATE, PREPARE),
    ("a server lost its old slot", moved(ISSUED, slots=("2", "2-1")), ACTIVATE, PREPARE),
    ("every leaf is there", ISSUED, ISTIOD_CA, PREPARE),
    ("cacerts is renewed", moved(ISSUED, cacerts=R2), ISTIOD_CA, PREPARE),
    ("one istiod serves it", moved(SERVED, istiods=(R2, R1)), ISTIOD_CA, PREPARE),
    ("an istiod does not answer", moved(SERVED, istiods=(R2, None), loaded=((R1, R2), ())), ISTIOD_CA, PREPARE),
    ("istiod serves it", SERVED, TAINT, PREPARE),
    ("the old root is tainted", TAINTED, TAINT, PREPARE),
    ("nothing lies under it", AWAY, TAINT, PREPARE),
    ("SPIRE dropped it", DROPPED, TAINT, PREPARE),
    ("the ConfigMap of agents still has it", moved(GONE, published=(R1, R2)), TAINT, PREPARE),
    ("one Envoy still has it", moved(GONE, anchors=((R2,), (R1, R2))), TAINT, PREPARE),
    ("every Envoy dropped it", GONE, FORGET, PREPARE),
    ("one keeper still has it", moved(FORGOTTEN, kept=((R2,), (R1, R2))), FORGET, TRUST_ISTIOD),
    ("one istiod still has it", moved(FORGOTTEN, loaded=((R2,), (R1, R2))), FORGET, TRUST_ISTIOD),
    ("istiod dropped it", FORGOTTEN, "", TRUST_ISTIOD),
]


def name_of(seen: Seen, turn: Turn) -> str:
    here = goals.position(seen.facts, turn)
    return here.name if here else ""


def test_a_leaf_of_a_ca_that_spire_signs_with_no_more_has_to_move_though_its_root_is_right() -> None:
    facts = moved(ISSUED, slots=("2-1", "2-1")).facts
    older = replace(facts.envoys[0], leaf=ROOTS[1].issue(made.SPIRE_CA).issue(made.SVID).certificate)
    late = goals.issued(replace(facts, envoys=(older, facts.envoys[1])), FORTH)
    assert late == ("bookinfo/a: its leaf is not of the CA that SPIRE signs with",)


@pytest.mark.parametrize(("seen", "forth", "back"), [row[1:] for row in WAY], ids=[row[0] for row in WAY])
def test_a_rotation_stands_in_the_first_stage_whose_goal_is_not_reached(seen: Seen, forth: str, back: str) -> None:
    assert (name_of(seen, FORTH), name_of(seen, BACK)) == (forth, back)


def test_on_the_way_forth_no_later_row_stands_in_an_earlier_stage() -> None:
    whole = [START, TRUSTED, PREPARED, EVERYBODY, SIGNS, ISSUED, SERVED, TAINTED, AWAY, DROPPED, GONE, FORGOTTEN]
    stages = [ORDER.index(name_of(seen, FORTH)) for seen in whole]
    assert stages == sorted(stages)


# the way back once SPIRE knows the other root: it signs under that one once more, so that it can be tainted
ALIASED = moved(EVERYBODY, alias=1)
HOPPED = moved(ALIASED, slots=("1-2", "1-2"))
LEFT = moved(HOPPED, bundle=ONE, published=(R1,), anchors=((R1,), (R1,)))


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (ALIASED, ACTIVATE),
        (moved(ALIASED, anchors=((R1, R2), (R1,))), TRUST),
        (moved(ALIASED, kept=((R1,), (R1,)), loaded=((R1,), (R1,))), ACTIVATE),
        (moved(HOPPED, slots=("1-2", "12")), ACTIVATE),
        (HOPPED, TAINT),
        (moved(HOPPED, leaves=(R1, R2)), ACTIVATE),
        (moved(HOPPED, istiods=(R1, R2)), ISTIOD_CA),
        (moved(HOPPED, bundle=((R1, False), (R2, True))), TAINT),
        (LEFT, FORGET),
        (moved(LEFT, kept=((R1,), (R1,)), loaded=((R1,), (R1,))), ""),
    ],
    ids=[
        "out of reach",
        "out of reach, and not everybody trusts it",
        "what istiod trusts is no matter of SPIRE's",
        "one server is in reach",
        "in reach",
        "a leaf has moved",
        "an istiod has moved",
        "tainted",
        "dropped",
        "forgotten",
    ],
)
def test_on_the_way_back_the_root_is_brought_into_reach_before_it_is_tainted(seen: Seen, stage: str) -> None:
    assert name_of(seen, BACK) == stage


# the way from R1 once it has ended: what lies under it counts as lying under nothing
OVER = moved(START, cacerts=None, leaves=(None, None), istiods=(None, None), serving=(None, None))
READY = moved(OVER, alias=2, slots=("12", "12"), bundle=BOTH, published=(R1, R2))
RENEWED = moved(READY, cacerts=R2, istiods=(R2, R2), loaded=((R1, R2),) * 2)
TRUSTING = moved(RENEWED, kept=((R1, R2),) * 2)
SIGNING = moved(TRUSTING, slots=("2-1", "2-1"))
FOLLOWED = moved(SIGNING, serving=(R2, R2), leaves=(R2, R2), anchors=((R1, R2),) * 2)
FROM_AN_ENDED_ROOT = [
    ("nothing is done", OVER, PREPARE),
    ("SPIRE prepared", READY, ISTIOD_CA),
    ("cacerts is renewed, and one istiod serves it", moved(RENEWED, istiods=(R2, None)), ISTIOD_CA),
    ("istiod serves it", RENEWED, TRUST_ISTIOD),
    ("istiod trusts both", TRUSTING, ACTIVATE),
    ("SPIRE signs", SIGNING, ACTIVATE),
    ("every leaf is there, and one Envoy lags", moved(FOLLOWED, anchors=((R1, R2), (R1,))), TRUST),
    ("every Envoy followed", FOLLOWED, TAINT),
    ("its slot is gone, and one of two servers can taint it", moved(FOLLOWED, slots=("22", "2-1")), TAINT),
    ("nobody can taint it", moved(FOLLOWED, slots=("22", "22")), FORGET),
    (
        "nobody can taint it, and a server serves elsewhere",
        moved(FOLLOWED, slots=("2", "2"), serving=(R2, None)),
        TAINT,
    ),
    ("every Envoy dropped it", moved(GONE), FORGET),
    ("istiod dropped it", FORGOTTEN, ""),
]


@pytest.mark.parametrize(
    ("seen", "stage"), [row[1:] for row in FROM_AN_ENDED_ROOT], ids=[row[0] for row in FROM_AN_ENDED_ROOT]
)
def test_from_a_root_that_has_ended_what_is_issued_comes_before_who_trusts_it(seen: Seen, stage: str) -> None:
    here = goals.position(replace(seen.facts, at=R1.not_after), FORTH)
    assert (here.name if here else "") == stage


def test_every_target_that_is_left_is_named() -> None:
    lagging = moved(PREPARED, anchors=((R1,), None), published=(R1,), slots=("12", "1"))
    assert goals.prepared(lagging.facts, FORTH) == (f"spire-server-1: no CA under {FORTH.entering}",)
    assert goals.everybody_trusts(lagging.facts, FORTH) == (
        "bookinfo/a lacks CN=meshpki-root-g2",
        "bookinfo/b: no answer",
        "ConfigMap bookinfo/spire-bundle lacks CN=meshpki-root-g2",
    )


@pytest.mark.parametrize(
    ("seen", "past"),
    [
        (START, False),
        (EVERYBODY, False),
        (SERVED, False),
        (TAINTED, True),
        (DROPPED, True),
        (GONE, True),
        (FORGOTTEN, True),
    ],
    ids=["pinned", "trusted", "served", "tainted", "dropped, and Envoys lag", "gone", "forgotten"],
)
def test_from_the_taint_on_there_is_only_one_way(seen: Seen, *, past: bool) -> None:
    here = goals.position(seen.facts, FORTH) or goals.STAGES[-1]
    assert Standing(FORTH, seen.facts, here).past_return is past


def test_nothing_may_be_minted_before_the_taint_lest_it_overwrites_the_slot() -> None:
    assert goals.untainted(moved(SERVED, serving=(R2, R2)).facts, FORTH)
    assert not goals.untainted(AWAY.facts, FORTH)


def test_a_server_whose_own_certificate_is_of_a_ca_that_is_listed_no_more_keeps_the_way_from_its_end() -> None:
    back = moved(TRUSTED, issuer="0badca")
    assert [one.pod for one in goals.unlisted(back.facts)] == ["", ""]
    assert name_of(back, BACK) == TAINT
    assert goals.clear(back.facts, BACK) == tuple(
        f"8081-{number}: serves under a CA that SPIRE lists no more" for number in range(2)
    )
    assert name_of(TRUSTED, BACK) == FORGET


# one target of the whole mesh at a time follows
Target = tuple[str, int | None]
JOURNEY = [START, TRUSTED, PREPARED, EVERYBODY, SIGNS, ISSUED, SERVED]
FIELDS = [one.name for one in fields(Seen)]


def targets(before: Seen, after: Seen) -> list[Target]:
    """What changes between two looks, each part that can lag by itself."""
    found: list[Target] = []
    for name in FIELDS:
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            single = name in ("alias", "cacerts", "bundle", "published")
            found += [(name, None)] if single else [(name, number) for number in range(len(now))]
    return found


def following(seen: Seen, target: Target, after: Seen) -> Seen:
    name, number = target
    if number is None:
        return moved(seen, **{name: getattr(after, name)})
    held = list(getattr(seen, name))
    held[number] = getattr(after, name)[number]
    return moved(seen, **{name: tuple(held)})


@given(st.data(), st.integers(0, len(JOURNEY) - 2))
def test_a_rotation_never_moves_backwards_in_whatever_order_the_targets_follow(data: st.DataObject, leg: int) -> None:
    seen, after = JOURNEY[leg], JOURNEY[leg + 1]
    at = ORDER.index(name_of(seen, FORTH))
    for target in data.draw(st.permutations(targets(seen, after))):
        seen = following(seen, target, after)
        now = ORDER.index(name_of(seen, FORTH))
        assert now >= at, target
        at = now
    assert seen == after


one_root = st.sampled_from([R1, R2, None])
some_roots = st.sampled_from([(R1,), (R2,), (R1, R2), None])
MESHES = st.builds(
    Seen,
    alias=st.sampled_from([0, 1, 2]),
    cacerts=one_root,
    slots=st.tuples(*[st.text("12-", min_size=3, max_size=3)] * 2),
    bundle=st.sampled_from([ONE, BOTH, OTHER, TAINTED.bundle]),
    serving=st.tuples(one_root, one_root),
    anchors=st.tuples(some_roots, some_roots),
    leaves=st.tuples(one_root, one_root),
    published=st.sampled_from([(R1,), (R2,), (R1, R2)]),
    kept=st.tuples(some_roots, some_roots),
    istiods=st.tuples(one_root, one_root),
    loaded=st.tuples(*[st.sampled_from([(R1,), (R2,), (R1, R2)])] * 2),
    absent=st.sampled_from([(), AWAY_NOW]),
)


@given(st.one_of(MESHES, st.sampled_from([row[1] for row in WAY])), st.sampled_from([FORTH, BACK]))
def test_a_root_is_dropped_only_where_nothing_lies_under_it(seen: Seen, turn: Turn) -> None:
    at = ORDER.index(name_of(seen, turn))
    leaving, entering = turn.leaving.root, turn.entering.root
    if at >= ORDER.index(TAINT):
        assert set(seen.leaves) == set(seen.istiods) == {entering} == {seen.cacerts}
        assert all(text.startswith("2" if turn is FORTH else "1") for text in seen.slots)
        assert all(held and entering in held for held in (*seen.anchors, *seen.kept))
    if at >= ORDER.index(FORGET):
        assert set(seen.serving) == {entering}
        assert leaving not in (root for held in (*seen.anchors, seen.published) if held for root in held)
        assert leaving not in dict(seen.bundle)
    if at == ORDER.index(""):
        assert leaving not in (root for held in (*seen.kept, *seen.loaded) if held for root in held)


Question = Callable[[Facts, Turn], goals.Left]
NEVER_OPEN: Mapping[str, Question] = {stage.name: stage.left for stage in goals.STAGES if stage.name != TRUST_ISTIOD}


@pytest.mark.parametrize("name", [TRUST, ACTIVATE, MOVED, TAINT])
def test_a_pod_that_cannot_be_read_holds_up_whatever_is_asked_of_every_pod(name: str) -> None:
    unread = moved(FORGOTTEN, anchors=((R2,), None), leaves=(R2, None))
    assert NEVER_OPEN[name](unread.facts, FORTH)
