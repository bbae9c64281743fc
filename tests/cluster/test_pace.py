"""What the API server refused, and when -> how many connections may be open, and from when."""

from meshpki.cluster.pace import Pace


def test_the_width_is_never_exceeded() -> None:
    pace = Pace(2)
    for _ in range(100):
        pace.answered()
    assert [pace.allows(underway, 0) for underway in range(4)] == [True, True, False, False]


def test_nothing_begins_before_the_time_the_api_server_named() -> None:
    pace = Pace(8)
    pace.refused(begun=0, now=1, after=3)
    assert [pace.allows(0, now) for now in (1, 3.9, 4)] == [False, False, True]


def test_refusals_of_what_began_together_halve_once_and_those_of_a_later_try_again() -> None:
    pace, limits = Pace(64), []
    for begun, now in ((0, 1), (0.5, 1.1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13)):
        pace.refused(begun, now, after=0)
        limits.append(pace.limit)
    assert limits == [32, 32, 16, 8, 4, 2, 1, 1]


def test_the_longest_pause_named_holds() -> None:
    pace = Pace(8)
    pace.refused(begun=0, now=1, after=30)
    pace.refused(begun=0, now=2, after=1)
    assert not pace.allows(0, 30)


def test_the_limit_grows_by_one_for_as_many_answers_as_it_is() -> None:
    pace = Pace(8)
    pace.refused(begun=0, now=0, after=0)
    grown = []
    for _ in range(30):
        pace.answered()
        grown.append(pace.limit)
    assert [grown.count(limit) for limit in (4, 5, 6, 7)] == [3, 5, 6, 7]
    assert max(grown) == 8
