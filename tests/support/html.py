"""HTML as a strict reader takes it in."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}
ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "a",
    "header",
    "h1",
    "bdi",
    "div",
    "strong",
    "p",
    "dl",
    "dt",
    "dd",
    "time",
    "br",
    "code",
    "nav",
    "ul",
    "li",
    "main",
    "section",
    "h2",
    "h3",
    "figure",
    "span",
    "article",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "footer",
    "svg",
    "desc",
    "defs",
    "marker",
    "path",
    "rect",
    "text",
    "g",
    "line",
}


@dataclass
class Seen(HTMLParser):
    """A strict reader: every element is closed where it was opened."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len({name for name, _ in attrs}), tag
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def words(self) -> str:
        return "".join(text for tag, text in self.texts if tag != "style")


def read(text: str) -> Seen:
    """The page, every element of which must be closed."""
    reader = Seen()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader
