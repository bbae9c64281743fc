"""What verify found of the whole mesh, and the exit code that it deserves."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from meshpki import errors
from meshpki.cluster.client import Reader
from meshpki.errors import PreconditionError
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, Result
from meshpki.verify.peers import PeerVerdict
from meshpki.verify.places import PlaceVerdict, Unseen
from meshpki.verify.scope import Scope
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict


@dataclass(frozen=True)
class Report:
    """Everything that was looked at, against which roots, at which moment (UTC); and what was not.

    `peers` are the pairs of groups of pods, each with whether the second accepts the first. `chain` is that of an
    existing CA, from the CA that signs to its root; empty where the root is the mesh's own. `scope` says which pods
    were looked at; places are the whole mesh's.
    """

    at: datetime
    trust_domain: str
    roots: tuple[Certificate, ...]
    workloads: tuple[WorkloadVerdict, ...]
    places: tuple[PlaceVerdict, ...] = ()
    peers: tuple[PeerVerdict, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    chain: tuple[Certificate, ...] = ()
    scope: Scope = field(default_factory=Scope)

    @property
    def pods(self) -> tuple[PodVerdict, ...]:
        """Every pod's verdict."""
        return tuple(pod for workload in self.workloads for pod in workload.pods)

    @property
    def counts(self) -> Counter[Result]:
        """Pods by result."""
        return Counter(pod.result for pod in self.pods)

    @property
    def judged(self) -> int:
        """How many pods could be judged at all."""
        return len(self.pods) - self.counts["unknown"]

    @property
    def results(self) -> Counter[Result]:
        """Everything that was judged, by result: pods, places and pairs of peers."""
        return self.counts + Counter(one.result for one in self._beside)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, of pods, places and peers."""
        return tuple(finding for one in (*self.pods, *self._beside) for finding in one.findings)

    @property
    def _beside(self) -> tuple[PlaceVerdict | PeerVerdict, ...]:
        return (*self.places, *self.peers)

    def exit_code(self, *, strict: bool, fail_on: Literal["fail", "warn"] = "fail") -> int:
        """5 where anything is broken, with `strict` also unknown, with `fail_on` warn where there is a warning.

        4 where no pod could be judged.
        """
        if self.results["broken"] or (fail_on == "warn" and any(one.severity == "warn" for one in self.findings)):
            return errors.BROKEN
        if not self.judged:
            return errors.PRECONDITION
        return errors.BROKEN if strict and self.results["unknown"] else errors.OK


def unjudged(reader: Reader, report: Report) -> PreconditionError:
    """The error for a report in which nothing could be judged: the right that is missing, or the first reason."""
    if not report.pods:
        return PreconditionError("MPK-351", "there is no pod of the mesh here", remedy="install the mesh: meshpki up")
    if not reader.allowed("create", "", "pods/portforward", report.pods[0].pod.ref.namespace):
        return PreconditionError(
            "MPK-351",
            "no proxy could be asked: the right to `create` pods/portforward is missing",
            remedy="have an administrator grant `get` and `create` on pods/portforward",
        )
    first = report.pods[0]
    why = [first.reason, *(f"expected {one.expected}; found {one.found}" for one in first.findings)]
    lacking = [f"not seen: {one.what}, which needs {one.needs}" for one in report.unseen]
    what = f"none of {len(report.pods)} pods could be judged: {'; '.join(one for one in (*why, *lacking) if one)}"
    return PreconditionError("MPK-351", what, remedy="fix that, then run verify again")
