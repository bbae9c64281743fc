"""What kubeadm is told: kubeadm.k8s.io/v1beta4, kubelet and kube-proxy configuration, audit policy."""

from typing import TypeAlias

import yaml

from meshpki.lab import containerd
from meshpki.lab.topology import PODS, SERVICES, Node
from meshpki.lab.versions import COREDNS, ETCD_TAG, KUBERNETES

Document: TypeAlias = dict[str, object]

AUDIT_DIRECTORY = "/var/log/kubernetes/audit"
AUDIT_LOG = f"{AUDIT_DIRECTORY}/audit.log"
AUDIT_MEGABYTES = "4096"  # one file that grows: at 100, the default, a test that reads it would lose its beginning
AUDIT_POLICY = "/etc/kubernetes/audit-policy.yaml"
INIT_CONFIG = "/etc/kubernetes/kubeadm-init.yaml"
JOIN_CONFIG = "/etc/kubernetes/kubeadm-join.yaml"
DISCOVERY = "/etc/kubernetes/discovery.yaml"
PORT = 6443


def audit_policy() -> str:
    """Who asked for what, never the contents: Secrets pass here."""
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}
    return _yaml({**policy, "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]})


def init(cluster: str, node: Node, token: str) -> str:
    """The configuration of `kubeadm init` on the first node; `token` lets further nodes join for an hour."""
    tokens = [{"token": token, "ttl": "1h0m0s"}]
    start: Document = {
        **_kubeadm("InitConfiguration"),
        "localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": PORT},
        "nodeRegistration": _registration(node),
        "bootstrapTokens": tokens,
    }
    return _yaml(start, _cluster(cluster, node), _kubelet(), _kube_proxy())


def join(node: Node, token: str) -> str:
    """The configuration of `kubeadm join` on a further node."""
    discovery = {"file": {"kubeConfigPath": DISCOVERY}, "tlsBootstrapToken": token}
    return _yaml({**_kubeadm("JoinConfiguration"), "discovery": discovery, "nodeRegistration": _registration(node)})


def discovery(first: Node, authority: str) -> str:
    """A kubeconfig without a user: the cluster's address and its CA certificate (base64 of PEM)."""
    server = {"server": f"https://{first.address}:{PORT}", "certificate-authority-data": authority}
    return _yaml({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": server}]})


def _cluster(name: str, node: Node) -> Document:
    no_election = {"extraArgs": [_argument("leader-elect", "false")]}
    return {
        **_kubeadm("ClusterConfiguration"),
        "kubernetesVersion": KUBERNETES,
        "clusterName": name,
        "networking": {"podSubnet": PODS, "serviceSubnet": SERVICES},
        "apiServer": _api_server(node),
        "controllerManager": no_election,
        "scheduler": no_election,
        "etcd": {"local": {"imageTag": ETCD_TAG}},
        "dns": {"imageRepository": "registry.k8s.io/coredns", "imageTag": COREDNS},
    }


def _api_server(node: Node) -> Document:
    return {
        "certSANs": [node.address, node.name, "localhost", "127.0.0.1"],
        "extraArgs": [
            _argument("audit-policy-file", AUDIT_POLICY),
            _argument("audit-log-path", AUDIT_LOG),
            _argument("audit-log-maxsize", AUDIT_MEGABYTES),
            _argument("kubelet-certificate-authority", "/etc/kubernetes/pki/ca.crt"),
        ],
        "extraVolumes": [
            volume("audit-policy", AUDIT_POLICY, "File"),
            volume("audit-log", AUDIT_DIRECTORY, "DirectoryOrCreate"),
        ],
    }


def volume(name: str, path: str, kind: str) -> Document:
    """An extra volume of a control plane component; `kind` is File, read-only, or DirectoryOrCreate."""
    return {"name": name, "hostPath": path, "mountPath": path, "pathType": kind, "readOnly": kind == "File"}


def _registration(node: Node) -> Document:
    arguments = [_argument("node-ip", node.address), _argument("cgroup-root", node.cgroup)]
    socket = f"unix://{containerd.SOCKET}"
    return {"name": node.name, "criSocket": socket, "taints": [], "kubeletExtraArgs": arguments}


def _kubelet() -> Document:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",  # containerd 1.6 cannot be asked
        "failCgroupV1": False,
        "failSwapOn": False,
        "serverTLSBootstrap": True,
        "imageGCHighThresholdPercent": 100,  # an image that is collected could not be pulled again
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "resolvConf": "/etc/resolv.conf",
    }


def _kube_proxy() -> Document:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "conntrack": {"maxPerCore": 0},  # the table's size belongs to the whole machine
    }


def _kubeadm(kind: str) -> Document:
    return {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind}


def _argument(name: str, value: str) -> Document:
    return {"name": name, "value": value}


def _yaml(*documents: Document) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)
