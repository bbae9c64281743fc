from pathlib import Path

import pytest
import yaml

from meshpki.errors import PreconditionError
from meshpki.lab import kubeadm
from meshpki.lab.home import Home
from meshpki.lab.kind import Kind, config, create_argv, delete_argv, inspect_argv, load_argv, nodes_of
from meshpki.lab.lab import Wish
from meshpki.lab.progress import Progress
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


PROGRAMS = {"kubectl": "printf ok", "kind": "echo lab-control-plane", "docker": "echo /lab-control-plane 172.18.0.2"}


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """A cluster of one node that answers, as the programs tell of it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return Kind(Home(tmp_path / "lab", "lab"))


@pytest.mark.parametrize("nodes", [None, 1])
def test_a_cluster_of_the_size_that_is_wanted_is_kept(running: Kind, nodes: int | None) -> None:
    told: list[Progress] = []
    assert running.up(Wish(nodes, lambda _: False), told.append).context == "kind-lab"
    assert told == [Progress("kind cluster", "kept")]


def test_a_cluster_of_another_size_than_is_wanted_is_refused_as_the_native_lab_is(running: Kind) -> None:
    with pytest.raises(PreconditionError, match="MPK-505") as refused:
        running.up(Wish(2, lambda _: False), [].append)
    assert refused.value.what == "the lab has 1 node(s), not 2"
