import sys
from datetime import timedelta

import pytest

from meshpki.drawing.words import counted, left, moment, visible
from tests.support.certificates import AT


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202eevil", "a\nb", "\u2066", "\x7f", "\u200b", "\u2028", "\ud800"])
def test_characters_that_steer_are_shown_by_number(text: str) -> None:
    assert visible(text).isprintable()
    assert "\\u{" in visible(text)


def test_what_does_not_steer_is_left_as_it_is() -> None:
    text = "spiffe://example.org/ns/a <b> \"c\" 'd' ü 世"
    assert visible(text) == text


def test_no_character_of_any_kind_that_xml_forbids_is_left() -> None:
    shown = visible("".join(map(chr, range(sys.maxunicode + 1))))
    assert not [char for char in shown if ord(char) < 0x20 or 0xD800 <= ord(char) <= 0xDFFF or char in "\ufffe\uffff"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "expired"), (0, "0m left"), (3600 * 3 - 1, "179m left"), (3600 * 3, "3h left"), (86400 * 3, "3d left")],
)
def test_the_time_left_is_in_one_unit(seconds: int, shown: str) -> None:
    assert left(AT + timedelta(seconds=seconds), AT) == shown


def test_numbers_have_their_noun_and_moments_their_zone() -> None:
    assert (counted(1, "pod"), counted(0, "pod"), counted(10_000, "pod")) == ("1 pod", "0 pods", "10,000 pods")
    assert counted(2, "leaf", "leaves") == "2 leaves"
    assert moment(AT) == "2026-11-24 12:00 UTC"
