"""SPIRE's part of a root rotation: which CA its servers sign with, and which roots their bundles hold.

Each act looks at a server's slots first and writes what is missing. SPIRE learns a root only when it mints, from
whatever the alias issuer answers with at that moment (pkg/server/plugin/upstreamauthority/certmanager at v1.15.3).
"""

import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta

from meshpki.cluster.client import Cluster
from meshpki.cluster.manifest import Object
from meshpki.components import spire_authorities
from meshpki.components.spire_authorities import Authority
from meshpki.errors import StepError
from meshpki.rotate import acts, scan
from meshpki.rotate.facts import Generation, SpireServer, Turn
from meshpki.rotate.patience import Patience
from meshpki.settings import Settings

_NODE_WITHIN = timedelta(minutes=2)
_LOOK = timedelta(seconds=1)


def prepare(cluster: Cluster, settings: Settings, turn: Turn, patience: Patience) -> None:
    """Point the alias issuer at the root that is entered, and at once have every server prepare a CA under it."""
    servers = _asked(cluster, settings)
    _never_from_tainted(servers, turn.entering)
    acts.retarget(cluster, settings, turn.entering.number)
    for server in servers:
        if not patience.stopped and not server.has_ca_under(turn.entering):
            _minted(cluster, server.pod, turn.entering)


def activate(cluster: Cluster, settings: Settings, turn: Turn, patience: Patience) -> None:
    """Have every server sign under the root that is entered, one after the other.

    One that is left and has ended is tainted at once: that moves the server's own certificate, which no agent accepts
    any more, and a server that starts again loads no slot by which it could be tainted where its CA has ended too
    (SPIRE v1.15.3, pkg/server/ca/manager/slot.go).
    """
    servers = _asked(cluster, settings)
    _never_from_tainted(servers, turn.entering)
    for server in servers:
        if not patience.stopped and not server.signs_under(turn.entering):
            _sign_under(cluster, settings, server, turn.entering)
    if turn.leaving.ended(patience.clock.now()):
        if any(server.taintable(turn.leaving) for server in _asked(cluster, settings)):
            taint(cluster, settings, turn, patience)
        return
    for server in _asked(cluster, settings):
        if not patience.stopped and server.out_of_reach(turn.leaving):
            _bring_into_reach(cluster, settings, server, turn)


def _sign_under(cluster: Cluster, settings: Settings, server: SpireServer, generation: Generation) -> None:
    acts.retarget(cluster, settings, generation.number)
    ready = server.slots.prepared
    if ready is None or ready.upstream != generation.ski:
        ready = _minted(cluster, server.pod, generation)
    spire_authorities.activate(cluster, server.pod, ready.authority_id)


def restart_agents(
    cluster: Cluster, settings: Settings, nodes: Sequence[str], behind: Callable[[], list[str]], patience: Patience
) -> None:
    """Replace the agents of these nodes, one after the other: a new agent asks for new SVIDs at once.

    The next node's turn comes when this one is `behind` no more; the gate waits for a node that stays so.
    """
    for node in nodes:
        if patience.stopped:
            return
        acts.restart_agent(cluster, settings, node, patience)
        with contextlib.suppress(StepError):
            patience.until(lambda: node not in behind(), _NODE_WITHIN, f"node {node}", _LOOK)  # noqa: B023 - asked here


def restart_servers(cluster: Cluster, settings: Settings, names: Callable[[], list[str]], patience: Patience) -> None:
    """Replace these servers, one after the other: each takes a new certificate of its own."""
    for name in names():
        if patience.stopped:
            return
        acts.restart_server(cluster, settings, name, patience)


def taint(cluster: Cluster, settings: Settings, turn: Turn, patience: Patience) -> None:
    """Mark the root that is left as one to get away from; once, since the servers share it."""
    servers = _asked(cluster, settings)
    if patience.stopped or any(server.tainted(turn.leaving.root) for server in servers):
        return
    able = next((server for server in servers if server.taintable(turn.leaving)), servers[0])
    spire_authorities.taint(cluster, able.pod, turn.leaving.ski)


def drop(cluster: Cluster, settings: Settings, turn: Turn, patience: Patience) -> None:
    """Have every server mint once more: whoever learns roots without a tainted one takes that out of the bundle.

    Not `upstreamauthority revoke`, which leaves it in the ConfigMap from which agents bootstrap.
    """
    acts.retarget(cluster, settings, turn.entering.number)
    for server in _asked(cluster, settings):
        if not patience.stopped and server.trusts(turn.leaving.root):
            _minted(cluster, server.pod, turn.entering)


def _bring_into_reach(cluster: Cluster, settings: Settings, server: SpireServer, turn: Turn) -> None:
    """Sign under the root that is left once more, so that the old slot is its: only then can it be tainted.

    Everybody trusts both roots at this stage. The alias issuer is back at the root that is entered in the end.
    """
    for generation in (turn.leaving, turn.entering):
        acts.retarget(cluster, settings, generation.number)
        minted = _minted(cluster, server.pod, generation)
        spire_authorities.activate(cluster, server.pod, minted.authority_id)


def _minted(cluster: Cluster, pod: Object, generation: Generation) -> Authority:
    """A CA under this root; raises StepError (MPK-442) where the upstream authority answered with another root's."""
    made = spire_authorities.prepare(cluster, pod)
    if made.upstream != generation.ski:
        what = f"SPIRE prepared a CA under {made.upstream}, expected {generation} ({generation.ski})"
        raise StepError("MPK-442", what, where=str(pod["metadata"]["name"]), remedy="run the same command again")
    return made


def _asked(cluster: Cluster, settings: Settings) -> tuple[SpireServer, ...]:
    servers = scan.spire(cluster, settings)
    if not servers:
        raise StepError("MPK-441", "there is no pod of spire-server", remedy="bring SPIRE up again: meshpki up")
    return servers


def _never_from_tainted(servers: tuple[SpireServer, ...], generation: Generation) -> None:
    """A CA from a tainted root puts an untainted twin beside it, and then neither can ever be removed."""
    if any(server.tainted(generation.root) for server in servers):
        what = f"{generation} is tainted: nothing may be issued under it any more"
        raise StepError(
            "MPK-436", what, where="spire-server", remedy="there is only the other way: meshpki rotate root"
        )
