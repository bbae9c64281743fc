"""The addresses of a lab, and the `ip` commands that make its links. No route leads out of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

from meshpki.errors import PreconditionError
from meshpki.lab.home import DEFAULT_NAME

PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name in Kubernetes, its address, the addresses of its pods, its cgroup."""

    name: str
    address: str
    pods: str
    cgroup: str


@dataclass(frozen=True, slots=True)
class Topology:
    """A bridge in a network namespace of its own; the nodes and the host hang on it by one veth pair each."""

    link: str
    host: str
    nodes: tuple[Node, ...]

    @property
    def first(self) -> Node:
        """The node with the control plane."""
        return self.nodes[0]

    def node(self, name: str) -> Node | None:
        """The node of that name."""
        return next((node for node in self.nodes if node.name == name), None)


def link(name: str) -> str:
    """The host's end of the link to the lab; prefixed, because `lab down` deletes what bears this name."""
    return f"mpk-{name}"


def cgroup(name: str) -> str:
    """The cgroup that holds all of a lab; prefixed for the same reason."""
    return f"/meshpki/{name}"


def plan(name: str, nodes: int) -> Topology:
    """The topology of a lab; another name gives another subnet, so that labs can stand side by side."""
    subnet = f"10.250.{0 if name == DEFAULT_NAME else 1 + crc32(name.encode()) % 255}"
    made = tuple(
        Node(f"{name}-{n}", f"{subnet}.{10 + n}", f"10.244.{n - 1}.0/24", f"{cgroup(name)}/node-{n}")
        for n in range(1, nodes + 1)
    )
    return Topology(link(name), f"{subnet}.1", made)


def asked(topology: Topology) -> tuple[str, ...]:
    """The command that tells, as JSON, which links of the host bear its address in the lab."""
    return ("ip", "-json", "address", "show", "to", topology.host)


def refuse_shared(topology: Topology, answer: str) -> None:
    """Raise PreconditionError MPK-519 where another link bears that address: the two labs would be one network."""
    links = [str(row["ifname"]) for row in json.loads(answer or "[]") if row.get("ifname") not in (None, topology.link)]
    if links:
        what = f"the network of this lab, {topology.host}/24, is that of the link {links[0]}"
        remedy = "give this lab another name, from which its network follows: MESHPKI_LAB_NAME=other"
        raise PreconditionError("MPK-519", what, remedy=remedy)


def host_link(topology: Topology, switch: int) -> str:
    """Commands on the host: the veth pair to the switch, whose namespace process `switch` holds."""
    return f"""\
link add {topology.link} type veth peer name uplink netns {switch}
address add {topology.host}/24 dev {topology.link}
link set {topology.link} up
"""


def switch_links(topology: Topology, first_processes: Mapping[str, int]) -> str:
    """Commands in the switch's namespace: the bridge and a veth pair to each node."""
    ports = "".join(
        f"link add port{n} type veth peer name eth0 netns {first_processes[node.name]}\n"
        f"link set port{n} master switch up\n"
        for n, node in enumerate(topology.nodes)
    )
    return f"link add switch type bridge\nlink set switch up\nlink set uplink master switch up\n{ports}"


def node_links(topology: Topology, node: Node) -> str:
    """Commands in a node's namespace: its address, and routes to services and the other nodes' pods only.

    Services need a route, though kube-proxy rewrites their addresses: the kernel looks for one first. There is no
    default route, not even an unreachable one, whose device `*` kubeadm join looks up and does not find.
    """
    others = "".join(f"route add {o.pods} via {o.address}\n" for o in topology.nodes if o != node)
    return f"""\
link set lo up
address add {node.address}/24 dev eth0
link set eth0 up
route add {SERVICES} dev eth0 src {node.address}
{others}"""
