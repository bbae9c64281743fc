"""The probe beside a root rotation: it runs before the first stage, counts meanwhile, and is gone afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from meshpki.cli import output
from meshpki.cli.board import Board
from meshpki.cli.root_wish import Wish
from meshpki.cluster.client import Clock, Cluster
from meshpki.cluster.manifest import Query
from meshpki.components import probe
from meshpki.components.spire import schedulable
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.probing import Probe
from meshpki.rotate.evidence import Evidence
from meshpki.settings import Settings
from meshpki.workflow.step import Step

# Carries steps out and shows them; the board tells what their gates saw.
Follow = Callable[[Sequence[Step]], Board]


@contextmanager
def probed(cluster: Cluster, settings: Settings, wish: Wish, clock: Clock, follow: Follow) -> Iterator[Evidence | None]:
    """While open, requests are sent and counted; the probe is gone again afterwards, however it ends.

    None where none is wished for. Raises what keeps it from starting (MPK-450 and higher); that it does not go is told.
    """
    if not wish.probe:
        yield None
        return
    nodes = sorted(schedulable(cluster.list(Query("v1", "Node"))))
    if not nodes:
        what = "no node takes a pod: all are cordoned, or not ready"
        raise PreconditionError("MPK-450", what, remedy="uncordon one, or go without: --no-probe")
    if "deletionTimestamp" in (cluster.get(probe.NAMESPACE_REF) or {"metadata": {}})["metadata"]:
        probe.remove(cluster, clock)  # an earlier run's, on its way out: nothing may be put into it
    try:
        control = follow((probe.probe(settings, nodes, wish.target),)).lines[probe.STEP].said.get("control", "")
        with Probe(cluster, clock, nodes, wish.target) as book:
            evidence = Evidence(cluster, book, control)
            try:
                yield evidence
            except MeshpkiError:
                evidence.conclude()
                raise
            except (KeyboardInterrupt, SystemExit):
                evidence.cut_off()
                raise
            evidence.conclude()
    except BaseException:
        _let_go(cluster)
        raise
    try:
        probe.remove(cluster, clock)
    except MeshpkiError as left:
        output.failure(left)  # of a rotation that is through


def _let_go(cluster: Cluster) -> None:
    """Delete it, and wait for no end: what ended the run is worth more, also than why it cannot be deleted."""
    try:
        cluster.delete(probe.NAMESPACE_REF)
    except MeshpkiError as left:
        output.failure(left)
