import pytest

from meshpki.cluster.manifest import Object
from meshpki.cluster.overlay import overlaid


@pytest.mark.parametrize(
    ("below", "above", "whole"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"name": "x", "v": 1}]}, {"a": [{"name": "x", "w": 2}]}, {"a": [{"name": "x", "v": 1, "w": 2}]}),
        ({"a": [{"name": "x"}]}, {"a": [{"name": "y"}]}, {"a": [{"name": "x"}, {"name": "y"}]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    ],
)
def test_what_lies_above_wins_and_named_lists_merge_by_name(below: Object, above: Object, whole: Object) -> None:
    assert overlaid(below, above) == whole
