"""The probe beside a root rotation: it runs before the first stage, counts meanwhile, and is gone afterwards."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from meshpki.cli import output
from meshpki.cli.board import Board
from meshpki.cli.root_wish import Wish
from meshpki.cluster.client import Clock, Cluster
from meshpki.cluster.manifest import Query
from meshpki.components import probe
from meshpki.components.spire import schedulable
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.probing import Probe
from meshpki.rotate.evidence import Evidence
from meshpki.settings import Settings
from meshpki.workflow.step import Step

# Carries steps out and shows them, each gate for so long at most; the board tells what their gates saw.
Follow = Callable[[Sequence[Step], timedelta | None], Board]

# A way back, one away from a lost key, and the only one left wait no longer for a proof; the probe starts in some ten
# seconds.
_AT_MOST = timedelta(minutes=2)
# How long the answer to its deletion is waited for after Ctrl-C.
_GO_WITHIN = timedelta(seconds=1)


@contextmanager
def probed(cluster: Cluster, settings: Settings, wish: Wish, clock: Clock, follow: Follow) -> Iterator[Evidence | None]:
    """While open, requests are sent and counted; the probe is gone again afterwards, however it ends.

    None where none is wished for, and where one does not start although there is no time to lose, which is told. Else
    raises what keeps it from starting (MPK-450 and higher).
    """
    begun = _begun(cluster, settings, wish, clock, follow) if wish.probe else None
    if begun is None:
        yield None
        return
    evidence, held = begun
    with held:
        try:
            yield evidence
        except MeshpkiError:
            evidence.conclude()
            raise
        except (KeyboardInterrupt, SystemExit):
            evidence.cut_off()
            raise
        evidence.conclude()


def _begun(
    cluster: Cluster, settings: Settings, wish: Wish, clock: Clock, follow: Follow
) -> tuple[Evidence, ExitStack] | None:
    """The evidence, and what ends its probe."""
    try:
        nodes = _nodes(cluster)
        step = probe.probe(settings, nodes, wish.target)
        probe.make_way(cluster, clock, settings, len(nodes))
        with ExitStack() as held:
            held.enter_context(_taken_away(cluster, clock))
            board = follow((step,), _AT_MOST if wish.pressing else None)
            book = held.enter_context(Probe(cluster, clock, nodes, wish.target))
            return Evidence(cluster, book, board.lines[probe.STEP].said.get("control", "")), held.pop_all()
    except UsageError:
        raise
    except MeshpkiError as error:
        if not wish.pressing:
            raise
        output.failure(error)
        output.progress(
            "going on without the probe, as nothing is gained by waiting: that no request fails is not proven"
        )
        return None


def _nodes(cluster: Cluster) -> list[str]:
    """Where it shall run; raises PreconditionError (MPK-450) where nothing can."""
    nodes = sorted(schedulable(cluster.list(Query("v1", "Node"))))
    if not nodes:
        what = "no node takes a pod: all are cordoned, or not ready"
        raise PreconditionError("MPK-450", what, remedy="uncordon one, or go without: --no-probe")
    return nodes


@contextmanager
def _taken_away(cluster: Cluster, clock: Clock) -> Iterator[None]:
    """Delete it afterwards, and wait for its end where nothing failed; what hinders that is worth less, and told."""
    try:
        yield
    except Exception:
        _told(lambda: probe.discard(cluster))
        raise
    except BaseException:
        # An API server that does not answer holds up no Ctrl-C.
        going = threading.Thread(target=_told, args=(lambda: probe.discard(cluster),), daemon=True)
        going.start()
        going.join(_GO_WITHIN.total_seconds())
        raise
    _told(lambda: probe.remove(cluster, clock))


def _told(act: Callable[[], object]) -> None:
    try:
        act()
    except MeshpkiError as left:
        output.failure(left)
