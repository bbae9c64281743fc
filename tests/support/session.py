"""One run's connection to a mesh in memory: it counts the writes, and can be killed or refused at any of them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from meshpki.cluster.client import BACKGROUND, Cluster, ClusterError, Deletion
from meshpki.cluster.manifest import Object, Ref, ref_of

Answer = TypeVar("Answer")
_CHANGING = ("prepare", "activate", "taint")


class KilledError(Exception):
    """The process is no more."""


@dataclass
class Session:
    """`allowed` writes, after which the process is dead; `faults` by the number of the write that they befall.

    A fault is raised before the write, and after it where there was no answer (status 0): then it was carried out.
    """

    mesh: Cluster
    allowed: int | None = None
    faults: Mapping[int, ClusterError] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    after: Callable[[], None] = lambda: None
    _one: threading.Lock = field(default_factory=threading.Lock)

    @property
    def dead(self) -> bool:
        return self.allowed is not None and len(self.writes) >= self.allowed

    def __getattr__(self, name: str) -> object:
        """Everything that only reads."""
        if self.dead:
            raise KilledError
        return getattr(self.mesh, name)

    def apply(self, manifest: Object) -> Object:
        return self._write(f"apply {ref_of(manifest)}", lambda: self.mesh.apply(manifest))

    def merge(self, ref: Ref, patch: Object, manager: str, subresource: str = "") -> Object:
        return self._write(
            f"merge {ref} {subresource}".strip(), lambda: self.mesh.merge(ref, patch, manager, subresource)
        )

    def delete(self, ref: Ref, how: Deletion = BACKGROUND) -> bool:
        return self._write(f"delete {ref}", lambda: self.mesh.delete(ref, how))

    def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:
        words = [word for word in argv if word in _CHANGING]
        if not words:
            return str(self.__getattr__("execute")(pod, container, argv))
        return self._write(f"{words[0]} {pod.name}", lambda: self.mesh.execute(pod, container, argv))

    def _write(self, what: str, act: Callable[[], Answer]) -> Answer:
        with self._one:
            if self.dead:
                raise KilledError
            self.writes.append(what)
            fault = self.faults.get(len(self.writes))
            if fault and fault.status:
                raise fault
            done = act()
            self.after()
            if fault:
                raise fault
            if self.dead:
                raise KilledError
            return done
