"""The stages of a root rotation and what each is for: pure questions to one look at the mesh.

A stage's goal stays reached while later stages are carried out, so that the first stage whose goal is not reached is
where a rotation stands, whoever began it and wherever it was stopped. Order and reasons:
docs/decisions/0008-root-rotation.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from meshpki.pki.certificate import Certificate
from meshpki.rotate.facts import Envoy, Facts, Keeper, Server, Turn

Left = tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One stage: its goal, the way back from it, and which targets have not followed yet.

    `{leaving}` and `{entering}` stand in the texts for the two roots.
    """

    name: str
    goal: str
    way_back: str
    left: Callable[[Facts, Turn], Left]

    def says(self, text: str, turn: Turn) -> str:
        """One of its texts, of these two roots."""
        names = {"leaving": turn.leaving.root.subject, "entering": turn.entering.root.subject}
        return text.format(**names)


def position(facts: Facts, turn: Turn) -> Stage | None:
    """The first stage whose goal is not reached; None where the mesh is through."""
    return next((stage for stage in order(turn.leaving.root, facts.at) if stage.left(facts, turn)), None)


def order(leaving: Certificate, at: datetime) -> tuple[Stage, ...]:
    """The stages in the order that leads away from a root: another one where it has ended."""
    return FROM_AN_ENDED_ROOT if leaving.not_after <= at else STAGES


def tainted(facts: Facts, root: Certificate) -> bool:
    """Whether a spire-server has been told to get away from a root, or did already: from then on there is one way."""
    return any(server.tainted(root) or not server.trusts(root) for server in facts.spire)


def in_reach(facts: Facts, turn: Turn) -> Left:
    """The servers whose old slot does not lie under the root that is left, though they trust it: it cannot be tainted.

    None where that root has ended: SPIRE mints nothing under it that would bring it back into reach.
    """
    if turn.leaving.ended(facts.at):
        return ()
    return tuple(
        f"{one.name}: its old CA is not of {turn.leaving}" for one in facts.spire if one.out_of_reach(turn.leaving)
    )


def stays(facts: Facts, turn: Turn) -> bool:
    """Whether SPIRE keeps the root that is left until it prunes it by itself, a day after its end: none may taint it.

    Nobody accepts anything under it by then (pkg/server/ca/manager at v1.15.3, safetyThresholdBundle).
    """
    leaving = turn.leaving
    return leaving.ended(facts.at) and bool(facts.spire) and all(one.out_of_reach(leaving) for one in facts.spire)


def istiod_trusts(facts: Facts, turn: Turn) -> Left:
    """Where istiod's trust is kept without the root that is entered, or with a stranger's, and who has not loaded it.

    A replica that lags writes its own bundle over what another one wrote, so that what is kept tells nothing of it.
    """
    entering = turn.entering.root
    unloaded = (one for one in facts.istiod if one.sent and entering.sha256 not in one.sent)
    return (
        *_lacking(facts.istio, entering),
        *_stray(facts.istio, turn),
        *(f"{one.name} has not loaded {entering.subject}" for one in unloaded),
    )


def prepared(facts: Facts, turn: Turn) -> Left:
    """Which servers have no CA under the root that is entered, and whether the alias issuer signs with it."""
    retargeted = (
        ()
        if facts.alias == turn.entering.number
        else (f"the alias issuer signs with another root than {turn.entering}",)
    )
    unready = (one for one in facts.spire if not (one.has_ca_under(turn.entering) and one.trusts(turn.entering.root)))
    return (*retargeted, *facts.absent, *(f"{one.name}: no CA under {turn.entering}" for one in unready))


def everybody_trusts(facts: Facts, turn: Turn) -> Left:
    """SPIRE's verifiers of the root that is left too, where it has to sign under that once more to taint it."""
    entering, again = turn.entering.root, bool(in_reach(facts, turn))
    spires = (
        left
        for root in (entering, turn.leaving.root)[: 1 + again]
        for left in (*_unread_or_lacking(facts.envoys, root), *_lacking(facts.published, root))
    )
    return (*_lacking(facts.istio, entering), *dict.fromkeys(spires))


def signs(facts: Facts, turn: Turn) -> Left:
    """Which servers sign under another root than the one entered, or hold the other where no taint can reach it."""
    elsewhere = (one for one in facts.spire if not one.signs_under(turn.entering))
    return (
        *facts.absent,
        *(f"{one.name}: its active CA is not under {turn.entering}" for one in elsewhere),
        *in_reach(facts, turn),
    )


def issued(facts: Facts, turn: Turn) -> Left:
    """Which servers sign under another root than the one that is entered, and which leaves are not of their CAs."""
    unmoved = (
        f"{one.name}: {one.why or 'its leaf is not of the CA that SPIRE signs with'}" for one in behind(facts, turn)
    )
    return (*signs(facts, turn), *unmoved)


