"""What most commands begin with: the cluster the user means, and the settings that hold for it."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from meshpki.settings import Settings, read

if TYPE_CHECKING:
    from meshpki.cluster.client import Reader
    from meshpki.cluster.kubernetes import KubernetesCluster


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """See Clock.now."""
        return datetime.now(UTC)

    def wait(self, event: threading.Event, at_most: timedelta) -> bool:
        """See Clock.wait."""
        return event.wait(at_most.total_seconds())


def open_cluster(
    context: str = "", kubeconfig: Path | None = None, *, force_conflicts: bool = False
) -> "KubernetesCluster":
    """Connect to the cluster that the options name; raises PreconditionError (MPK-101)."""
    from meshpki.cluster.kubernetes import connect

    return connect(context, kubeconfig, force_conflicts=force_conflicts)


def settings_of(cluster: "Reader", files: Sequence[Path], overlay: Sequence[Path] = ()) -> Settings:
    """The settings of the files; without any, those kept in the cluster by the last `up`, else the defaults.

    `overlay` (the lab's own) lies below the user's files, and above what is kept.
    """
    from meshpki.install import WISH, kept_wish

    kept = "" if files else kept_wish(cluster)
    return read([*overlay, *files], kept, str(WISH))
