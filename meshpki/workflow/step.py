"""A step of a plan: what it applies, and the gates that prove it did its work."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref


@dataclass(frozen=True)
class Ready:
    """The gate is open; `detail` is what was seen, for people."""

    detail: str = ""


@dataclass(frozen=True)
class Waiting:
    """Not yet; `why` says what is missing and where."""

    why: str


@dataclass(frozen=True)
class Failed:
    """Never, without somebody's help; `why` says what happened."""

    why: str


Readiness = Ready | Waiting | Failed


@dataclass(frozen=True)
class Gate:
    """A named condition that the next step relies on, judged through the reading half only.

    `watches` are the objects whose change is worth another look; `every` is how often to look without one. `needs` are
    steps that run beside this one, and without which the gate stays shut.
    """

    name: str
    proves: str
    check: Callable[[Reader], Readiness]
    hint: str
    code: str = "MPK-201"
    watches: tuple[Query, ...] = ()
    every: timedelta = timedelta(seconds=5)
    needs: tuple[str, ...] = ()

    def unmet(self, seen: str, why: str) -> str:
        """What was expected of it, and what was `seen` instead."""
        return f"expected: {self.proves}; {seen}: {why}"


@dataclass(frozen=True)
class Later:
    """Manifests of a step that are applied once one of its own gates is open: what they start needs what it proves."""

    gate: str
    manifests: tuple[Object, ...]


@dataclass(frozen=True)
class Applies:
    """What a program applies, known without a cluster: for a plan, and for whoever applies it in the program's stead.

    `manager` is the field manager by which the program applies, and `mark` the object that says of manifests which
    somebody else applied that they are this step's. `removes` tells from the cluster what it would remove.
    """

    manifests: Callable[[], tuple[Object, ...]]
    manager: str
    mark: Object
    removes: Callable[[Reader], tuple[Ref, ...]] = lambda _: ()


@dataclass(frozen=True)
class Program:
    """Work that is no manifest: a child process, or a value that exists only after the gates before it.

    `settled` tells from the cluster whether there is nothing to do; `run` returns when done or when `stop` is set.
    `after` names the gate of the same step that must be open first, `does` says in a plan what it is for. `unfit` is
    asked before anything is written: why the program itself cannot do it, empty where it can.

    One that `resumes` finds out by itself what is left to do, and is run again after a ClusterError that may pass. One
    that `mends` may end, within its first minute, what the gates beside it see failed.
    """

    name: str
    settled: Callable[[Reader], bool]
    run: Callable[[Cluster, threading.Event], None]
    after: str = ""
    does: str = ""
    applies: Applies | None = None
    unfit: Callable[[Reader], str] = lambda _: ""
    resumes: bool = False
    mends: bool = False


@dataclass(frozen=True)
class Step:
    """Name, manifests, gates and what must be open before: a value made by a plain function.

    `needs` holds names of steps, or `step/gate` where one gate of a step is enough to go on.
    """

    name: str
    summary: str
    manifests: tuple[Object, ...] = ()
    gates: tuple[Gate, ...] = ()
    needs: tuple[str, ...] = ()
    programs: tuple[Program, ...] = ()
    later: tuple[Later, ...] = ()

    @property
    def needed(self) -> set[str]:
        """The names of the steps that this one needs something of."""
        return {need.partition("/")[0] for need in self.needs}

    @property
    def relied_on(self) -> set[str]:
        """The names of the steps without which this one cannot end: what it needs, and what its gates wait for."""
        return self.needed.union(*(gate.needs for gate in self.gates))

    def place(self, gate: str) -> str:
        """Where in a plan a gate is, for an error."""
        return f"step {self.name}, gate {gate}"

    @property
    def objects(self) -> tuple[Object, ...]:
        """Every manifest of the step, at once or later."""
        return (*self.manifests, *(manifest for later in self.later for manifest in later.manifests))
