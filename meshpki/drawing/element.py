"""Elements of SVG and HTML, in which every text and attribute is data: escaped, and with nothing that steers."""

from xml.etree.ElementTree import Element, tostring

from meshpki.drawing.words import visible

Content = Element | str


def element(name: str, /, *content: Content, **attributes: object) -> Element:
    """An element; `_` in an attribute's name stands for `-`, one at the end keeps it from being a Python keyword."""
    made = Element(name, {_attribute(key): visible(str(value)) for key, value in attributes.items() if value != ""})
    add(made, *content)
    return made


def add(parent: Element, *content: Content) -> None:
    """Append elements and texts in their order."""
    for one in content:
        if isinstance(one, Element):
            parent.append(one)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + visible(one)
        else:
            parent.text = (parent.text or "") + visible(one)


def style(css: str) -> Element:
    """A style sheet of ours; nothing foreign may be put into it, as HTML does not escape there."""
    made = Element("style")
    made.text = css
    return made


def as_xml(root: Element) -> str:
    """A document of XML."""
    return tostring(root, "unicode") + "\n"


def as_html(root: Element) -> str:
    """A document of HTML, with its doctype."""
    return "<!DOCTYPE html>\n" + tostring(root, "unicode", method="html") + "\n"


def _attribute(name: str) -> str:
    return name.removesuffix("_").replace("_", "-")
