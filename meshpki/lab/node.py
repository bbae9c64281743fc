"""The first process of a node: makes its root filesystem, then keeps containerd and the kubelet running.

Run as `python -m meshpki.lab.node HOME NAME NODE` by the supervisor, in namespaces of its own. When it ends, the
kernel ends everything in the node.
"""

import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from meshpki.lab import containerd, kubeadm, rootfs, spec
from meshpki.lab.home import Home

PAUSE = 0.1
RESTART_PAUSE = 1.0
KUBELET_CONFIG = Path("/var/lib/kubelet/config.yaml")
KUBELET_FLAGS = Path("/var/lib/kubelet/kubeadm-flags.env")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process that is started again whenever it ends, once `wanted` says that it can work."""

    name: str
    argv: Callable[[], list[str]]
    wanted: Callable[[], bool]


def kubelet_argv(flags: str) -> list[str]:
    """The kubelet's command line; `flags` is kubeadm-flags.env (KUBELET_KUBEADM_ARGS="...")."""
    assigned = dict(word.split("=", 1) for word in shlex.split(flags) if "=" in word)
    return [
        f"{rootfs.PROGRAMS}/kubelet",
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        f"--config={KUBELET_CONFIG}",
        *shlex.split(assigned.get("KUBELET_KUBEADM_ARGS", "")),
    ]


DAEMONS = (
    Daemon("containerd", lambda: ["/usr/bin/containerd", "--config", containerd.CONFIG], lambda: True),
    Daemon("kubelet", lambda: kubelet_argv(KUBELET_FLAGS.read_text()), KUBELET_CONFIG.exists),
)


def keep(daemons: tuple[Daemon, ...]) -> NoReturn:
    """Start what can work and is not running, and bury every dead process: orphans come to the first one."""
    running: dict[int, str] = {}
    while True:
        for daemon in daemons:
            if daemon.name not in running.values() and daemon.wanted():
                running[_start(daemon)] = daemon.name
        everything_runs = len(running) == len(daemons)
        buried, _ = os.waitpid(-1, 0 if everything_runs else os.WNOHANG)
        if running.pop(buried, None):
            time.sleep(RESTART_PAUSE)
        elif not everything_runs:
            time.sleep(PAUSE)


def _start(daemon: Daemon) -> int:
    """Not by Popen, which would bury its children itself."""
    argv, log = daemon.argv(), f"/var/log/{daemon.name}.log"
    environment = {"PATH": rootfs.PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    output = (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.posix_spawn(argv[0], argv, environment, file_actions=[output, (os.POSIX_SPAWN_DUP2, 1, 2)])


def main(home: Home, name: str) -> NoReturn:
    """Become the node `name` of the lab in `home`."""
    wish = spec.read(home.spec)
    node = wish.topology.node(name) if wish else None
    if wish is None or node is None:
        sys.exit(f"{home.spec} has no node {name}")
    root = home.node_root(name)
    contents = {
        **rootfs.files(wish.topology, node),
        **containerd.files(node),
        kubeadm.AUDIT_POLICY.lstrip("/"): kubeadm.audit_policy(),
    }
    rootfs.populate(root, contents, wish.programs)
    rootfs.enter(root, rootfs.mounts(root, wish.programs))
    socket.sethostname(name)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    keep(DAEMONS)


if __name__ == "__main__":
    main(Home(Path(sys.argv[1]), sys.argv[2]), sys.argv[3])
