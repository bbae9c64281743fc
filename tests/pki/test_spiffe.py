import pytest
from hypothesis import given
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


def test_a_service_account_has_the_form_that_istio_expects() -> None:
    assert (
        str(of_service_account("example.org", "bookinfo", "reviews")) == "spiffe://example.org/ns/bookinfo/sa/reviews"
    )
