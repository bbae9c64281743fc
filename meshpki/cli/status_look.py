"""What `status` and `step status` begin with: one look at the steps and the CAs, quick and without a write."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from meshpki import artifacts
from meshpki.artifacts import Releases
from meshpki.cli.session import open_cluster, settings_of
from meshpki.errors import PreconditionError
from meshpki.settings import Settings, read
from meshpki.status import StatusReport, look


def looker(
    context: str, kubeconfig: Path | None, files: list[Path] | None, artifact_dir: Path | None
) -> Callable[[], StatusReport]:
    """What looks at the cluster whenever it is called; raises as `open_cluster` and `read`, before any look."""
    if files:
        read(files)  # wrong files are told before a cluster is asked
    cluster = open_cluster(context, kubeconfig)
    settings = settings_of(cluster, files or [])
    releases = at_hand(settings, artifact_dir)
    return lambda: look(cluster, settings, releases, datetime.now(UTC))


def at_hand(settings: Settings, folder: Path | None) -> Releases:
    """Upstream's release files where they are here already; those of a folder that was named have to be."""
    try:
        return artifacts.obtain(settings, folder, download=False)
    except PreconditionError:
        if folder:
            raise
        return artifacts.NONE
