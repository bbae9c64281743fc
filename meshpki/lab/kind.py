"""The kind driver: the same cluster with upstream images, where a Docker engine answers. CI does not run it."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from meshpki.errors import LabError, PreconditionError
from meshpki.lab import child, home, kubeadm, lifecycle, serving
from meshpki.lab.home import Home
from meshpki.lab.kubectl import PAUSE, Kubectl
from meshpki.lab.lab import Lab, Wish
from meshpki.lab.progress import Progress, Report
from meshpki.lab.story import timed
from meshpki.lab.topology import Node
from meshpki.lab.versions import KUBERNETES

CREATE_SECONDS = 600.0
SERVING_SECONDS = 60.0


def config(name: str, nodes: int, directory: Path) -> str:
    """The configuration of kind: nodes, serving certificates by the cluster's CA, an audit log in `directory`."""
    patch = {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": {
                "audit-policy-file": kubeadm.AUDIT_POLICY,
                "audit-log-path": kubeadm.AUDIT_LOG,
                "audit-log-maxsize": kubeadm.AUDIT_MEGABYTES,
            },
            "extraVolumes": [
                kubeadm.volume("audit-policy", kubeadm.AUDIT_POLICY, "File"),
                kubeadm.volume("audit-log", kubeadm.AUDIT_DIRECTORY, "DirectoryOrCreate"),
            ],
        },
    }
    serving_certificates = {"kind": "KubeletConfiguration", "serverTLSBootstrap": True}
    mounts = [
        {"hostPath": str(directory / "audit-policy.yaml"), "containerPath": kubeadm.AUDIT_POLICY, "readOnly": True},
        {"hostPath": str(directory / "audit"), "containerPath": kubeadm.AUDIT_DIRECTORY},
    ]
    first = {"role": "control-plane", "extraMounts": mounts}
    document = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": name,
        "kubeadmConfigPatches": [yaml.safe_dump(patch), yaml.safe_dump(serving_certificates)],
        "nodes": [first, *({"role": "worker"} for _ in range(nodes - 1))],
    }
    return yaml.safe_dump(document, sort_keys=False)


def create_argv(name: str, config_file: Path, kubeconfig: Path) -> tuple[str, ...]:
    """Make a cluster of the lab's Kubernetes version."""
    image = f"kindest/node:{KUBERNETES}"
    start = ("kind", "create", "cluster", "--name", name, "--image", image, "--wait", "120s")
    return (*start, "--config", str(config_file), "--kubeconfig", str(kubeconfig))


def delete_argv(name: str, kubeconfig: Path) -> tuple[str, ...]:
    """Remove the cluster; kind does nothing where there is none."""
    return ("kind", "delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig))


def load_argv(name: str, archive: Path) -> tuple[str, ...]:
    """Give every node the image in a docker-archive."""
    return ("kind", "load", "image-archive", "--name", name, str(archive))


def inspect_argv(names: tuple[str, ...]) -> tuple[str, ...]:
    """Ask the engine for the name and address of every node's container, one a line."""
    form = '{{.Name}} {{(index .NetworkSettings.Networks "kind").IPAddress}}'
    return ("docker", "inspect", "--format", form, *names)


def nodes_of(inspected: str) -> dict[str, Node]:
    """The nodes by name, with the addresses that the engine gave them: not what a kubelet says of itself."""
    pairs = (line.lstrip("/").split() for line in inspected.splitlines() if line.strip())
    return {name: Node(name, address, pods="", cgroup="") for name, address in pairs}


@dataclass(frozen=True, slots=True)
class Kind:
    """A cluster in containers of a Docker engine, through the `kind` program."""

    place: Home = field(default_factory=home.locate)

    name: str = "kind"
    brings_artifacts: bool = False

    def up(self, wish: Wish, report: Report) -> Lab:
        """Make the cluster or find it, and approve what its kubelets ask for."""
        self._check_programs()
        with home.turn(self.place):
            if self._kubectl.answers():
                had = len(self._nodes())
                lifecycle.refuse_another_size(had, wish.nodes or had)
                report(Progress("kind cluster", "kept"))
            else:
                with timed(report, "kind cluster"):
                    self._create(wish.nodes or 1)
            self._approve()
        return self._lab()

    def down(self, report: Report) -> None:
        """Delete the cluster and what was written for it; the latter also where the engine is gone, with an error."""
        with home.turn(self.place), timed(report, "kind delete cluster"):
            try:
                self._check_programs()
                child.run(delete_argv(self.place.name, self.place.kubeconfig), seconds=CREATE_SECONDS)
            finally:
                lifecycle.remove_files(self.place)

    def lab(self) -> Lab | None:
        """The lab, where its cluster answers."""
        return self._lab() if self.place.kubeconfig.exists() and self._kubectl.answers() else None

    def add_approver_policy(self, report: Report) -> None:
        """Nothing is to do: its nodes pull upstream's image."""

    def load_image(self, archive: Path) -> None:
        """Through kind."""
        child.run(load_argv(self.place.name, archive), seconds=CREATE_SECONDS)

    def exec_argv(self, command: tuple[str, ...], node: str | None) -> tuple[str, ...]:
        """Through the container engine."""
        return ("docker", "exec", "--interactive", node or f"{self.place.name}-control-plane", *command)

    @property
    def _kubectl(self) -> Kubectl:
        return Kubectl(Path("kubectl"), self.place.kubeconfig)

    def _lab(self) -> Lab:
        audit = self.place.root / "audit" / Path(kubeadm.AUDIT_LOG).name
        return Lab(self.place.kubeconfig, f"kind-{self.place.name}", settings=None, artifacts=None, audit_log=audit)

    def _create(self, nodes: int) -> None:
        root = self.place.root
        (root / "audit").mkdir(exist_ok=True)
        (root / "audit-policy.yaml").write_text(kubeadm.audit_policy())
        child.run(delete_argv(self.place.name, self.place.kubeconfig), seconds=CREATE_SECONDS)
        # from here on it is a lab of kind's: not before there is an engine that answers
        self.place.kind_config.write_text(config(self.place.name, nodes, root))
        argv = create_argv(self.place.name, self.place.kind_config, self.place.kubeconfig)
        child.run(argv, seconds=CREATE_SECONDS)

    def _approve(self) -> None:
        """Until every node's kubelet serves: a request comes some seconds after its node."""
        own, until = nodes_of(child.run(inspect_argv(self._nodes()))), time.monotonic() + SERVING_SECONDS
        while not all(self._kubectl.serves(name) for name in own):
            if time.monotonic() > until:
                raise LabError("MPK-521", "a kubelet has no serving certificate", remedy="meshpki lab up again")
            serving.approve(self._kubectl, own)
            time.sleep(PAUSE)

    def _nodes(self) -> tuple[str, ...]:
        """The names of its nodes' containers."""
        return tuple(child.run(("kind", "get", "nodes", "--name", self.place.name)).split())

    def _check_programs(self) -> None:
        for program in ("kind", "kubectl", "docker"):
            if shutil.which(program) is None:
                remedy = "install it, or use `--driver native` as root on Linux (amd64)"
                raise PreconditionError("MPK-501", f"the kind driver needs {program}", remedy=remedy)
