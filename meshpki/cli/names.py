"""Names that a command line may go on with: of the kubeconfig, of the cluster, and of meshpki itself.

Names of a cluster are data. One that has another character than a name needs is left out whole: a shell would read it.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshpki.cluster.kubernetes import KubernetesCluster

LIMIT = "MESHPKI_COMPLETION_SECONDS"
_BEGAN = time.monotonic()
_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,252}")


@dataclass(frozen=True)
class Wanted:
    """What the line names so far: context, kubeconfig, namespace."""

    context: str = ""
    kubeconfig: Path | None = None
    namespace: str = ""


Source = Callable[[Wanted], Iterable[str]]


def harmless(found: Iterable[str]) -> list[str]:
    """The names that no shell and no terminal reads anything into; each once, in order."""
    return sorted({name for name in found if _HARMLESS.fullmatch(name)})


def in_time(look: Callable[[], Iterable[str]]) -> Sequence[str]:
    """What a look finds before the time is up that all of them have together, else nothing; it raises nothing."""
    found: list[str] = []

    def take() -> None:
        try:
            names = list(look())
        except Exception:  # noqa: BLE001 - whatever it is, somebody is typing
            return
        found.extend(names)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(max(0.0, _seconds() - (time.monotonic() - _BEGAN)))
    return [] if thread.is_alive() else found


def none(_wanted: Wanted) -> Iterable[str]:
    """Nothing that meshpki knows."""
    return ()


def contexts(wanted: Wanted) -> Iterable[str]:
    """The contexts of the kubeconfig; no cluster is asked."""
    from meshpki.cluster.kubeconfig import contexts as known

    return known(wanted.kubeconfig)


def namespaces(wanted: Wanted) -> Iterable[str]:
    """The namespaces of the cluster."""
    from meshpki.cluster.manifest import Query

    return (one["metadata"]["name"] for one in _cluster(wanted).scan(Query("v1", "Namespace")))


def workloads(wanted: Wanted) -> Iterable[str]:
    """The workloads of the mesh."""
    from meshpki.cluster.manifest import Query
    from meshpki.verify.pods import mesh_pods

    return (pod.workload.name for pod in mesh_pods(_cluster(wanted).scan(Query("v1", "Pod", wanted.namespace))))


def pods(wanted: Wanted) -> Iterable[str]:
    """The pods of the mesh."""
    from meshpki.cluster.manifest import Query
    from meshpki.verify.pods import mesh_pods

    return (pod.ref.name for pod in mesh_pods(_cluster(wanted).scan(Query("v1", "Pod", wanted.namespace))))


def retirable(wanted: Wanted) -> Iterable[str]:
    """The roots that the mesh has left."""
    from meshpki.cli.session import settings_of
    from meshpki.rotate.retire import retirable as left

    cluster = _cluster(wanted)
    return left(cluster, settings_of(cluster, ()))


def steps(_wanted: Wanted) -> Iterable[str]:
    """The steps of an installation."""
    from meshpki.install import EVERY

    return (row.name for row in EVERY)


def stages(_wanted: Wanted) -> Iterable[str]:
    """The stages of a root rotation."""
    from meshpki.rotate.goals import NAMES

    return NAMES


def codes(_wanted: Wanted) -> Iterable[str]:
    """The codes that `explain` knows."""
    from meshpki.codes import catalogue

    return catalogue()


OWN = (none, steps, stages, codes)  # known without asking anybody, however long the machine takes


def _cluster(wanted: Wanted) -> "KubernetesCluster":
    from meshpki.cli.session import open_cluster

    return open_cluster(wanted.context, wanted.kubeconfig)


def _seconds() -> float:
    """One, unless the environment says otherwise."""
    try:
        return float(os.environ.get(LIMIT, "1"))
    except ValueError:
        return 1.0
