"""Nodes made one cluster by kubeadm, and looked after for as long as the lab lives."""

import base64
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, digits

from meshpki.errors import LabError
from meshpki.lab import containerd, kubeadm, serving, storage
from meshpki.lab.home import Home
from meshpki.lab.kubectl import PAUSE, Kubectl
from meshpki.lab.nodes import Nodes
from meshpki.lab.progress import Report
from meshpki.lab.rootfs import PROGRAMS
from meshpki.lab.spec import Spec
from meshpki.lab.story import timed
from meshpki.lab.topology import Node

INIT_SECONDS = 300.0
WHOLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster on running nodes."""

    home: Home
    wish: Spec
    nodes: Nodes
    report: Report

    @property
    def kubectl(self) -> Kubectl:
        """The administrator's."""
        return Kubectl(Path(self.wish.programs["kubectl"]), self.home.kubeconfig)

    @property
    def by_name(self) -> dict[str, Node]:
        """The nodes that belong to it."""
        return {node.name: node for node in self.wish.topology.nodes}

    def file(self, node: str, path: str) -> Path:
        """A file of a node, where the host sees it."""
        return self.home.node_root(node) / path.lstrip("/")


def create(cluster: Cluster) -> None:
    """Fill the nodes with images, run kubeadm on each, and wait until the cluster is whole."""
    layout, report = cluster.wish.topology, cluster.report
    count = f"{len(cluster.wish.images)} images into {_nodes(cluster)}"
    with timed(report, count):
        load(cluster, tuple(map(Path, cluster.wish.images)))
    token = _token()
    with timed(report, f"kubeadm init on {layout.first.name}"):
        _kubeadm(cluster, layout.first.name, "init", kubeadm.init(cluster.wish.name, layout.first, token))
        _take_kubeconfig(cluster)
    for node in layout.nodes[1:]:
        with timed(report, f"kubeadm join on {node.name}"):
            _write(cluster, node.name, kubeadm.DISCOVERY, kubeadm.discovery(layout.first, _authority(cluster)))
            _kubeadm(cluster, node.name, "join", kubeadm.join(node, token))
    for name in storage.names():
        cluster.file(layout.first.name, f"{storage.DIRECTORY}/{name}").mkdir(parents=True, exist_ok=True)
    cluster.kubectl.run("apply", "--filename", "-", given=storage.manifests(layout.first))
    await_whole(cluster)


def resume(cluster: Cluster) -> None:
    """Wait until a cluster that was whole before its processes ended is whole again."""
    with timed(cluster.report, "control plane from its state"):
        cluster.kubectl.await_answer(WHOLE_SECONDS)
    await_whole(cluster)


def load(cluster: Cluster, archives: tuple[Path, ...]) -> None:
    """Import image archives into every node; raises LabError MPK-520 with containerd's own words."""

    def into(target: tuple[str, Path]) -> None:
        cluster.nodes.run(target[0], *containerd.IMPORT, archive=target[1], seconds=INIT_SECONDS)

    with ThreadPoolExecutor(max_workers=2) as workers:
        list(workers.map(into, [(node, archive) for archive in archives for node in cluster.nodes.pids]))


def await_whole(cluster: Cluster) -> None:
    """Wait until every node is ready, serves with a certificate of the cluster's CA, and names are resolved."""
    with timed(cluster.report, f"{_nodes(cluster)} ready"):
        until = time.monotonic() + WHOLE_SECONDS
        while missing := _missing(cluster):
            if time.monotonic() > until:
                raise LabError("MPK-521", f"not ready after {WHOLE_SECONDS:.0f} s: {', '.join(missing)}")
            time.sleep(PAUSE)


def _missing(cluster: Cluster) -> list[str]:
    kubectl = cluster.kubectl
    try:
        serving.approve(kubectl, cluster.by_name)
        ready = "jsonpath={range .items[?(@.status.conditions[-1].status=='True')]}{.metadata.name}{'\\n'}{end}"
        there = kubectl.run("get", "nodes", "--output", ready).split()
        silent = [name for name in cluster.nodes.pids if not kubectl.serves(name)]
        dns = kubectl.get("deployment", "coredns", "--namespace", "kube-system").get("status", {})
    except LabError as error:
        return [error.what]
    resolver = [] if dns.get("readyReplicas") else ["coredns"]
    return [*(name for name in cluster.nodes.pids if name not in there), *silent, *resolver]


def _kubeadm(cluster: Cluster, node: str, verb: str, config: str) -> None:
    path = kubeadm.INIT_CONFIG if verb == "init" else kubeadm.JOIN_CONFIG
    _write(cluster, node, path, config)
    argv = (f"{PROGRAMS}/kubeadm", verb, "--config", path, "--ignore-preflight-errors=all")
    said = cluster.nodes.run(node, *argv, seconds=INIT_SECONDS)
    cluster.home.log(f"kubeadm-{node}").write_text(said)


def _take_kubeconfig(cluster: Cluster) -> None:
    """By kubectl, so that the administrator's key is copied and never parsed here."""
    fresh, name = cluster.home.kubeconfig.with_suffix(".new"), cluster.wish.name
    shutil.copy(cluster.file(cluster.wish.topology.first.name, "/etc/kubernetes/admin.conf"), fresh)
    fresh.chmod(0o600)
    kubectl = Kubectl(Path(cluster.wish.programs["kubectl"]), fresh)
    kubectl.run("config", "rename-context", f"kubernetes-admin@{name}", name)
    fresh.replace(cluster.home.kubeconfig)


def _authority(cluster: Cluster) -> str:
    pem = cluster.file(cluster.wish.topology.first.name, "/etc/kubernetes/pki/ca.crt").read_bytes()
    return base64.b64encode(pem).decode()


def _token() -> str:
    """A bootstrap token (Kubernetes: [a-z0-9]{6}.[a-z0-9]{16})."""
    letters = "".join(secrets.choice(ascii_lowercase + digits) for _ in range(22))
    return f"{letters[:6]}.{letters[6:]}"


def _write(cluster: Cluster, node: str, path: str, text: str) -> None:
    target = cluster.file(node, path)
    target.touch(mode=0o600)
    target.write_text(text)


def _nodes(cluster: Cluster) -> str:
    count = cluster.wish.nodes
    return "1 node" if count == 1 else f"{count} nodes"
