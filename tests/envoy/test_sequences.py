"""Random steps of a rotation, through the real Envoys, against a model of one line."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.envoy.judging import proven
from tests.envoy.states import ORDERED, Side, holding
from tests.support.envoys import Envoy, one_way

SAMPLE, ALL = 12, 150
REQUESTS = 3
# which anchors prove a chain, each alone
PROVEN_BY = {"1": {"R1"}, "2": {"R2"}, "twin": {"twin"}, "2+X": {"R1", "R2"}}
# meshpki asks for one intermediate at most
ALSO_JUDGED = {"1", "2", "twin"}
TRUSTS = [" ".join(order) for size in (1, 2, 3) for order in permutations(("R1", "R2", "twin"), size)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from("AB"), st.sampled_from([(trust, "") for trust in TRUSTS] + [("", one) for one in PROVEN_BY])
    ),
    min_size=1,
    max_size=8,
)
Holds = dict[Side, tuple[str, str]]


def accepts(trust: str, chain: str) -> bool:
    return bool(PROVEN_BY[chain] & set(trust.split()))


def test_whatever_is_changed_in_whatever_order_a_request_passes_iff_each_sides_anchors_prove_the_others_chain(
    sides: tuple[Envoy, Envoy], request: pytest.FixtureRequest
) -> None:
    @seeded(request.config.getoption("--seed"))
    @settings(max_examples=ALL if request.config.getoption("--full") else SAMPLE, deadline=None, database=None)
    @given(STEPS)
    def holds(steps: Sequence[tuple[Side, tuple[str, str]]]) -> None:
        held: Holds = {"A": ORDERED[0].a, "B": ORDERED[0].b}
        bring(sides, held)
        for side, (trust, chain) in steps:
            held[side] = (trust or held[side][0], chain or held[side][1])
            bring(sides, held)
            check(sides, held)

    holds()


def bring(sides: tuple[Envoy, Envoy], held: Holds) -> None:
    for envoy, side in zip(sides, held, strict=True):
        envoy.hold(holding(side, *held[side]))


def check(sides: tuple[Envoy, Envoy], held: Holds) -> None:
    (a, b), dumps = sides, [envoy.secrets() for envoy in sides]
    by_a, by_b = accepts(held["A"][0], held["B"][1]), accepts(held["B"][0], held["A"][1])
    answered = REQUESTS if by_a and by_b else 0
    assert (one_way(a, b, REQUESTS).answered, one_way(b, a, REQUESTS).answered) == (answered, answered)
    if held["B"][1] in ALSO_JUDGED:
        assert proven(dumps[1], dumps[0]) == by_a
    if held["A"][1] in ALSO_JUDGED:
        assert proven(dumps[0], dumps[1]) == by_b
