"""The report at its widest: one line a pod and one a place, with every finding, warnings too, and what was not seen."""

from collections.abc import Iterator

from meshpki.cli.verdicts.reasons import ignored_lines, reasons
from meshpki.cli.verdicts.table import summary
from meshpki.cli.verdicts.words import aligned, chain, moment, plain
from meshpki.verify.assessment import judgements, state_of
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict

_PODS = ("NAMESPACE", "POD", "NODE", "SPIFFE ID", "CHAIN", "SERIAL", "EXPIRES", "RESULT")
_PLACES = ("KIND", "PLACE", "HOLDS", "EXPIRES", "RESULT")
_ALL = 0


def wide(report: Report) -> str:
    """One line a pod with node, serial number and end, one line a place, and every finding."""
    lines = list(aligned([_PODS, *(_pod(report, pod) for pod in report.pods)]))
    if report.places:
        lines += ["", *aligned([_PLACES, *(_place(report, place) for place in report.places)])]
    why = reasons(judgements(report), warnings=True, most=_ALL)
    return "\n".join([*lines, *why, *ignored_lines(report, _ALL), *unseen(report), "", summary(report)])


def unseen(report: Report) -> Iterator[str]:
    """What was not looked at, and the right or option with which it would be."""
    for one in report.unseen:
        yield plain(f"  not seen: {one.what}; it needs {one.needs}")


def holds(report: Report, place: PlaceVerdict) -> str:
    """What is served or kept at a place, in a word."""
    if place.path:
        return chain(place.path, report.roots)
    if place.bundle:
        return f"anchors {', '.join(one[:16] for one in place.bundle)}"
    return place.reason or "-"


def _pod(report: Report, pod: PodVerdict) -> tuple[str, ...]:
    return (
        pod.pod.ref.namespace,
        pod.pod.ref.name,
        pod.pod.node or "-",
        pod.spiffe_id or "-",
        chain(pod.path, report.roots),
        f"{pod.path[0].serial:x}" if pod.path else "-",
        moment(pod.expires) if pod.expires else "-",
        state_of(pod),
    )


def _place(report: Report, place: PlaceVerdict) -> tuple[str, ...]:
    expires = moment(place.expires) if place.expires else "-"
    return (place.place.kind, str(place.place), holds(report, place), expires, state_of(place))
