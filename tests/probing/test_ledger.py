"""The book of the probe: every request once, nothing believed that has not the form of a record."""

from datetime import UTC, datetime, timedelta

import pytest

from meshpki.components.probe_flow import Flow
from meshpki.probing import Ledger, Tally

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
PAIR, GATEWAY, TARGET = Flow("a", "0", "a > b"), Flow("a", "gateway", "a > gateway"), Flow("a", "target", "a > shop")
STREAM = Flow("a", "stream", "a ~ b", stream=True)
RUN = int(START.timestamp())
OK = "200 0 ok"
EXPIRED = (
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport "
    "failure reason: TLS_error:|268435581:SSL routines:OPENSSL_internal:{}:TLS_error_end:TLS_error_end"
)


def line(number: int, said: str = OK, *, mark: str = "0", run: int = RUN, at: float | None = None) -> str:
    moment = START + timedelta(seconds=number if at is None else at)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}789Z r {mark} {run} {number} {said}\n"


def echo(number: int, at: float | None = None, run: int = RUN) -> str:
    moment = START + timedelta(seconds=number if at is None else at)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z e stream {run} {number}\n"


def broken(ended: int, at: float, run: int = RUN) -> str:
    return f"{START + timedelta(seconds=at):%Y-%m-%dT%H:%M:%S.%f}Z x stream {run} {ended}\n"


def lines(*numbers: int, mark: str = "0", run: int = RUN) -> str:
    return "".join(line(number, mark=mark, run=run) for number in numbers)


def counted(*pieces: str, flows: tuple[Flow, ...] = (PAIR,), client: str = "client-0") -> Tally:
    ledger = Ledger(flows)
    for piece in pieces:
        ledger.add("a", client, piece)
    return ledger.tally()


@pytest.mark.parametrize(
    ("pieces", "requests", "gaps"),
    [
        ([lines(1, 2, 3)], 3, 0),
        ([lines(1, 2, 3), lines(2, 3, 4)], 4, 0),
        ([lines(1, 2), lines(1, 2)], 2, 0),
        ([lines(1, 2), lines(5)], 3, 2),
        ([lines(1, 5), lines(2, 3, 4)], 5, 0),
        ([lines(3)], 1, 2),
        ([lines(1, 2) + line(3)[:-1]], 2, 0),
        ([lines(1, 2) + line(3)[:-1], line(3)], 3, 0),
        ([lines(1, 2), lines(1, 2, run=RUN + 9)], 4, 0),
        ([lines(1, 2), lines(2, run=RUN + 9)], 3, 1),
        (["", "\n", "\n\n"], 0, 0),
    ],
    ids=[
        "as they come",
        "polls overlap",
        "read twice",
        "numbers never seen",
        "numbers seen late",
        "the beginning is missing",
        "a line half written",
        "and then whole",
        "the container started again",
        "and its beginning is missing",
        "empty",
    ],
)
def test_each_number_of_a_run_counts_once_and_what_was_never_seen_is_a_gap(
    pieces: list[str], requests: int, gaps: int
) -> None:
    tally = counted(*pieces)
    assert (tally.requests, tally.gaps, tally.failed, tally.malformed) == (requests, gaps, 0, 0)


def test_the_same_numbers_of_another_pod_are_other_requests() -> None:
    ledger = Ledger([PAIR])
    ledger.add("a", "client-0", lines(1, 2))
    ledger.add("a", "client-0-new", lines(1, 2))
    assert (ledger.tally().requests, ledger.tally().flows[0].runs) == (4, 2)


@pytest.mark.parametrize(
    ("flow", "said", "error"),
    [
        (PAIR, OK, ""),
        (PAIR, "200 0 ok and more", "another answer"),
        (PAIR, "200 0 ", "another answer"),
        (PAIR, "200 0 ok\r" + OK, "another answer"),
        (PAIR, "503 0 " + EXPIRED.format("CERTIFICATE_VERIFY_FAILED"), "CERTIFICATE_VERIFY_FAILED"),
        (PAIR, "503 0 " + EXPIRED.format("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        (
            PAIR,
            "503 0 upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            "HTTP 503: connection termination",
        ),
        (PAIR, "503 0 no healthy upstream", "HTTP 503"),
        (PAIR, "403 0 RBAC: access denied", "HTTP 403"),
        (PAIR, "000 7 ", "connection refused"),
        (PAIR, "000 28 ", "no answer in time"),
        (PAIR, "000 56 ", "hung up"),
        (PAIR, "000 6 ", "name not resolved"),
        (PAIR, "200 18 ok", "curl 18"),
        (GATEWAY, OK, ""),
        (GATEWAY, "404 0 ", "HTTP 404"),
        (TARGET, "204 0 ", ""),
        (TARGET, "302 0 ", ""),
        (TARGET, "404 0 ", "HTTP 404"),
        (TARGET, "503 0 ", "HTTP 503"),
        (TARGET, "000 52 ", "hung up"),
    ],
)
def test_a_request_is_answered_or_failed_with_its_class(flow: Flow, said: str, error: str) -> None:
    tally = counted(line(1, said, mark=flow.mark), flows=(flow,))
    assert (tally.requests, tally.malformed) == (1, 0)
    assert tally.errors == (((error, 1),) if error else ())
    assert [(one.error, one.number) for one in tally.failures] == ([(error, 1)] if error else [])
    assert tally.proven is not bool(error)


GOOD = line(1).strip()
STAMP, _, REST = GOOD.partition(" ")


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        REST,
        GOOD.replace("r 0", "q 0"),
        GOOD.replace("r 0", "r 1"),
        GOOD.replace("r 0", "r stream"),
        GOOD.replace("r 0", "e 0"),
        GOOD.replace("200 0", "2000 0"),
        GOOD.replace("200 0", "٢٠٠ 0"),
        GOOD.replace(" 1 200", " 99999999999999 200"),
        GOOD.replace(" 1 200", " -1 200"),
        GOOD.replace("2026-11-25", "2026-13-45"),
        GOOD.replace("2026-11-25T12:00:01.000000789Z", "0001-01-01T00:00:00+23:59"),
        "\x00" * 5000,
        "\x1b[2J" + GOOD,
        GOOD.replace(STAMP, "x" * 30),
        f"{STAMP} e 0 {RUN} 1",
        f"{STAMP} r 0 {RUN} 1",
    ],
)
def test_a_line_of_another_form_is_counted_as_such_and_never_believed(bad: str) -> None:
    tally = counted(line(1) + bad + "\n" + line(2), bad + "\n")
    assert (tally.requests, tally.failed, tally.gaps) == (2, 0, 0)
    assert tally.malformed == 1
    assert not tally.proven


