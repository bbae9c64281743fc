"""The native driver: a cluster made of the machine's own kernel, in namespaces held by one process."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshpki.errors import LabError, PreconditionError, UsageError
from meshpki.lab import (
    builds,
    child,
    containerd,
    home,
    images,
    kubeadm,
    lifecycle,
    nodes,
    packages,
    parts,
    settings,
    spec,
    story,
    topology,
)
from meshpki.lab.home import Home
from meshpki.lab.lab import Lab, Wish
from meshpki.lab.progress import Progress, Report
from meshpki.lab.spec import Spec

MOST_NODES = 2
Prepare = Callable[[Path, Report], parts.Parts]


@dataclass(frozen=True, slots=True)
class Native:
    """Linux on amd64 as root; everything is built from packages and kept."""

    place: Home = field(default_factory=home.locate)
    prepare: Prepare = parts.prepare
    name: str = "native"
    brings_artifacts: bool = True

    def up(self, wish: Wish, report: Report) -> Lab:
        """Make the lab, go on with one that was stopped, or find it whole."""
        check_machine(sys.platform, platform.machine(), os.geteuid())
        with home.turn(self.place):
            wanted_packages = (*packages.NODE_PACKAGES, *builds.DEBIAN_PACKAGES, *images.DEBIAN_PACKAGES)
            packages.ensure(wanted_packages, wish.consent, report)
            made = self.prepare(home.cache(), report)
            had = spec.read(self.place.spec)
            size = wish.nodes or (had.nodes if had else 1)
            if not 1 <= size <= MOST_NODES:
                raise UsageError("MPK-507", f"{size} nodes", where="--nodes", remedy=f"1 to {MOST_NODES}")
            wanted = spec.wanted(self.place, size, made)
            topology.refuse_shared(wanted.topology, child.run(topology.asked(wanted.topology)))
            act = lifecycle.decide(lifecycle.observe(self.place), had, wanted)
            self._settle(act, wanted, report)
            self.place.settings.write_text(settings.overlay(made))
        return self._lab()

    def down(self, report: Report) -> None:
        """Remove every process, mount, link, cgroup and file of the lab, whatever state it is in."""
        with home.turn(self.place), story.timed(report, "lab down"):
            lifecycle.clear(self.place)

    def lab(self) -> Lab | None:
        """The lab, where one was whole and its supervisor lives."""
        return self._lab() if lifecycle.observe(self.place) == "whole" else None

    def add_approver_policy(self, report: Report) -> None:
        """Build its image where it is not kept yet, and import that into every node."""
        with home.turn(self.place):
            self.load_image(parts.approver(home.cache(), report))

    def load_image(self, archive: Path) -> None:
        """Import a docker-archive into every node."""
        for node in self._spec().topology.nodes:
            with archive.open("rb") as source:
                child.run(nodes.inside(self._pid(node.name), containerd.IMPORT), stdin=source, seconds=300)

    def exec_argv(self, command: tuple[str, ...], node: str | None) -> tuple[str, ...]:
        """Through nsenter, with the node's own kubectl and configuration at hand."""
        first = self._spec().topology.first  # asked first: a dead lab's process ids may be anybody's by now
        return nodes.inside(self._pid(node or first.name), command)

    def _settle(self, act: lifecycle.Act, wanted: Spec, report: Report) -> None:
        match act:
            case "keep":
                self._keep(wanted, report)
            case "wait":
                lifecycle.follow(self.place, report)
            case "resume":
                self._resume(wanted, report)
            case "rebuild":
                self._rebuild(wanted, report)

    def _keep(self, wanted: Spec, report: Report) -> None:
        """Where another release made the lab, give its nodes the images that its settings ask for from now on."""
        report(Progress(f"lab cluster of {wanted.nodes} node(s)", "kept"))
        had = self._spec()
        lacking = spec.lacking(had, wanted)
        if not lacking:
            return
        with story.timed(report, f"load {len(lacking)} images of other versions into it"):
            for image in lacking:
                self.load_image(Path(image))
        spec.write(self.place.spec, replace(had, images=(*had.images, *lacking), artifacts=wanted.artifacts))

    def _resume(self, wanted: Spec, report: Report) -> None:
        """A cluster that does not come back is made anew: a lab holds nothing that cannot be."""
        lifecycle.stop(self.place)
        lifecycle.start(self.place)
        try:
            lifecycle.follow(self.place, report)
        except LabError as error:
            report(Progress(f"the stopped lab did not come back ({error}): a new one", "start"))
            self._rebuild(wanted, report)

    def _rebuild(self, wanted: Spec, report: Report) -> None:
        lifecycle.clear(self.place)
        self.place.make()
        spec.write(self.place.spec, wanted)
        lifecycle.start(self.place)
        lifecycle.follow(self.place, report)

    def _lab(self) -> Lab:
        place, wish = self.place, self._spec()
        audit = place.node_root(wish.topology.first.name) / kubeadm.AUDIT_LOG.lstrip("/")
        return Lab(place.kubeconfig, place.name, place.settings, Path(wish.artifacts), audit)

    def _spec(self) -> Spec:
        wish = spec.read(self.place.spec)
        if wish is None or home.holder(self.place.supervisor) is None:
            raise PreconditionError("MPK-504", "no lab is running", remedy="run `meshpki lab up`")
        return wish

    def _pid(self, node: str) -> int:
        """The node's first process, as the host sees it."""
        try:
            return int(self.place.first_process(node).read_text())
        except FileNotFoundError:
            names = ", ".join(each.name for each in self._spec().topology.nodes)
            raise UsageError("MPK-506", f"no node {node!r}", where="--node", remedy=f"nodes: {names}") from None


def check_machine(system: str, machine: str, user: int) -> None:
    """Raise PreconditionError MPK-500 where the native lab cannot run, naming the ways that are left."""
    found = (
        (system == "linux", f"this is {system}, the native lab needs Linux"),
        (machine in ("x86_64", "amd64"), f"this is {machine}, the native lab's parts are built for amd64"),
        (user == 0, "the native lab needs root: it makes namespaces and mounts"),
    )
    for good, what in found:
        if not good:
            remedy = "`--driver kind` with a Docker engine, or `--driver native` as root on Linux (amd64)"
            raise PreconditionError("MPK-500", what, remedy=remedy)
