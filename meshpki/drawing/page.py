"""The report as one page of HTML: self-contained, without script, for a screen, a phone, a reader and paper."""

from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from meshpki.drawing import page_findings, page_tables
from meshpki.drawing.element import Content, element
from meshpki.drawing.mark import Mark
from meshpki.drawing.node import Kind, Node
from meshpki.drawing.page_frame import Fact, Origin, Page, Section, facts, made_by, named, source, verdict
from meshpki.drawing.svg import drawing
from meshpki.drawing.timeline import ending_words, endings, hidden, timeline
from meshpki.drawing.tree import Tree, overall, summary, tree
from meshpki.drawing.words import counted, left, moment, short_name
from meshpki.verify.report import Report

_VERDICTS = {
    Mark.PROVEN: "Proven: every identity{} chains to the pinned root",
    Mark.WARNED: "Proven{}, with warnings",
    Mark.UNKNOWN: "Not all of it could be judged",
    Mark.BROKEN: "Broken: the mesh is not what it should be",
}
_NOTHING = "Nothing could be judged"


def page(report: Report, origin: Origin, titles: Mapping[str, str]) -> str:
    """The whole page; `titles` gives each code its short meaning."""
    title = f"{overall(report)}: trust of {report.trust_domain}{_part(report)}, {moment(report.at)}"
    return Page(title, _header(report, origin), tuple(_sections(report, titles)), _footer(origin)).html()


def _header(report: Report, origin: Origin) -> list[Content]:
    mark = overall(report)
    said = _NOTHING if mark is Mark.UNKNOWN and not report.judged else _VERDICTS[mark].format(_part(report))
    pairs: list[Fact] = [
        ("Looked at", _looked_at(report)),
        source(origin),
        ("Trust domain", [named(report.trust_domain)]),
        *(("Pinned root", _root(report, number)) for number in range(len(report.roots))),
    ]
    return [
        element("h1", "Trust report of ", named(report.trust_domain)),
        verdict(mark, said, f"{summary(report)}."),
        facts(pairs),
    ]


def _part(report: Report) -> str:
    """Which pods it is about, where it is not about them all."""
    return f" {report.scope.words}" if report.scope.words else ""


def _looked_at(report: Report) -> list[Content]:
    at = element("time", moment(report.at), datetime=f"{report.at:%Y-%m-%dT%H:%M:%SZ}")
    return [at, ", of pods only those ", named(report.scope.words)] if report.scope.words else [at]


def _root(report: Report, number: int) -> list[Content]:
    root = report.roots[number]
    said = f", {left(root.not_after, report.at)}, until {moment(root.not_after)}"
    return [named(short_name(root)), said, element("br"), "sha256 ", element("code", root.sha256)]


def _sections(report: Report, titles: Mapping[str, str]) -> Iterator[Section]:
    yield Section("tree", "Trust tree", _tree(tree(report)))
    yield Section("expiry", "What expires when", _expiry(report))
    yield Section("findings", "Findings", page_findings.findings(report, titles))
    yield Section("workloads", "Workloads", page_tables.workloads(report))
    yield Section("places", "Other places", page_tables.places(report))
    yield Section("unseen", "Not judged, not seen", page_tables.unseen(report))


def _tree(drawn: Tree) -> list[Content]:
    """The picture where there is room for it; the same as a list on a phone, and for whom it is read out."""
    listed = element("ul", *(_item(node) for node in (*drawn.anchors, *drawn.beside)), class_="tree")
    return [
        element("figure", drawing(drawn, head=False), class_="tree-drawing"),
        element("div", listed, class_="tree-text"),
    ]


def _item(node: Node) -> Element:
    word = node.kind if node.kind is Kind.UNSEEN else node.mark
    title: list[Content] = [element("span", f"{node.mark.sign} {word} ", class_=f"mark {node.mark}"), named(node.title)]
    words = (*node.lines, *([" ".join(node.codes)] if node.codes else []))
    below = [element("ul", *(_item(child) for child in node.below))] if node.below else []
    return element("li", *title, *(element("span", line, class_="words") for line in words), *below)


def _expiry(report: Report) -> list[Content]:
    first = endings(report)[:1]
    said = f"Next: {ending_words(first[0], report.at)}. " if first else ""
    rest = f" {counted(hidden(report), 'later end')} left out." if hidden(report) else ""
    scale = "The scale is logarithmic. SPIRE's agents renew leaves at half of their life, so minutes left are no alarm."
    return [element("p", said, scale, rest), element("figure", timeline(report))]


def _footer(origin: Origin) -> list[Content]:
    return [
        made_by(origin, "meshpki report -o html"),
        element("p", "What a code means, and how to fix its cause: ", element("code", "meshpki explain MPK-344")),
    ]
