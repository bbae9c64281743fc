"""The trust tree as data: anchors above CAs above those who present their chains, and what was looked at beside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from meshpki.drawing import groups
from meshpki.drawing.beside import beside
from meshpki.drawing.groups import Holder
from meshpki.drawing.mark import Mark, of_finding, worst
from meshpki.drawing.node import Kind, Node
from meshpki.drawing.words import counted, digest, left, moment, short_name
from meshpki.errors import BROKEN, PRECONDITION
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding
from meshpki.verify.report import Report

# A drawing stays one that a person reads and every renderer takes, whatever the size of the mesh.
MOST_BOXES = 120
_CHILDREN = (12, 8, 6, 3, 2, 1)
# root, CA and one CA too many; what lies deeper is broken anyway, and is drawn below these
_CAS_DEEP = 3


@dataclass(frozen=True)
class Tree:
    """A whole drawing; `beside` are the places that keep anchors, the peers, and what was not seen."""

    trust_domain: str
    at: datetime
    summary: str
    mark: Mark
    anchors: tuple[Node, ...]
    beside: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, parents before children."""
        return tuple(one for node in (*self.anchors, *self.beside) for one in node.walk())


@dataclass
class _Branch:
    """A certificate on the way down, while the tree grows."""

    certificate: Certificate
    stands: bool
    holders: list[Holder] = field(default_factory=list)
    below: dict[str, "_Branch"] = field(default_factory=dict)


@dataclass(frozen=True)
class _Growth:
    """What every branch is judged by: the pinned roots, the findings about each certificate, how many children."""

    report: Report
    about: dict[str, list[Finding]]
    most: int


def tree(report: Report) -> Tree:
    """The drawing of a report, with as many boxes as fit into MOST_BOXES: coarser where the mesh is larger."""
    holders = groups.holders(report)
    about = _findings_by_certificate(report)
    drawn = Tree(report.trust_domain, report.at, summary(report), overall(report), (), beside(report))
    for most in _CHILDREN:
        drawn = replace(drawn, anchors=_anchors(_Growth(report, about, most), holders))
        if len(drawn.nodes) <= MOST_BOXES:
            break
    return drawn


def overall(report: Report) -> Mark:
    """One mark for the whole: `broken` before `unknown`, which is also a mesh without pods, before `warned`."""
    code = report.exit_code(strict=False)
    if code == BROKEN:
        return Mark.BROKEN
    if code == PRECONDITION or report.results["unknown"]:
        return Mark.UNKNOWN
    return Mark.WARNED if any(finding.severity == "warn" for finding in report.findings) else Mark.PROVEN


def summary(report: Report) -> str:
    """The counts in one line."""
    counts = report.counts
    pods = (
        f"{counts['proven']:,} of {counted(len(report.pods), 'pod')} proven,"
        f" {counts['broken']:,} broken, {counts['unknown']:,} unknown"
    )
    if not report.places:
        return pods
    proven = sum(1 for place in report.places if place.result == "proven")
    return f"{pods}; {proven:,} of {counted(len(report.places), 'place')} proven"


def _anchors(growth: _Growth, holders: Sequence[Holder]) -> tuple[Node, ...]:
    pinned = {root.sha256: _Branch(root, stands=True) for root in growth.report.roots}
    strangers: dict[str, _Branch] = {}
    loose: list[Holder] = []
    for holder in holders:
        line = holder.line[:_CAS_DEEP]
        if not line:
            loose.append(holder)
            continue
        top = pinned if line[0].sha256 in pinned else strangers
        _grow(top, line, holder)
    anchors = [_node(branch, growth, Kind.ANCHOR) for branch in pinned.values()]
    return (*anchors, *_nowhere(growth, strangers, loose))


def _grow(level: dict[str, _Branch], line: Sequence[Certificate], holder: Holder) -> None:
    """Follow a chain downwards; a certificate stands by being pinned, or by one proven chain that runs through it."""
    proven = holder.mark in (Mark.PROVEN, Mark.WARNED)
    branch = _Branch(line[0], stands=False)
    for certificate in line:
        branch = level.setdefault(certificate.sha256, _Branch(certificate, stands=False))
        branch.stands |= proven
        level = branch.below
    if not holder.is_authority:
        branch.holders.append(holder)


def _nowhere(growth: _Growth, strangers: dict[str, _Branch], loose: Sequence[Holder]) -> Iterator[Node]:
    """What hangs under no pinned root: CAs of elsewhere, leaves alone, and those who present nothing."""
    alone = [holder for holder in loose if holder.path]
    without = [holder for holder in loose if not holder.path]
    below = (*_cas(strangers, growth), *groups.nodes(alone, growth.report, growth.most))
    if below:
        lines = ("these chains end elsewhere",)
        yield Node(Kind.NOWHERE, "no pinned root", lines, worst(node.mark for node in below), below=below)
    if without:
        nodes = groups.nodes(without, growth.report, growth.most)
        lines = (f"{counted(len(without), 'holder')} without a chain to judge",)
        yield Node(Kind.NOWHERE, "no certificate seen", lines, worst(node.mark for node in nodes), below=nodes)


def _cas(branches: dict[str, _Branch], growth: _Growth) -> tuple[Node, ...]:
    """The CAs of one level, the worst kept and the rest summed up where there are too many."""
    nodes = sorted((_node(branch, growth, Kind.CA) for branch in branches.values()), key=lambda node: node.importance)
    kept, rest = nodes[: growth.most], nodes[growth.most :]
    if rest:
        mark = worst(node.mark for node in rest)
        return (*kept, Node(Kind.CA, f"and {counted(len(rest), 'more CA')}", ("too many to draw",), mark))
    return tuple(kept)


def _node(branch: _Branch, growth: _Growth, kind: Kind) -> Node:
    certificate, report = branch.certificate, growth.report
    found = growth.about.get(certificate.sha256, [])
    below = (*_cas(branch.below, growth), *groups.nodes(branch.holders, report, growth.most))
    lines = (
        f"{kind}, {certificate.key}",
        f"{left(certificate.not_after, report.at)}, until {moment(certificate.not_after)}",
        digest(certificate.sha256),
        *(() if branch.stands else ("no proven chain runs through it",)),
    )
    standing = Mark.PROVEN if branch.stands else Mark.UNKNOWN
    mark = worst((standing, *(of_finding(finding) for finding in found)))
    return Node(kind, short_name(certificate), lines, mark, tuple(sorted({one.code for one in found})), below)


def _findings_by_certificate(report: Report) -> dict[str, list[Finding]]:
    """Findings by the SHA-256 of what they are about; a place that is a CA's own counts for that CA."""
    about: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.certificate:
            about.setdefault(finding.certificate.sha256, []).append(finding)
    for place in report.places:
        if place.path and place.path[0].is_ca:
            about.setdefault(place.path[0].sha256, []).extend(place.findings)
    return about
