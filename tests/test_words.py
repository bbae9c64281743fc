"""Lists in messages."""

import pytest

from meshpki.words import first_of


@pytest.mark.parametrize(
    ("number", "most", "between", "shown"),
    [
        (0, 2, ", ", ""),
        (2, 2, ", ", "0, 1"),
        (3, 2, ", ", "0, 1 and 1 more"),
        (3, 1, "; ", "0; and 2 more"),
        (10_001, 1, ", ", "0 and 10,000 more"),
    ],
)
def test_what_does_not_fit_is_counted(number: int, most: int, between: str, shown: str) -> None:
    assert first_of([str(one) for one in range(number)], most, between) == shown
