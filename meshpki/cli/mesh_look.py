"""What `graph` and `report` begin with: one look at the mesh, as verify takes it, and where the drawing goes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.cluster.kubernetes import KubernetesCluster
    from meshpki.verify import Report

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it to a file instead of stdout.")]


@dataclass(frozen=True)
class Wanted:
    """What to look at, and against which root."""

    namespace: str = ""
    everywhere: bool = False
    selector: str = ""
    root_fingerprints: tuple[str, ...] = ()
    authorities: bool = False
    strict: bool = False
    context: str = ""
    kubeconfig: Path | None = None
    files: tuple[Path, ...] = ()


def look(wanted: Wanted) -> "tuple[KubernetesCluster, Report]":
    """The cluster and what verify finds there now; raises UsageError (MPK-356), and what verify raises."""
    if wanted.namespace and wanted.everywhere:
        raise UsageError("MPK-356", "-n and -A exclude each other", remedy="leave one of them out")
    from meshpki.cli.counting import counting
    from meshpki.cli.session import SystemClock, open_cluster, settings_of
    from meshpki.settings import read
    from meshpki.verify import Requirements, Scope, verify

    if wanted.files:
        read(wanted.files)  # wrong files are told before a cluster is asked
    cluster = open_cluster(wanted.context, wanted.kubeconfig)
    settings = settings_of(cluster, wanted.files)
    scope = Scope(wanted.namespace, wanted.selector)
    with counting() as progress:
        report = verify(
            cluster,
            settings,
            SystemClock().now(),
            scope,
            Requirements(wanted.root_fingerprints, wanted.authorities, wanted.strict),
            progress=progress,
            now=SystemClock().now,
        )
    return cluster, report
