from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpki.settings import go_duration
from meshpki.settings.durations import LONGEST, NoUnitError, parse

WHOLE = st.integers(0, int(LONGEST.total_seconds())).map(lambda seconds: timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("720h", 720 * 3600),
        ("90d", 90 * 86400),
        ("1h30m", 5400),
        ("1d12h", 36 * 3600),
        ("1.5h", 5400),
        ("0s", 0),
        ("1000ms", 1),
    ],
)
def test_a_duration_is_read_as_go_reads_it_and_days_are_days(text: str, seconds: int) -> None:
    assert parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no duration"),
        ("soon", "is no duration"),
        ("-1h", "is no duration"),
        ("1 h", "is no duration"),
        ("1h ", "is no duration"),
        ("٣h", "is no duration"),
        ("3w", "has the unit 'w'"),
        ("1h2mo", "has the unit 'mo'"),
        ("1.5s", "is no whole number of seconds"),
        ("1ms", "is no whole number of seconds"),
        ("106752d", "is longer than 292 years"),
    ],
)
def test_what_is_no_duration_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


@pytest.mark.parametrize("text", ["720", "0", "1.5", "."])
def test_a_bare_number_has_no_unit(text: str) -> None:
    with pytest.raises(NoUnitError):
        parse(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=30), "720h"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=61), "1m1s"),
        (timedelta(0), "0s"),
    ],
)
def test_a_duration_is_written_without_needless_parts(duration: timedelta, text: str) -> None:
    assert go_duration(duration) == text


@given(WHOLE)
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    assert parse(go_duration(duration)) == duration


@given(st.text(max_size=30) | st.from_regex(r"[0-9.]{0,30}[a-z0-9.]{0,12}", fullmatch=True))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        duration = parse(text)
    except ValueError:
        return
    assert timedelta(0) <= duration <= LONGEST