def behind(facts: Facts, turn: Turn) -> tuple[Envoy, ...]:
    """The Envoys whose leaf is not of an active CA of SPIRE's below the root that is entered.

    A leaf of an older CA below that root would do for its peers, but SPIRE lists that CA no more, so that nobody can
    tell it from a stranger's.
    """
    signing = {one.slots.active.authority_id for one in facts.spire if one.slots.active}
    root = turn.entering.root.sha256
    return tuple(one for one in facts.envoys if one.root != root or one.leaf is None or one.leaf.aki not in signing)


def followers(facts: Facts, turn: Turn) -> tuple[Envoy, ...]:
    """The Envoys that are through: a leaf of a CA that SPIRE signs with, and the root that is entered trusted alone."""
    entered, unmoved = frozenset({turn.entering.root.sha256}), behind(facts, turn)
    return tuple(one for one in facts.envoys if one.anchors == entered and one not in unmoved)


def untainted(facts: Facts, turn: Turn) -> Left:
    """Whether the root that is left is tainted, and what that has to chase away: spire-server's own chain, and leaves.

    Nothing may be minted before the taint: it would overwrite the slot by which alone a root can be tainted.
    """
    entering = turn.entering.root
    return (
        *chased(facts, turn),
        *_served_elsewhere(facts.spire_serving, entering),
        *_elsewhere(facts.envoys, entering),
    )


def istiod_serves(facts: Facts, turn: Turn) -> Left:
    """Whether istiod's CA lies under the root that is entered, and which replicas serve another chain."""
    entering = turn.entering.root.sha256
    renewed = () if facts.cacerts == entering else (f"cacerts is not under {turn.entering}",)
    return (*renewed, *_served_elsewhere(facts.istiod, turn.entering.root))


def moved(facts: Facts, turn: Turn) -> Left:
    """Whatever still lies under the root that is left, or under none of the two."""
    entering = turn.entering.root
    return (*_elsewhere(facts.envoys, entering), *_served_elsewhere(facts.istiod, entering))


def chased(facts: Facts, turn: Turn) -> Left:
    """Which servers hold the root that is left, without the mark that it is one to get away from."""
    leaving = turn.leaving.root
    untold = (one for one in facts.spire if one.trusts(leaving) and not one.tainted(leaving) and not stays(facts, turn))
    return (*facts.absent, *(f"{one.name}: {turn.leaving} is not tainted" for one in untold))


def dropped(facts: Facts, turn: Turn) -> Left:
    """Which servers hold the root that is left."""
    holding = (one for one in facts.spire if one.trusts(turn.leaving.root) and not stays(facts, turn))
    return (*facts.absent, *(f"{one.name}: its bundle holds {turn.leaving}" for one in holding))


def late(facts: Facts, turn: Turn, question: Callable[[Facts, Turn], Left]) -> Left:
    """The names of the Envoys for which a question has something left."""
    others = {*question(replace(facts, envoys=()), turn)}
    return tuple(one.name for one in facts.envoys if {*question(replace(facts, envoys=(one,)), turn)} - others)


def unlisted(facts: Facts) -> tuple[Server, ...]:
    """The spire-servers that serve under a CA which SPIRE lists no more: nobody can tell it from a stranger's.

    A CA falls out of the list when a server signs twice more; its own certificate would stay for half of its life.
    """
    slots = (slot for one in facts.spire for slot in (one.slots.active, one.slots.prepared, one.slots.old))
    listed = {slot.authority_id for slot in slots if slot}
    return tuple(one for one in facts.spire_serving if one.root and one.issuer not in listed)


def expired(facts: Facts, turn: Turn) -> tuple[Server, ...]:
    """The spire-servers whose own certificate no agent accepts, as it ended with the root that is left."""
    if not turn.leaving.ended(facts.at):
        return ()
    return tuple(one for one in facts.spire_serving if one.issuer and one.root != turn.entering.root.sha256)


def clear(facts: Facts, turn: Turn) -> Left:
    """Which servers hold the root that is left, or serve under a CA that is gone."""
    gone = (f"{one.name}: serves under a CA that SPIRE lists no more" for one in unlisted(facts))
    return (*dropped(facts, turn), *gone)


def forgotten_by_spire(facts: Facts, turn: Turn) -> Left:
    """Who of SPIRE and the Envoys that it serves still trusts the root that is left."""
    leaving = turn.leaving.root
    asked = (*_served_elsewhere(facts.spire_serving, turn.entering.root), *clear(facts, turn))
    if stays(facts, turn):
        return asked
    return (
        *asked,
        *_holding(facts.published, leaving),
        *(f"{one.name}: Envoy trusts {turn.leaving}" for one in facts.envoys if _holds(one, leaving)),
    )


