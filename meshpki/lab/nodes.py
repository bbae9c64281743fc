"""Starting a lab's nodes: namespaces held by processes, joined by links; nothing is left of them when those end."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from meshpki.errors import LabError
from meshpki.lab import cgroups, child, rootfs, topology
from meshpki.lab.home import Home
from meshpki.lab.spec import Spec
from meshpki.leash import leashed

PATIENCE = 20.0
PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Nodes:
    """The running nodes: the host's ids of their first processes by name, and the processes that hold namespaces."""

    pids: dict[str, int]
    holders: tuple[subprocess.Popen[bytes], ...]

    def alive(self) -> bool:
        """Whether every namespace is still held."""
        return all(holder.poll() is None for holder in self.holders)

    def run(self, node: str, *argv: str, given: str = "", archive: Path | None = None, seconds: float = 60) -> str:
        """Run a command inside a node, `archive` being its standard input; raises LabError MPK-520."""
        entered = inside(self.pids[node], argv)
        if archive is None:
            return child.run(entered, given=given, seconds=seconds)
        with archive.open("rb") as source:
            return child.run(entered, stdin=source, seconds=seconds)


def inside(pid: int, argv: Sequence[str]) -> tuple[str, ...]:
    """`argv` run in every namespace of process `pid`, a node's first; it dies with the caller."""
    target = ("nsenter", "--target", str(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--")
    environment = ("env", f"PATH={rootfs.PATH}", "KUBECONFIG=/etc/kubernetes/admin.conf")
    return (*target, *leashed((*environment, *argv), child.OUTSIDE))


def start(home: Home, wish: Spec) -> Nodes:
    """Start the switch and the nodes, link them, and wait for their container runtimes.

    Raises LabError MPK-520 where a command fails, MPK-521 where a process does not come up.
    """
    layout = wish.topology
    cgroups.remove(topology.cgroup(wish.name))
    for node in layout.nodes:
        cgroups.make(node.cgroup)
    switch = child.start(("unshare", "--net", "sleep", "infinity"), home.log("switch"))
    _await(lambda: _network(switch.pid) != _network("self"), "the switch's network namespace", switch)
    started = {node.name: _start(home, node.name) for node in layout.nodes}
    nodes = Nodes(
        {name: pid for name, (_, pid) in started.items()}, (switch, *(parent for parent, _ in started.values()))
    )
    _link(layout, switch.pid, nodes)
    for name, (parent, _) in started.items():
        _await(partial(_answers, nodes, name), f"containerd of {name}", parent)
    return nodes


def _start(home: Home, name: str) -> tuple[subprocess.Popen[bytes], int]:
    namespaces = ("unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--kill-child")
    argv = (*namespaces, sys.executable, "-m", "meshpki.lab.node", str(home.root), home.name, name)
    parent = child.start(argv, home.log(name))
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    _await(lambda: bool(children.read_text().strip()), f"the first process of {name}", parent)
    pid = int(children.read_text())
    home.first_process(name).write_text(str(pid))
    return parent, pid


def _link(layout: topology.Topology, switch: int, nodes: Nodes) -> None:
    child.run(("ip", "-batch", "-"), given=topology.host_link(layout, switch))
    _links_inside(switch, topology.switch_links(layout, nodes.pids))
    for node in layout.nodes:
        _links_inside(nodes.pids[node.name], topology.node_links(layout, node))


def _links_inside(pid: int, commands: str) -> None:
    child.run(("nsenter", "--target", str(pid), "--net", "ip", "-batch", "-"), given=commands)


def _network(process: int | str) -> str:
    return str(Path(f"/proc/{process}/ns/net").readlink())


def _answers(nodes: Nodes, name: str) -> bool:
    try:
        return bool(nodes.run(name, "ctr", "version"))
    except LabError:
        return False


def _await(condition: Callable[[], bool], what: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if condition():
            return
        time.sleep(PAUSE)
    state = "has ended" if process.poll() is not None else f"is not there after {PATIENCE:.0f} s"
    raise LabError("MPK-521", f"{what} {state}", remedy="see the logs beside the lab's kubeconfig")
