"""The report as one page of HTML: self-contained, without script, for a screen, a phone, a reader and paper."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from meshpki.drawing import page_findings, page_tables
from meshpki.drawing.element import Content, as_html, element, style
from meshpki.drawing.mark import Mark
from meshpki.drawing.node import Kind, Node
from meshpki.drawing.page_style import page_css
from meshpki.drawing.svg import NAMESPACE, drawing, sign
from meshpki.drawing.timeline import ending_words, endings, hidden, timeline
from meshpki.drawing.tree import Tree, overall, summary, tree
from meshpki.drawing.words import counted, left, moment, short_name
from meshpki.verify.report import Report

_VERDICTS = {
    Mark.PROVEN: "Proven: every identity chains to the pinned root",
    Mark.WARNED: "Proven, with warnings",
    Mark.UNKNOWN: "Not all of it could be judged",
    Mark.BROKEN: "Broken: the mesh is not what it should be",
}
_NOTHING = "Nothing could be judged"
_SECTIONS = (
    ("tree", "Trust tree"),
    ("expiry", "What expires when"),
    ("findings", "Findings"),
    ("workloads", "Workloads"),
    ("places", "Other places"),
    ("unseen", "Not judged, not seen"),
)


@dataclass(frozen=True)
class Origin:
    """Where a report comes from: the kubeconfig's context, the API server's address, and the version of meshpki."""

    context: str
    server: str
    version: str


def page(report: Report, origin: Origin, titles: Mapping[str, str]) -> str:
    """The whole page; `titles` gives each code its short meaning."""
    return as_html(
        element(
            "html",
            _head(report),
            element(
                "body",
                element("a", "Skip to the report", class_="skip", href="#report"),
                _header(report, origin),
                _nav(),
                element("main", *_sections(report, titles), id="report"),
                _footer(origin),
            ),
            lang="en",
            dir="ltr",
        )
    )


def _head(report: Report) -> Element:
    css = page_css()
    # nothing may be loaded, run or sent from this page, whatever a name in it would like
    allowed = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{overall(report)}: trust of {report.trust_domain}, {moment(report.at)}"),
        style(css),
    )


def _header(report: Report, origin: Origin) -> Element:
    mark = overall(report)
    facts: list[tuple[str, list[Content]]] = [
        ("Looked at", [element("time", moment(report.at), datetime=f"{report.at:%Y-%m-%dT%H:%M:%SZ}")]),
        ("Context", [_name(origin.context or "of the kubeconfig"), " at ", _name(origin.server)]),
        ("Trust domain", [_name(report.trust_domain)]),
        *(("Pinned root", _root(report, number)) for number in range(len(report.roots))),
    ]
    return element(
        "header",
        element("h1", "Trust report of ", _name(report.trust_domain)),
        element(
            "div",
            _sign(mark),
            element(
                "div",
                element("strong", _NOTHING if mark is Mark.UNKNOWN and not report.judged else _VERDICTS[mark]),
                element("p", f"{summary(report)}."),
            ),
            class_=f"verdict {mark}",
        ),
        element("dl", *(part for term, said in facts for part in _fact(term, said)), class_="facts"),
    )


def _root(report: Report, number: int) -> list[Content]:
    root = report.roots[number]
    said = f", {left(root.not_after, report.at)}, until {moment(root.not_after)}"
    return [_name(short_name(root)), said, element("br"), "sha256 ", element("code", root.sha256)]


def _fact(term: str, said: list[Content]) -> Iterator[Element]:
    yield element("dt", term)
    yield element("dd", *said)


def _nav() -> Element:
    items = (element("li", element("a", title, href=f"#{name}")) for name, title in _SECTIONS)
    return element("nav", element("ul", *items), aria_label="Parts of the report")


def _sections(report: Report, titles: Mapping[str, str]) -> Iterator[Element]:
    contents = (
        _tree(tree(report)),
        _expiry(report),
        page_findings.findings(report, titles),
        page_tables.workloads(report),
        page_tables.places(report),
        page_tables.unseen(report),
    )
    for (name, title), content in zip(_SECTIONS, contents, strict=True):
        yield element("section", element("h2", title, id=name), *content, aria_labelledby=name)


def _tree(drawn: Tree) -> list[Content]:
    """The picture where there is room for it; the same as a list on a phone, and for whom it is read out."""
    listed = element("ul", *(_item(node) for node in (*drawn.anchors, *drawn.beside)), class_="tree")
    return [
        element("figure", drawing(drawn, head=False), class_="tree-drawing"),
        element("div", listed, class_="tree-text"),
    ]


def _item(node: Node) -> Element:
    word = node.kind if node.kind is Kind.UNSEEN else node.mark
    title: list[Content] = [element("span", f"{node.mark.sign} {word} ", class_=f"mark {node.mark}"), _name(node.title)]
    words = (*node.lines, *([" ".join(node.codes)] if node.codes else []))
    below = [element("ul", *(_item(child) for child in node.below))] if node.below else []
    return element("li", *title, *(element("span", line, class_="words") for line in words), *below)


def _expiry(report: Report) -> list[Content]:
    first = endings(report)[:1]
    said = f"Next: {ending_words(first[0], report.at)}. " if first else ""
    rest = f" {counted(hidden(report), 'later end')} left out." if hidden(report) else ""
    scale = "The scale is logarithmic. SPIRE's agents renew leaves at half of their life, so minutes left are no alarm."
    return [element("p", said, scale, rest), element("figure", timeline(report))]


def _footer(origin: Origin) -> Element:
    again = element("code", "meshpki report -o html")
    return element(
        "footer",
        element(
            "p", f"Made by meshpki {origin.version} with ", again, "; nothing in this page was loaded from elsewhere."
        ),
        element("p", "What a code means, and how to mend its cause: ", element("code", "meshpki explain MPK-344")),
    )


def _sign(mark: Mark) -> Element:
    return element(
        "svg",
        sign(mark, 11, 11),
        xmlns=NAMESPACE,
        class_="drawing",
        viewBox="0 0 22 22",
        width=36,
        height=36,
        role="img",
        aria_label=mark,
    )


def _name(text: str) -> Element:
    """A name of somebody else's choice, which cannot turn the words around it."""
    return element("bdi", text)
