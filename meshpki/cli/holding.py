"""The Lease as commands hold it: around what they change, given up however they end."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from meshpki.cli import output
from meshpki.cli.session import SystemClock
from meshpki.cluster.client import Cluster, Reader
from meshpki.components.trust import PIN
from meshpki.errors import PreconditionError
from meshpki.install import WISH
from meshpki.lease.holder import this_run
from meshpki.lease.lease import Lease
from meshpki.lease.leased import Leased


@dataclass(frozen=True)
class MeshState:
    """What every run is planned on: resourceVersions of the pin and of the kept settings, empty where there is none."""

    pin: str
    wish: str


def mesh_state(reader: Reader) -> MeshState:
    """To be asked before anything else is read of the mesh."""
    pin, wish = (((reader.metadata(ref) or {}).get("metadata") or {}).get("resourceVersion", "") for ref in (PIN, WISH))
    return MeshState(pin, wish)


@contextmanager
def one_run(cluster: Cluster, before: MeshState, *, at_once: bool = True) -> Iterator[Cluster]:
    """The cluster under the Lease, which is taken now, or before the first write where that may never come.

    Raises LeaseError (MPK-230) while another run lives, PreconditionError (MPK-232) where one has changed the mesh
    since `before`, and LeaseLostError (MPK-231) once this run holds the Lease no more.
    """

    def unchanged() -> None:
        if mesh_state(cluster) != before:
            what = "another run changed the mesh while this one was being prepared"
            raise PreconditionError("MPK-232", what, remedy="run the same command again: it looks anew")

    command = shlex.join(["meshpki", *sys.argv[1:]])
    lease = Lease(cluster, this_run(command), SystemClock(), told=_tell, unchanged=unchanged)
    try:
        if at_once:
            lease.take()
        yield Leased(cluster, lease)
    finally:
        lease.release()


def _tell(text: str) -> None:
    output.progress(output.plain(f"warning: {text}"))
