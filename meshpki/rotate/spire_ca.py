"""SPIRE's own CA rotated under the same root: what is seen, what is refused, and from which CA each server begins."""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object
from meshpki.components.spire_authorities import server_config, server_set, too_old
from meshpki.components.trust import Pin, pinned
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.pki.certificate import Certificate
from meshpki.rotate import mark, scan
from meshpki.rotate.facts import SpireServer
from meshpki.rotate.issuer import hidden_change, signing_root
from meshpki.rotate.mark import Mark
from meshpki.rotate.svids import Moving, moving
from meshpki.settings import Settings
from meshpki.settings.durations import moment
from meshpki.words import first_of

_IN_MEMORY = re.compile(r'\bKeyManager\s+"memory"')
_NAMED = 3
_LASTING = ("persistentVolumeClaim", "hostPath")


@dataclass(frozen=True)
class Server(SpireServer):
    """One spire-server, and the rotation of its CA that it has not finished."""

    begun: Mark | None = None


@dataclass(frozen=True)
class Facts:
    """What is seen before anything is written; `config` is the server's configuration in HCL."""

    workload: Object
    config: str
    servers: tuple[Server, ...]
    pin: Pin
    signing: Certificate | None
    moving: Moving = field(default_factory=Moving)


@dataclass(frozen=True)
class Rotation:
    """From which CA on, by spire-server; whether servers and agents are restarted, and whether all is waited for."""

    settings: Settings
    pin: Pin
    start: dict[str, Mark]
    _: KW_ONLY
    resumed: frozenset[str] = frozenset()
    restart_agents: bool = False
    wait: bool = False

    @property
    def compromised(self) -> bool:
        """Whether a key is known to somebody else."""
        return any(one.compromised for one in self.start.values())


def mark_key(server: str) -> str:
    """The annotation of the StatefulSet that says from where one of its pods is being rotated."""
    return f"rotate.meshpki.dev/from-{server}"


def look(reader: Reader, settings: Settings) -> Facts:
    """What the cluster and each spire-server say; raises PreconditionError (MPK-400), and as `slots` does."""
    ref, pin = server_set(settings), pinned(reader)
    live = reader.get(ref)
    found = scan.spire(reader, settings) if live and pin else ()
    if live is None or pin is None or not found:
        missing = "no root is pinned" if pin is None else f"{ref} is not there, or has no pod"
        raise PreconditionError("MPK-400", f"there is nothing to rotate: {missing}", remedy="meshpki up")
    config = reader.get(server_config(settings)) or {}
    seen = tuple(Server(one.pod, one.slots, one.bundle, mark.read(live, mark_key(one.name))) for one in found)
    text = str(config.get("data", {}).get("server.conf", ""))
    active = frozenset(one.slots.active.authority_id for one in seen if one.slots.active)
    return Facts(live, text, seen, pin, signing_root(reader, settings), moving(reader, settings, active))


def intended(
    facts: Facts, settings: Settings, *, compromised: bool = False, restart_agents: bool = False, wait: bool = False
) -> Rotation:
    """What to do, from what is seen: a server that has begun goes on, any other begins from its CA of now."""
    resumed = frozenset(one.name for one in facts.servers if _goes_on(one, compromised=compromised))
    start = {one.name: _start(one, resumed, compromised=compromised) for one in facts.servers}
    hurried = restart_agents or compromised
    return Rotation(settings, facts.pin, start, resumed=resumed, restart_agents=hurried, wait=wait or hurried)


def _goes_on(server: Server, *, compromised: bool) -> bool:
    begun, held = server.begun, (server.slots.active, server.slots.old)
    if begun is None or begun.compromised < compromised:
        return False
    return begun.name in {one.authority_id for one in held if one}


