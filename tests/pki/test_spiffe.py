import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpki.pki.spiffe import MalformedIdError, SpiffeId, of_service_account, parse

GOOD = {
    "spiffe://example.org": SpiffeId("example.org"),
    "spiffe://example.org/ns/a/sa/b": SpiffeId("example.org", "/ns/a/sa/b"),
    "spiffe://a_b-c.1/x.Y_z-0": SpiffeId("a_b-c.1", "/x.Y_z-0"),
    f"spiffe://{'a' * 255}/x": SpiffeId("a" * 255, "/x"),
    f"spiffe://a/{'x' * 2037}": SpiffeId("a", "/" + "x" * 2037),
}
BAD = (
    "",
    "example.org/a",
    "https://example.org/a",
    "SPIFFE://example.org/a",
    "spiffe:///a",
    "spiffe://Example.org/a",
    "spiffe://user@example.org/a",
    "spiffe://example.org:8443/a",
    "spiffe://example.org/a?b",
    "spiffe://example.org/a#b",
    "spiffe://example.org/%61",
    "spiffe://example.org/",
    "spiffe://example.org/a/",
    "spiffe://example.org//a",
    "spiffe://example.org/./a",
    "spiffe://example.org/../a",
    "spiffe://example.org/a\n",
    "spiffe://example.org\n/a",
    "spiffe://example.org/a\x00",
    "spiffe://ex\u00e4mple.org/a",
    "spiffe://example.org/\u202ea",
    " spiffe://example.org/a",
    f"spiffe://{'a' * 256}/x",
    f"spiffe://a/{'x' * 2038}",
)


@pytest.mark.parametrize("text", GOOD)
def test_a_spiffe_id_is_read_into_trust_domain_and_path_and_written_back_the_same(text: str) -> None:
    assert parse(text) == GOOD[text]
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", BAD)
def test_what_breaks_a_rule_of_spiffe_id_is_refused(text: str) -> None:
    with pytest.raises(MalformedIdError):
        parse(text)


@given(st.text())
def test_any_text_is_read_back_unchanged_or_refused(text: str) -> None:
    try:
        read = parse(f"spiffe://{text}")
    except MalformedIdError:
        return
    assert str(read) == f"spiffe://{text}"


# the grammar of SPIFFE-ID 2 in one expression, written apart from the code under test
GRAMMAR = re.compile(
    r"spiffe://(?P<domain>[a-z0-9._-]{1,255})(?P<path>(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)*)", re.ASCII
)
PIECES = (
    "spiffe://",
    "example.org",
    "/",
    "a",
    "..",
    ".",
    "A",
    "%41",
    "?",
    "#",
    "@",
    ":",
    "\n",
    "\0",
    "\u202e",
    "_",
    "x" * 256,
)


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@settings(max_examples=500)
def test_text_of_hostile_pieces_is_read_exactly_where_the_grammar_has_it(text: str) -> None:
    grammar = GRAMMAR.fullmatch(text)
    try:
        read = parse(text)
    except MalformedIdError:
        assert grammar is None
        return
    assert grammar
    assert (read.trust_domain, read.path) == (grammar["domain"], grammar["path"])


@given(st.from_regex(GRAMMAR, fullmatch=True))
def test_every_id_of_the_grammar_is_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("https://example.org/a", 2),
        ("spiffe:///a", 2),
        ("spiffe://example.org/a?b", 2),
        ("spiffe://Example.org/a", 3),
        (f"spiffe://{'a' * 256}/x", 3),
        ("spiffe://example.org//a", 4),
        ("spiffe://example.org/a@b", 4),
        ("spiffe://example.org/a\n", 5),
    ],
)
def test_a_malformed_id_names_the_rule_that_it_breaks(text: str, rule: int) -> None:
    with pytest.raises(MalformedIdError) as caught:
        parse(text)
    assert caught.value.rule == rule


def test_a_service_account_has_the_form_that_istio_expects() -> None:
    assert (
        str(of_service_account("example.org", "bookinfo", "reviews")) == "spiffe://example.org/ns/bookinfo/sa/reviews"
    )
