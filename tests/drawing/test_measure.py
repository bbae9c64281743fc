import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpki.drawing.measure import fit, width, wrap

# advance widths in em of Verdana, the widest of the common faces for `sans-serif` (its hmtx table, 2048 units an em)
VERDANA = {
    "a": 0.601, "i": 0.274, "m": 0.973, "w": 0.818, "t": 0.394, "r": 0.427, "s": 0.521, "z": 0.525, "k": 0.592,
    "0": 0.636, "A": 0.684, "I": 0.421, "M": 0.843, "Q": 0.787, "R": 0.695, "W": 0.989, "@": 1.0, "%": 1.076,
    "/": 0.454, "-": 0.454, ".": 0.364, ":": 0.454, " ": 0.352, "+": 0.818, "#": 0.818, "_": 0.636, '"': 0.459,
}  # fmt: skip


@pytest.mark.parametrize("char", VERDANA, ids=repr)
def test_no_character_is_reckoned_narrower_than_the_widest_common_face_has_it(char: str) -> None:
    assert width(char, 1) >= VERDANA[char]


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("short", 100, "short"),
        ("", 100, ""),
        ("istio-ingressgateway-service-account", 120, "istio-in…-account"),
        ("anything", 0, "…"),
    ],
)
def test_what_is_too_long_keeps_both_ends(text: str, room: float, shown: str) -> None:
    assert fit(text, 12, room) == shown


def test_a_line_breaks_before_a_slash_and_after_a_comma_or_blank() -> None:
    identity = "/ns/istio-system/sa/istio-ingressgateway-service-account"
    assert wrap(identity, 12, 282, 2) == ("/ns/istio-system/sa", "/istio-ingressgateway-service-account")
    assert wrap("one, two three", 12, 70, 3) == ("one, two", "three")


@given(st.text(max_size=300), st.integers(30, 400), st.integers(1, 4))
def test_any_text_is_put_into_its_rows(text: str, room: int, rows: int) -> None:
    lines = wrap(text, 12, room, rows)
    assert len(lines) <= rows
    assert all(width(line, 12) <= room for line in lines)
