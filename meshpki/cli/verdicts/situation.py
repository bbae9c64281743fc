"""What of a verdict is worth a line when it changes."""

from collections.abc import Callable

from meshpki.cli.verdicts.table import totals
from meshpki.cli.watch import Watched
from meshpki.verify.assessment import Assessment, counting, state_of, where_of, worst
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict


def watched(form: Callable[[Assessment], str]) -> Watched[Assessment]:
    """How `verify --watch` tells one look."""
    return Watched(form, lambda one: "; ".join(totals(one.report)), lambda one: situation(one.report), well="proven")


def situation(report: Report) -> dict[str, str]:
    """The state of each pod and place with the codes that it fails by, and of all pairs of peers the worst."""
    seen: tuple[PodVerdict | PlaceVerdict, ...] = (*report.pods, *report.places)
    states = {where_of(one): _state(one) for one in seen}
    return {**states, "peers": worst(report.peers)} if report.peers else states


def _state(verdict: PodVerdict | PlaceVerdict) -> str:
    codes = {finding.code for finding in counting(verdict) if finding.severity != "warn"}
    return " ".join([state_of(verdict), *sorted(codes)])
