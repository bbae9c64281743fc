from pathlib import Path

import pytest
import yaml

from meshpki.lab import kubeadm
from meshpki.lab.kind import config, create_argv, delete_argv, inspect_argv, load_argv, nodes_of
from meshpki.lab.versions import KUBERNETES

STATE = Path("/state/lab")


def patches(document: dict[str, list[str]]) -> dict[str, dict[str, object]]:
    """The kubeadm patches by kind."""
    return {patch["kind"]: patch for text in document["kubeadmConfigPatches"] for patch in [yaml.safe_load(text)]}


@pytest.mark.parametrize(("count", "roles"), [(1, ["control-plane"]), (3, ["control-plane", "worker", "worker"])])
def test_the_first_node_has_the_control_plane_and_the_others_work(count: int, roles: list[str]) -> None:
    document = yaml.safe_load(config("lab", count, STATE))
    assert (document["kind"], document["apiVersion"], document["name"]) == ("Cluster", "kind.x-k8s.io/v1alpha4", "lab")
    assert [node["role"] for node in document["nodes"]] == roles


def test_kubelets_ask_the_cluster_for_their_serving_certificates() -> None:
    assert patches(yaml.safe_load(config("lab", 1, STATE)))["KubeletConfiguration"]["serverTLSBootstrap"] is True


def test_the_audit_log_reaches_the_host_by_way_of_the_first_node() -> None:
    document = yaml.safe_load(config("lab", 2, STATE))
    server = patches(document)["ClusterConfiguration"]["apiServer"]
    assert isinstance(server, dict)
    assert server["extraArgs"] == {
        "audit-policy-file": kubeadm.AUDIT_POLICY,
        "audit-log-path": kubeadm.AUDIT_LOG,
        "audit-log-maxsize": kubeadm.AUDIT_MEGABYTES,
    }
    first, second = document["nodes"]
    mounted = {mount["containerPath"]: mount["hostPath"] for mount in first["extraMounts"]}
    assert mounted == {
        kubeadm.AUDIT_POLICY: str(STATE / "audit-policy.yaml"),
        kubeadm.AUDIT_DIRECTORY: str(STATE / "audit"),
    }
    assert {volume["hostPath"] for volume in server["extraVolumes"]} == set(mounted)
    assert "extraMounts" not in second


def test_kind_makes_the_labs_kubernetes_version_with_a_kubeconfig_of_its_own() -> None:
    argv = create_argv("lab", STATE / "kind.yaml", STATE / "kubeconfig")
    assert argv[:5] == ("kind", "create", "cluster", "--name", "lab")
    options = dict(zip(argv[3::2], argv[4::2], strict=True))
    assert options["--image"] == f"kindest/node:{KUBERNETES}"
    assert options["--config"] == "/state/lab/kind.yaml"
    assert options["--kubeconfig"] == "/state/lab/kubeconfig"


def test_deleting_and_loading_name_the_cluster() -> None:
    assert delete_argv("lab", STATE / "kubeconfig") == (
        *("kind", "delete", "cluster", "--name", "lab"),
        *("--kubeconfig", "/state/lab/kubeconfig"),
    )
    assert load_argv("lab", Path("/a.tar")) == ("kind", "load", "image-archive", "--name", "lab", "/a.tar")


def test_the_engine_says_which_address_a_node_has() -> None:
    assert inspect_argv(("lab-worker",))[-1] == "lab-worker"
    found = nodes_of("/lab-control-plane 172.18.0.2\n/lab-worker 172.18.0.3\n\n")
    assert {name: node.address for name, node in found.items()} == {
        "lab-control-plane": "172.18.0.2",
        "lab-worker": "172.18.0.3",
    }
