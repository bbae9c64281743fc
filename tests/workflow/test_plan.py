import pytest

from meshpki.errors import UsageError
from meshpki.workflow.plan import Selection, narrowed
from meshpki.workflow.step import Gate, Ready, Step

STEPS = (Step("a", "a"), Step("b", "b", needs=("a",)), Step("c", "c", needs=("b/gate",)), Step("d", "d", needs=("a",)))


@pytest.mark.parametrize(
    ("selection", "chosen", "assumed"),
    [
        (Selection(), "abcd", ""),
        (Selection(only=("b",)), "b", "a"),
        (Selection(first="c"), "cd", "ab"),
        (Selection(last="b"), "ab", ""),
        (Selection(first="b", last="c"), "bc", "a"),
        (Selection(skip=("c",)), "abd", ""),
        (Selection(only=("d", "b")), "bd", "a"),
    ],
)
def test_a_selection_keeps_the_order_and_names_what_it_takes_for_granted(
    selection: Selection, chosen: str, assumed: str
) -> None:
    plan = narrowed(STEPS, selection)
    assert "".join(step.name for step in plan.steps) == chosen
    assert "".join(step.name for step in plan.assumed) == assumed


def test_what_a_gate_waits_for_beside_its_step_is_taken_for_granted_too() -> None:
    gate = Gate("last", "it proves something", lambda _: Ready(), hint="", needs=("b",))
    steps = (*STEPS[:2], Step("e", "e", needs=("a",), gates=(gate,)))
    assert [step.name for step in narrowed(steps, Selection(only=("e",))).assumed] == ["a", "b"]
    assert [step.name for step in narrowed(steps, Selection(skip=("b",))).assumed] == ["b"]
    assert narrowed(steps, Selection()).assumed == ()


@pytest.mark.parametrize("selection", [Selection(only=("bb",)), Selection(first="e"), Selection(skip=("zz",))])
def test_a_name_that_is_no_step_is_refused_with_the_names_there_are(selection: Selection) -> None:
    with pytest.raises(UsageError) as caught:
        narrowed(STEPS, selection)
    assert "a, b, c, d" in caught.value.remedy


def test_a_selection_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves no step"):
        narrowed(STEPS, Selection(only=("a",), skip=("a",)))
