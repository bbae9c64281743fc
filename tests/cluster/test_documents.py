"""Objects as YAML: read back as they were, and by a reader of another YAML version alike."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshpki.cluster.documents import document, stream

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
TREES = st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(st.text(), below), max_leaves=20)


@given(st.dictionaries(st.text(min_size=1), TREES))
def test_whatever_was_written_reads_back_the_same(content: dict[str, object]) -> None:
    assert yaml.load(document(content), Loader=yaml.CSafeLoader) == content


@pytest.mark.parametrize("text", ["1e3", "0o17", "0x1f", "1_000", "12:30", "2026-01-01", ".5", "1.29", "+1", "0b1"])
def test_text_that_some_reader_takes_for_a_number_is_quoted(text: str) -> None:
    assert document({"a": text}) == f'a: "{text}"\n'


@pytest.mark.parametrize("text", ["yes", "on", "n", "null", "~", "true", ""])
def test_text_that_some_reader_takes_for_a_truth_is_quoted_or_told_apart(text: str) -> None:
    assert document({"a": text}) in (f"a: '{text}'\n", f'a: "{text}"\n')


def test_text_of_several_lines_stays_readable_and_keys_keep_their_order() -> None:
    assert document({"b": "x\ny\n", "a": 1}) == "b: |\n  x\n  y\na: 1\n"


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    shared = {"x": 1}
    assert document({"a": shared, "b": shared}) == "a:\n  x: 1\nb:\n  x: 1\n"


def test_a_stream_separates_its_documents() -> None:
    assert stream([{"a": 1}, {"b": 2}]) == "a: 1\n---\nb: 2\n"
