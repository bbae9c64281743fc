"""What every page is made of around its contents: head, policy, verdict, facts, the list of its parts, footer."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from meshpki.drawing.element import Content, as_html, element, style
from meshpki.drawing.mark import Mark
from meshpki.drawing.page_style import page_css
from meshpki.drawing.svg import NAMESPACE, sign

Fact = tuple[str, Sequence[Content]]


@dataclass(frozen=True)
class Origin:
    """Where a report comes from: the kubeconfig's context, the API server's address, and the version of meshpki."""

    context: str
    server: str
    version: str


@dataclass(frozen=True)
class Section:
    """One part of a page: its id, its heading, and what stands below it."""

    name: str
    title: str
    content: Sequence[Content]


@dataclass(frozen=True)
class Page:
    """A page: the title of its window, what stands above all parts, the parts, and the paragraphs at its end."""

    title: str
    header: Sequence[Content]
    sections: Sequence[Section]
    footer: Sequence[Content]

    def html(self) -> str:
        """The whole document."""
        body = element(
            "body",
            element("a", "Skip to the report", class_="skip", href="#report"),
            element("header", *self.header),
            self._nav(),
            element("main", *map(_section, self.sections), id="report"),
            element("footer", *self.footer),
        )
        return as_html(element("html", _head(self.title), body, lang="en", dir="ltr"))

    def _nav(self) -> Element:
        items = (element("li", element("a", one.title, href=f"#{one.name}")) for one in self.sections)
        return element("nav", element("ul", *items), aria_label="Parts of the report")


def verdict(mark: Mark, said: str, *words: str) -> Element:
    """The box that stands first: sign, verdict, and its reasons."""
    told = element("div", element("strong", said), *(element("p", one) for one in words))
    return element("div", _sign(mark), told, class_=f"verdict {mark}")


def facts(pairs: Iterable[Fact]) -> Element:
    """A list of terms with what is said of each."""
    return element("dl", *(part for term, said in pairs for part in _fact(term, said)), class_="facts")


def source(origin: Origin) -> Fact:
    """Which cluster it is about."""
    return "Context", [named(origin.context or "of the kubeconfig"), " at ", named(origin.server)]


def made_by(origin: Origin, command: str) -> Element:
    """The command that makes such a page."""
    again = element("code", command)
    return element(
        "p", f"Made by meshpki {origin.version} with ", again, "; nothing in this page was loaded from elsewhere."
    )


def named(text: str) -> Element:
    """A name of somebody else's choice, which cannot turn the words around it."""
    return element("bdi", text)


def _head(title: str) -> Element:
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
        element("title", title),
        style(css),
    )


def _fact(term: str, said: Sequence[Content]) -> Iterator[Element]:
    yield element("dt", term)
    yield element("dd", *said)


def _section(one: Section) -> Element:
    return element("section", element("h2", one.title, id=one.name), *one.content, aria_labelledby=one.name)


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
