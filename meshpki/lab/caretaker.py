"""What a running lab needs of its owner: serving certificates approved, released volumes cleaned."""

import os
import select
import shutil
import subprocess
import time
from contextlib import suppress

from meshpki.errors import LabError
from meshpki.lab import child, serving, storage
from meshpki.lab.cluster import Cluster

LISTEN_SECONDS = 5.0
ROUND_SECONDS = 30.0
RESTART_PAUSE = 1.0


def look_after(cluster: Cluster) -> None:
    """Tend the cluster when a request comes in, and every half minute; raises LabError MPK-522 when a node ends."""
    watch, due = _watch(cluster), 0.0
    while cluster.nodes.alive():
        if _news(watch) or time.monotonic() > due:
            due = 0.0
            with suppress(LabError):  # the API server may be away for a while: soon again
                tend(cluster)
                due = time.monotonic() + ROUND_SECONDS
        if watch.poll() is not None:
            time.sleep(RESTART_PAUSE)
            watch = _watch(cluster)
    raise LabError("MPK-522", "a node has ended", remedy="run `meshpki lab up`: it starts the lab again")


def tend(cluster: Cluster) -> None:
    """Approve what may be approved and make released volumes empty and free; raises LabError MPK-520."""
    serving.approve(cluster.kubectl, cluster.by_name)
    for name in storage.released(cluster.kubectl.get("persistentvolumes")["items"]):
        directory = cluster.file(cluster.wish.topology.first.name, f"{storage.DIRECTORY}/{name}")
        shutil.rmtree(directory)
        directory.mkdir()
        cluster.kubectl.run("patch", "persistentvolume", name, "--type=json", "--patch", storage.FORGET_CLAIM)


def _watch(cluster: Cluster) -> subprocess.Popen[bytes]:
    argv = cluster.kubectl.argv("get", "certificatesigningrequests", "--watch-only", "--output", "name")
    return child.listen(argv, cluster.home.log("watch"))


def _news(watch: subprocess.Popen[bytes]) -> bool:
    """Whether a request came in within the time; also False when the watch has ended."""
    if watch.stdout is None:
        return False
    heard, _, _ = select.select([watch.stdout], [], [], LISTEN_SECONDS)
    return bool(heard and os.read(watch.stdout.fileno(), 65536))