def _start(server: Server, resumed: frozenset[str], *, compromised: bool) -> Mark:
    """A CA that is prepared was made by the same server: where one key is known, so may be the other."""
    if server.begun and server.name in resumed:
        return server.begun
    active, prepared = server.slots.active, server.slots.prepared
    if active is None:
        raise PreconditionError(
            "MPK-423", f"{server.name} signs with no CA yet", remedy="meshpki up, which waits for it"
        )
    ends = [one.expires for one in (active, prepared) if one and (one is active or compromised)]
    return Mark(active.authority_id, max(ends), compromised=compromised)


def refusals(facts: Facts, rotation: Rotation) -> tuple[MeshpkiError, ...]:
    """Every reason not to begin; nothing was written. What was begun goes on, and a lost key waits for nothing."""
    checks = [_two_roots, _root_changed, _too_old, _forgets]
    if not (rotation.resumed or rotation.compromised):
        checks.append(_not_through)
    return tuple(error for check in checks for error in check(facts))


def _not_through(facts: Facts) -> Iterator[MeshpkiError]:
    """SPIRE knows three CAs at most: whose certificate is from a fourth is taken for somebody else's."""
    staying, until = facts.moving.staying, facts.moving.until
    if staying and until:
        names = brief(sorted(staying))
        what = f"the last change of SPIRE's CA is not through: {names} hold certificates of the CA before"
        remedy = f"by {moment(until)} all have moved by themselves; or restart spire-server and its agents now"
        yield PreconditionError("MPK-425", what, remedy=remedy)


def brief(names: list[str]) -> str:
    """The first of many names."""
    return first_of(names, _NAMED)


def _two_roots(facts: Facts) -> Iterator[MeshpkiError]:
    if len(facts.pin.roots) > 1:
        what = (
            f"{len(facts.pin.roots)} roots are pinned: a rotation of the root is under way, and changes this CA itself"
        )
        yield PreconditionError("MPK-401", what, remedy="finish it: meshpki rotate root; or go back: --abort")


def _root_changed(facts: Facts) -> Iterator[MeshpkiError]:
    """Of a server that went on by itself to another root, its own word counts, not the certificate."""
    remedy = "find out who changed the root; to change it on purpose: meshpki rotate root"
    if len(facts.pin.roots) > 1:
        return
    why = hidden_change(facts.signing, facts.pin, None)
    if why:
        yield PreconditionError("MPK-403", f"this would change the root unseen: {why}", remedy=remedy)
    for one in facts.servers:
        renewed = bool(facts.pin.chain)  # by its owner, and this server does not know yet
        if one.slots.active and not renewed and one.slots.active.upstream != facts.pin.signer.ski:
            what = f"{one.name} signs under the root {one.slots.active.upstream}, and {facts.pin.signer.ski} is pinned"
            yield PreconditionError("MPK-403", what, remedy=remedy)
        roots = {each.root.sha256 for each in one.bundle}
        if roots != facts.pin.fingerprints:
            what = f"the bundle of {one.name} holds {len(roots)} roots, and not the pinned one alone"
            yield PreconditionError("MPK-403", what, remedy="look with `meshpki verify`")


def _too_old(facts: Facts) -> Iterator[MeshpkiError]:
    for one in facts.servers:
        if version := too_old(one.pod):
            what = f"{one.name} is SPIRE {version}, which cannot be asked for another CA"
            yield PreconditionError("MPK-421", what, remedy="upgrade to 1.11 or newer, or wait for its own clock")


def _forgets(facts: Facts) -> Iterator[MeshpkiError]:
    """A server that keeps nothing mints and activates at each start: a rotation would be undone by the next."""
    spec = facts.workload.get("spec", {})
    volumes = spec.get("template", {}).get("spec", {}).get("volumes") or []
    lasting = bool(spec.get("volumeClaimTemplates")) or any(kind in one for one in volumes for kind in _LASTING)
    kept_in = (
        "in memory" if _IN_MEMORY.search(facts.config) else "" if lasting else "on no volume that outlives its pod"
    )
    if kept_in:
        what = f"spire-server keeps its keys {kept_in}: each start of it makes another CA, and uses it at once"
        remedy = "restart it instead, or give it KeyManager disk and a volume first"
        yield PreconditionError("MPK-421", what, remedy=remedy)
