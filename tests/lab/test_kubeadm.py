import base64
from typing import Any

import pytest
import yaml

from meshpki.lab import kubeadm
from meshpki.lab.topology import PODS, SERVICES, plan
from meshpki.lab.versions import COREDNS, ETCD_TAG, KUBERNETES

FIRST, SECOND = plan("lab", 2).nodes
TOKEN = "abcdef.0123456789abcdef"


def documents(text: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def init() -> dict[str, Any]:
    return documents(kubeadm.init("lab", FIRST, TOKEN))


def arguments(component: dict[str, Any], key: str = "extraArgs") -> dict[str, str]:
    return {one["name"]: one["value"] for one in component[key]}


def test_init_tells_kubeadm_kubelet_and_kube_proxy(init: dict[str, Any]) -> None:
    assert {kind: document["apiVersion"] for kind, document in init.items()} == {
        "InitConfiguration": "kubeadm.k8s.io/v1beta4",
        "ClusterConfiguration": "kubeadm.k8s.io/v1beta4",
        "KubeletConfiguration": "kubelet.config.k8s.io/v1beta1",
        "KubeProxyConfiguration": "kubeproxy.config.k8s.io/v1alpha1",
    }


def test_kubelets_ask_the_cluster_for_their_serving_certificates_which_the_api_server_verifies(
    init: dict[str, Any],
) -> None:
    assert init["KubeletConfiguration"]["serverTLSBootstrap"] is True
    server = arguments(init["ClusterConfiguration"]["apiServer"])
    assert server["kubelet-certificate-authority"] == "/etc/kubernetes/pki/ca.crt"


def test_the_audit_log_says_who_asked_for_what_and_never_the_contents() -> None:
    policy = yaml.safe_load(kubeadm.audit_policy())
    assert (policy["apiVersion"], policy["kind"]) == ("audit.k8s.io/v1", "Policy")
    assert policy["rules"] == [{"level": "Metadata"}]


def test_the_api_server_sees_the_audit_policy_and_may_write_its_log(init: dict[str, Any]) -> None:
    server = init["ClusterConfiguration"]["apiServer"]
    given = arguments(server)
    assert (given["audit-policy-file"], given["audit-log-path"]) == (kubeadm.AUDIT_POLICY, kubeadm.AUDIT_LOG)
    assert int(given["audit-log-maxsize"]) > 1000  # a log that is begun anew is not what a test read from
    volumes = {volume["mountPath"]: volume["readOnly"] for volume in server["extraVolumes"]}
    assert volumes == {kubeadm.AUDIT_POLICY: True, kubeadm.AUDIT_DIRECTORY: False}


@pytest.mark.parametrize("component", ["controllerManager", "scheduler"])
def test_a_single_control_plane_elects_no_leader(init: dict[str, Any], component: str) -> None:
    assert arguments(init["ClusterConfiguration"][component]) == {"leader-elect": "false"}


def test_the_cluster_uses_what_was_built(init: dict[str, Any]) -> None:
    cluster = init["ClusterConfiguration"]
    assert cluster["kubernetesVersion"] == KUBERNETES
    assert (cluster["etcd"]["local"]["imageTag"], cluster["dns"]["imageTag"]) == (ETCD_TAG, COREDNS)
    assert cluster["networking"] == {"podSubnet": PODS, "serviceSubnet": SERVICES}


def test_the_api_server_can_be_called_by_address_and_name_and_from_the_node_itself(init: dict[str, Any]) -> None:
    names = init["ClusterConfiguration"]["apiServer"]["certSANs"]
    assert {FIRST.address, FIRST.name, "localhost", "127.0.0.1"} == set(names)
    assert init["InitConfiguration"]["localAPIEndpoint"] == {"advertiseAddress": FIRST.address, "bindPort": 6443}


def test_a_cluster_on_cgroup_version_1_starts_and_leaves_the_machines_settings_alone(init: dict[str, Any]) -> None:
    kubelet = init["KubeletConfiguration"]
    assert (kubelet["failCgroupV1"], kubelet["cgroupDriver"], kubelet["failSwapOn"]) == (False, "cgroupfs", False)
    assert init["KubeProxyConfiguration"]["conntrack"] == {"maxPerCore": 0}


def test_the_token_for_further_nodes_is_short_lived(init: dict[str, Any]) -> None:
    assert init["InitConfiguration"]["bootstrapTokens"] == [{"token": TOKEN, "ttl": "1h0m0s"}]


def test_each_node_registers_by_its_own_name_address_and_cgroup_and_takes_pods(init: dict[str, Any]) -> None:
    joining = documents(kubeadm.join(SECOND, TOKEN))["JoinConfiguration"]
    for node, document in ((FIRST, init["InitConfiguration"]), (SECOND, joining)):
        registration = document["nodeRegistration"]
        assert (registration["name"], registration["taints"]) == (node.name, [])
        given = arguments(registration, "kubeletExtraArgs")
        assert given == {"node-ip": node.address, "cgroup-root": node.cgroup}


def test_a_joining_node_trusts_the_first_ones_authority_and_brings_no_key() -> None:
    joining = documents(kubeadm.join(SECOND, TOKEN))["JoinConfiguration"]
    assert joining["discovery"] == {"file": {"kubeConfigPath": kubeadm.DISCOVERY}, "tlsBootstrapToken": TOKEN}
    authority = base64.b64encode(b"PEM").decode()
    found = yaml.safe_load(kubeadm.discovery(FIRST, authority))
    (cluster,) = found["clusters"]
    assert cluster["cluster"] == {
        "server": f"https://{FIRST.address}:6443",
        "certificate-authority-data": authority,
    }
    assert "users" not in found