def forgotten(facts: Facts, turn: Turn) -> Left:
    """Where istiod's trust is kept with the root that is left, and who has it loaded."""
    leaving = turn.leaving.root
    loaded = (one for one in facts.istiod if leaving.sha256 in one.sent)
    return (*_holding(facts.istio, leaving), *(f"{one.name} has {leaving.subject} loaded" for one in loaded))


def _lacking(keepers: tuple[Keeper, ...], root: Certificate) -> Left:
    return tuple(_unkept(one, root) for one in keepers if one.anchors is None or root.sha256 not in one.anchors)


def _unkept(keeper: Keeper, root: Certificate) -> str:
    return f"{keeper.name}: {keeper.why}" if keeper.anchors is None else f"{keeper.name} lacks {root.subject}"


def _stray(keepers: tuple[Keeper, ...], turn: Turn) -> Iterator[str]:
    known = {turn.leaving.root.sha256, turn.entering.root.sha256}
    return (f"{one.name} holds a root of somebody else" for one in keepers if one.anchors and one.anchors - known)


def _holding(keepers: tuple[Keeper, ...], root: Certificate) -> Left:
    return tuple(
        _unkept(one, root) if one.anchors is None else f"{one.name} holds {root.subject}"
        for one in keepers
        if one.anchors is None or root.sha256 in one.anchors
    )


def _unread_or_lacking(envoys: tuple[Envoy, ...], root: Certificate) -> Left:
    return tuple(
        f"{one.name}: {one.why or 'Envoy has no bundle'}" if one.anchors is None else f"{one.name} lacks {root.subject}"
        for one in envoys
        if one.anchors is None or root.sha256 not in one.anchors
    )


def _elsewhere(envoys: tuple[Envoy, ...], root: Certificate) -> Left:
    return tuple(
        f"{one.name}: {one.why or 'its leaf is not under ' + root.subject}" for one in envoys if one.root != root.sha256
    )


def _served_elsewhere(servers: tuple[Server, ...], root: Certificate) -> Left:
    return tuple(
        f"{one.name}: {one.why or 'serves a chain that is not under ' + root.subject}"
        for one in servers
        if one.root != root.sha256
    )


def _holds(envoy: Envoy, root: Certificate) -> bool:
    return envoy.anchors is None or root.sha256 in envoy.anchors


NEW_ROOT = "new-root"
TRUST_ISTIOD, PREPARE, TRUST, ACTIVATE = "trust-istiod", "prepare", "trust", "activate"
ISTIOD_CA, MOVED, TAINT, FORGET = "istiod-ca", "moved", "taint", "forget"

STAGES = (
    Stage(
        TRUST_ISTIOD,
        "istiod, its webhooks and every namespace trust {entering} too",
        "it is taken out of istiod's bundle again",
        istiod_trusts,
    ),
    Stage(
        PREPARE,
        "SPIRE prepares a CA under {entering}, and its bundle holds that root",
        "the alias issuer goes back, and SPIRE signs under {entering} once, so that it can be tainted",
        prepared,
    ),
    Stage(TRUST, "every verifier there is holds {entering} too", "as of prepare", everybody_trusts),
    Stage(
        ACTIVATE,
        "SPIRE signs under {entering}, and every workload's leaf moves there",
        "SPIRE prepares and activates a CA under {leaving} again: everybody trusts both",
        issued,
    ),
    Stage(
        ISTIOD_CA,
        "cacerts is renewed under {entering}, and every istiod serves it",
        "cacerts is renewed under {leaving} again: everybody trusts both",
        istiod_serves,
    ),
    Stage(MOVED, "nothing lies under {leaving} any more", "as of istiod-ca", moved),
    Stage(TAINT, "SPIRE and every Envoy drop {leaving}", "none: from here on only forward", forgotten_by_spire),
    Stage(FORGET, "istiod, its webhooks and every namespace drop {leaving}", "none: run it again", forgotten),
)
NAMES = (NEW_ROOT, *(stage.name for stage in STAGES))
_BY_NAME = {stage.name: stage for stage in STAGES}
# istiod loads no bundle beside a CA of its own that has ended, and agents ask no server that serves under one: what is
# issued under the root that is entered comes first, and who trusts that follows from it
FROM_AN_ENDED_ROOT = tuple(
    replace(_BY_NAME[name], way_back="none: {leaving} has ended")
    for name in (PREPARE, ISTIOD_CA, TRUST_ISTIOD, ACTIVATE, TRUST, MOVED, TAINT, FORGET)
)