def test_what_a_server_said_is_cut_short_and_carries_no_control_character() -> None:
    tally = counted(line(1, "503 0 \x1b[31m" + "x" * 10_000))
    assert tally.failures[0].text.isprintable()
    assert len(tally.failures[0].text) == 320


def test_classes_and_kept_failures_are_bounded_however_many_there_are() -> None:
    said = [line(n, f"503 0 OPENSSL_internal:CLASS_{n}") for n in range(1, 400)]
    tally = counted("".join(said), "".join(line(n, "503 0 OPENSSL_internal:SAME") for n in range(400, 900)))
    assert tally.failed == 899
    assert sum(count for _, count in tally.errors) == 899
    assert len(tally.errors) <= 51
    assert len(tally.failures) <= 51 * 20


def test_what_came_before_the_beginning_is_start_up_and_does_not_count() -> None:
    ledger = Ledger([PAIR])
    before = "sh: something\n" + line(1, "000 7 ") + lines(2, 3)
    assert ledger.begin("a", "client-0", before) == START + timedelta(seconds=3)
    ledger.add("a", "client-0", before + lines(4, 5, 7))
    tally = ledger.tally()
    assert (tally.requests, tally.failed, tally.gaps, tally.malformed) == (3, 0, 1, 0)
    assert tally.started == START + timedelta(seconds=4)


def test_a_run_that_began_before_the_count_and_is_first_seen_later_has_no_gap() -> None:
    ledger = Ledger([PAIR, GATEWAY])
    ledger.begin("a", "client-0", lines(1, 2))
    ledger.add("a", "client-0", lines(100, 101, mark="gateway", run=RUN - 60))
    assert (ledger.tally().requests, ledger.tally().gaps) == (2, 0)


@pytest.mark.parametrize(
    ("piece", "echoes", "breaks", "gaps", "errors"),
    [
        (echo(1) + echo(2) + echo(3), 3, 0, 0, ()),
        (echo(1) + echo(2) + echo(2) + echo(4), 3, 0, 1, ()),
        (echo(1) + echo(2, at=10), 2, 0, 0, ()),
        (echo(1) + echo(2, at=12), 2, 1, 0, (("stream silent", 1),)),
        (echo(1) + echo(1, at=40, run=RUN + 39), 2, 0, 0, ()),
        (echo(1) + broken(0, 2), 1, 1, 0, (("closed", 1),)),
        (echo(1) + broken(56, 2) + broken(56, 2), 1, 1, 0, (("hung up", 1),)),
        (echo(1) + broken(0, 2) + echo(1, at=12, run=RUN + 3), 2, 1, 0, (("closed", 1),)),
        (broken(0, 2) + broken(0, 4, run=RUN + 2), 0, 2, 0, (("closed", 2),)),
    ],
    ids=[
        "whole",
        "a line lost",
        "slow",
        "silent",
        "the client started again",
        "closed",
        "reset, read twice",
        "reopened",
        "never open",
    ],
)
def test_a_stream_is_whole_or_broken(
    piece: str, echoes: int, breaks: int, gaps: int, errors: tuple[tuple[str, int], ...]
) -> None:
    tally = counted(piece, piece, flows=(STREAM,))
    assert [(one.echoes, one.breaks, one.gaps) for one in tally.streams] == [(echoes, breaks, gaps)]
    assert tally.errors == errors


def test_the_timeline_tells_requests_and_failures_of_each_second() -> None:
    tally = counted(line(1, at=1.2) + line(2, "503 0 x", at=1.9) + line(3, at=3.0))
    assert [(one.at.second, one.requests, one.failed) for one in tally.timeline] == [(1, 2, 1), (3, 1, 0)]
    assert tally.per_second == pytest.approx(3 / 1.8)


def test_a_flow_without_a_record_of_late_is_told_and_proves_nothing() -> None:
    tally = counted(lines(*range(1, 30)), flows=(PAIR, GATEWAY, STREAM))
    assert tally.silent == (GATEWAY, STREAM)
    assert not tally.proven
    assert "a > gateway" in tally.why_not()


def test_only_a_whole_count_is_proven() -> None:
    ledger = Ledger([PAIR, STREAM])
    assert not ledger.tally().proven
    assert ledger.tally().why_not() == "no request was seen"
    ledger.add("a", "client-0", lines(1, 2) + echo(1) + echo(2))
    assert ledger.tally().proven
    assert ledger.tally().why_not() == ""
    assert ledger.tally("client-1 could not be asked").why_not() == "client-1 could not be asked"
    assert not ledger.tally("client-1 could not be asked").proven
