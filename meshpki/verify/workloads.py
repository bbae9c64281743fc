"""What verify found of each pod, and of the pods of one owner together."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, Result
from meshpki.verify.pods import MeshPod, Workload


@dataclass(frozen=True)
class PodVerdict:
    """The judgement of one pod.

    `spiffe_id` is what the leaf says, empty without one; `path` runs from the leaf as far as it was followed;
    `bundle` is the fingerprints of the anchors that its Envoy trusts; `expires` is the earliest end on the path
    (UTC). `reason` tells why there was nothing, or not all, to judge.
    """

    pod: MeshPod
    result: Result
    spiffe_id: str = ""
    path: tuple[Certificate, ...] = ()
    bundle: tuple[str, ...] = ()
    expires: datetime | None = None
    findings: tuple[Finding, ...] = ()
    reason: str = ""

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return str(self.pod.ref)


@dataclass(frozen=True)
class WorkloadVerdict:
    """The pods of one owner."""

    workload: Workload
    pods: tuple[PodVerdict, ...]

    @property
    def result(self) -> Result:
        """Broken where one pod is; proven only where all are."""
        return _worst(pod.result for pod in self.pods)

    @property
    def proven(self) -> int:
        """How many of its pods are proven."""
        return sum(1 for pod in self.pods if pod.result == "proven")


def grouped(verdicts: Iterable[PodVerdict]) -> tuple[WorkloadVerdict, ...]:
    """The verdicts by workload, in order of namespace, kind and name."""
    ordered = sorted(verdicts, key=lambda verdict: (verdict.pod.workload, verdict.pod.ref))
    return tuple(
        WorkloadVerdict(workload, tuple(pods))
        for workload, pods in groupby(ordered, lambda verdict: verdict.pod.workload)
    )


def _worst(results: Iterable[Result]) -> Result:
    found = set(results)
    if "broken" in found:
        return "broken"
    return "unknown" if "unknown" in found else "proven"
