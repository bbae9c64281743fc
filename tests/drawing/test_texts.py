"""The tree as indented text, as DOT and as Mermaid: the same boxes, and each escaped as its reader wants it."""

import re

import pytest

from meshpki.drawing import dot, mermaid, outline
from meshpki.drawing.tree import tree
from tests.support.reports import EVERY, drawn

NAMES = pytest.mark.parametrize("name", EVERY)
STRING = r'"(?:[^"\\\n]|\\.)*"'
DOT_LINE = re.compile(
    rf"digraph trust {{|  (?:rankdir=LR|bgcolor={STRING}|charset={STRING}|label={STRING});|  node \[.*\];"
    rf"|  subgraph cluster_beside {{|    label={STRING};|  n\d+ \[label={STRING}(?:, \w+=(?:{STRING}|[\d.]+))+\];"
    r'|  n\d+ -> n\d+ \[color="#[0-9a-f]{6}", style=\w+\];|  }|}'
)
MERMAID_LINE = re.compile(
    r'flowchart LR|  subgraph (?:tree|beside)\["[^"]*"\]|  direction LR|    n\d+\["[^"\[\]`{}|;<>:]*"\]'
    r"|    n\d+ (?:-->|-\.->) n\d+|  end|  classDef \w+ fill:#\w{6},stroke:#\w{6},color:#\w{6},text-align:left"
    r"|  class n\d+(?:,n\d+)* \w+"
)


@NAMES
def test_every_box_stands_in_every_form(name: str) -> None:
    whole = tree(drawn(name))
    assert len(re.findall(r"^  n\d+ \[", dot.dot(whole), re.MULTILINE)) == len(whole.nodes)
    assert len(re.findall(r"^    n\d+\[", mermaid.mermaid(whole), re.MULTILINE)) == len(whole.nodes)
    told = outline.text(whole)
    assert all(f"{node.mark.sign} {node.title}  {node.mark}" in told for node in whole.nodes)


@NAMES
def test_dot_is_made_of_statements_we_know_and_quoted_strings(name: str) -> None:
    unknown = [line for line in dot.dot(tree(drawn(name))).splitlines() if not DOT_LINE.fullmatch(line)]
    assert unknown == []


@NAMES
def test_mermaid_is_made_of_statements_we_know_and_labels_without_syntax(name: str) -> None:
    lines = mermaid.mermaid(tree(drawn(name))).splitlines()
    plain = [re.sub(r"#\d+;|<br/>", "", line) for line in lines]
    assert [line for line in plain if not MERMAID_LINE.fullmatch(line)] == []


@NAMES
def test_mermaid_stays_below_the_sizes_at_which_it_refuses_a_drawing(name: str) -> None:
    drawing = mermaid.mermaid(tree(drawn(name)))
    assert len(drawing) < 50_000  # maxTextSize
    assert drawing.count(" --> ") + drawing.count(" -.-> ") < 500  # maxEdges


@NAMES
def test_nothing_in_a_text_steers_a_terminal(name: str) -> None:
    whole = tree(drawn(name))
    for told in (outline.text(whole), dot.dot(whole), mermaid.mermaid(whole)):
        assert not {char for char in told if not char.isprintable()} - {"\n"}


@pytest.mark.parametrize(
    ("text", "in_dot", "in_mermaid"),
    [
        ("reviews-v3", "reviews-v3", "reviews-v3"),
        ('a"b', 'a\\"b', "a#34;b"),
        ("a\\lb\\N", "a\\\\lb\\\\N", "a#92;lb#92;N"),
        ("&lt;", "&amp;lt;", "#38;lt#59;"),
        ("<b>", "&lt;b&gt;", "#60;b#62;"),
        ("`x` #35; a:b", "`x` #35; a:b", "#96;x#96; #35;35#59; a#58;b"),
        ("end\nn0", "end\\\\u{a}n0", "end#92;u#123;a#125;n0"),
    ],
)
def test_what_means_something_to_a_language_is_escaped_in_it(text: str, in_dot: str, in_mermaid: str) -> None:
    assert dot.escaped(text) == in_dot
    assert mermaid.escaped(text) == in_mermaid


def test_the_text_is_indented_as_trust_runs() -> None:
    told = outline.text(tree(drawn("broken"))).splitlines()
    assert told[:4] == [
        "trust tree of example.org at 2026-11-24 12:00 UTC",
        "9 of 14 pods proven, 4 broken, 1 unknown; 22 of 23 places proven",
        "",
        "✓ meshpki-root-g1  proven",
    ]
    assert "│  └─ ✗ intruder  broken  MPK-344" in told
    assert "└─ ✓ istiod.istio-system.svc  proven" in told
    assert "beside the chains" in told
