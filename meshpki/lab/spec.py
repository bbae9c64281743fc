"""What a lab was asked to be: written once by `lab up`, read by its supervisor and its nodes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from meshpki.lab.home import Home
from meshpki.lab.parts import Parts
from meshpki.lab.topology import Topology, plan

NODE_PROGRAMS = ("kubeadm", "kubelet", "kubectl", "istioctl")


@dataclass(frozen=True, slots=True)
class Spec:
    """A lab's name and size, the programs of its nodes by name, and the image archives that they hold."""

    name: str
    nodes: int
    programs: dict[str, str]
    images: tuple[str, ...]
    artifacts: str

    @property
    def topology(self) -> Topology:
        """The addresses that follow from name and size."""
        return plan(self.name, self.nodes)


def wanted(home: Home, nodes: int, parts: Parts) -> Spec:
    """The lab that these parts make."""
    programs = {name: str(parts.binaries[name]) for name in NODE_PROGRAMS}
    images = tuple(str(image) for image in parts.images)
    return Spec(home.name, nodes, programs, images, str(parts.artifacts))


def lacking(had: Spec, wanted: Spec) -> tuple[str, ...]:
    """The archives of `wanted` whose images, by name and tag, the nodes of a lab made as `had` do not hold.

    Another build of the same version is no reason to exchange an image below a running mesh.
    """
    held = {Path(image).name for image in had.images}
    return tuple(image for image in wanted.images if Path(image).name not in held)


def write(path: Path, spec: Spec) -> None:
    """Replace the file at once: a reader sees the old lab or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(spec), indent=2))
    fresh.replace(path)


def read(path: Path) -> Spec | None:
    """The lab that was asked for; None where there is none."""
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return Spec(**{**fields, "images": tuple(fields["images"])})
