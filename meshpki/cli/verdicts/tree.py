"""The report as a tree: each root, the CAs below it, and what they issued."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from meshpki.cli.verdicts.reasons import ignored_lines, reasons
from meshpki.cli.verdicts.table import failing_codes, summary
from meshpki.cli.verdicts.wide import holds, unseen
from meshpki.cli.verdicts.words import lasting, plain, short_name
from meshpki.pki.certificate import Certificate
from meshpki.verify.assessment import counting, judgements, state_of
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict

_LOOSE = "at no pinned root"
_KEPT = "kept and checked"
_NAMED = 3


@dataclass(frozen=True)
class Branches:
    """How the lines of a tree are drawn: before one of several, the last, and below each of them."""

    item: str
    last: str
    through: str
    blank: str


LINES = Branches("├── ", "└── ", "│   ", "    ")
ASCII = Branches("|-- ", "`-- ", "|   ", "    ")


@dataclass
class _Node:
    """A line of the tree and what hangs below it, by what tells two apart."""

    text: str
    below: dict[str, "_Node"] = field(default_factory=dict)

    def child(self, key: str, text: str) -> "_Node":
        """The node of this key, made where it is not there yet."""
        return self.below.setdefault(key, _Node(text))


def tree(report: Report, branches: Branches = LINES) -> str:
    """Roots, CAs, then workloads and places in groups; the reasons, what was not seen, and the sum."""
    why = reasons(judgements(report), warnings=True, most=_NAMED)
    drawn = (line for node in _grown(report) for line in (plain(node.text), *_drawn(node, branches)))
    return "\n".join([*drawn, *why, *ignored_lines(report, _NAMED), *unseen(report), "", summary(report)])


def _grown(report: Report) -> Iterator[_Node]:
    top = _Node("")
    for root in report.roots:
        top.child(root.sha256, f"root {_certificate(root, report)}  sha256 {root.sha256}")
    for workload in report.workloads:
        alike: dict[tuple[str, ...], list[PodVerdict]] = {}
        for pod in workload.pods:
            alike.setdefault(tuple(one.sha256 for one in pod.path[1:]), []).append(pod)
        for cas, pods in alike.items():
            text = _workload(report, f"{workload.workload.namespace}/{workload.workload.name}", pods)
            _issuer(top, pods[0].path, report).child(f"{workload.workload} {cas}", text)
    for place in report.places:
        key = f"{place.place.kind} {place.place}"
        _above(top, place, report).child(key, f"{key}  {_shown(report, place)}{_state(place)}")
    yield from top.below.values()


def _above(top: _Node, place: PlaceVerdict, report: Report) -> _Node:
    return _issuer(top, place.path, report) if place.path else top.child(_KEPT, _KEPT)


def _issuer(top: _Node, path: Sequence[Certificate], report: Report) -> _Node:
    """The node of the CA that issued the first of a path; without a pinned root at its end, below a node of its own."""
    ends_well = bool(path) and path[-1] in report.roots
    node = top if ends_well else top.child(_LOOSE, _LOOSE)
    above = path[1:] if len(path) > 1 else (path if ends_well else ())
    for signer in reversed(above):
        node = node.child(signer.sha256, f"{_certificate(signer, report)}  serial {signer.serial:x}")
    return node


def _certificate(certificate: Certificate, report: Report) -> str:
    return f"{short_name(certificate)}  {lasting(certificate.not_after, report.at)}"


def _workload(report: Report, name: str, pods: Sequence[PodVerdict]) -> str:
    proven = sum(1 for pod in pods if state_of(pod) == "proven")
    count = f"{len(pods)} pod{'s' if len(pods) > 1 else ''}"
    ends = [pod.expires for pod in pods if pod.expires]
    rest = f"  {lasting(min(ends), report.at)}" if ends else ""
    if proven == len(pods):
        return f"{name}  {count}{rest}"
    others = sorted({state_of(pod) for pod in pods} - {"proven"})
    return " ".join([f"{name}  {proven} of {count} proven{rest} ", *others, *failing_codes(pods)])


def _shown(report: Report, place: PlaceVerdict) -> str:
    return lasting(place.expires, report.at) if place.path and place.expires else holds(report, place)


def _state(place: PlaceVerdict) -> str:
    state = state_of(place)
    codes = sorted({finding.code for finding in counting(place) if finding.severity != "warn"})
    return "" if state == "proven" else f"  {' '.join([state, *codes])}"


def _drawn(node: _Node, branches: Branches) -> Iterator[str]:
    """The lines below a node; a path is at most a few certificates long, so is this recursion."""
    for number, below in enumerate(node.below.values(), 1):
        is_last = number == len(node.below)
        yield (branches.last if is_last else branches.item) + plain(below.text)
        for line in _drawn(below, branches):
            yield (branches.blank if is_last else branches.through) + line
