"""A node's container runtime: its configuration, its pod network and the command that gives it an image."""

import json

from meshpki.lab.topology import Node
from meshpki.lab.versions import PAUSE

SOCKET = "/run/containerd/containerd.sock"
CONFIG = "/etc/containerd/config.toml"
NAMESPACE = "k8s.io"

# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc dies with "can't get final child's PID"
_CONFIG = f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "registry.k8s.io/pause:{PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _pod_network(node: Node) -> str:
    """Point-to-point links, so that no bridge has to hand its packets to iptables.

    The addresses given out are noted under /run: after a restart no pod of before holds one.
    """
    address_management = {
        "type": "host-local",
        "dataDir": "/run/cni/networks",
        "ranges": [[{"subnet": node.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": address_management},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "lab", "plugins": plugins}, indent=2)


def files(node: Node) -> dict[str, str]:
    """The runtime's files by path below the node's root."""
    return {CONFIG.lstrip("/"): _CONFIG, "etc/cni/net.d/10-lab.conflist": _pod_network(node)}


IMPORT = ("ctr", "--namespace", NAMESPACE, "images", "import", "-")
