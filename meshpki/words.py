"""Lists as people read them in a message: what does not fit is counted."""

from collections.abc import Sequence


def first_of(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of some names, and how many more there are."""
    left = len(names) - most
    if left <= 0:
        return between.join(names)
    return f"{between.join(names[:most])}{between.removeprefix(',')}and {left:,} more"
