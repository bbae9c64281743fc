"""A million damaged chains with `--full`, a sample otherwise: none crashes the judge, none is proven by mistake."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed

import pytest

from meshpki.codes import catalogue
from tests.conformance.mutants import Tally, share
from tests.conformance.mutations import KINDS

SHARE = 2_500
SAMPLE, ALL = 20_000, 1_000_000
# a hang would be seen as a share that does not end
SECONDS_A_SHARE = 300


@pytest.fixture(scope="module")
def tally(seed: int, full: bool, say: Callable[[str], None]) -> Tally:
    whole, started = Tally(), time.monotonic()
    shares, workers = (ALL if full else SAMPLE) // SHARE, os.cpu_count() or 1
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        done = [pool.submit(share, seed, number, SHARE) for number in range(shares)]
        for one in as_completed(done, timeout=SECONDS_A_SHARE * shares / workers):
            whole.add(one.result())
    seconds = time.monotonic() - started
    say(
        f"{whole.judged} mutants of seed {seed} in {seconds:.0f} s by {workers} processes "
        f"({whole.judged / seconds:.0f} a second; {whole.judged / whole.seconds:.0f} a second of processor time): "
        f"{whole.accepted} proven, {whole.untouched} of them untouched, {whole.asked} asked of openssl; "
        f"slowest {whole.slowest * 1000:.0f} ms; refused by {dict(whole.refused.most_common())}"
    )
    return whole


def test_no_mutant_raises_anything_but_a_refusal(tally: Tally) -> None:
    assert tally.crashed == []


def test_no_mutant_takes_longer_than_a_second(tally: Tally) -> None:
    assert tally.slowest < 1


def test_no_mutant_is_proven_unless_what_was_signed_is_untouched_or_was_signed_again(tally: Tally) -> None:
    assert tally.unsigned == []


def test_openssl_accepts_every_mutant_that_is_proven(tally: Tally) -> None:
    assert tally.only_ours == []
    assert tally.asked > 0


def test_every_refusal_has_a_code_that_is_explained(tally: Tally) -> None:
    assert tally.uncoded == []
    assert set(tally.refused) <= set(catalogue())
    assert tally.refused.total() + tally.accepted == tally.judged


def test_every_kind_of_damage_was_done(tally: Tally) -> None:
    assert set(tally.kinds) == set(KINDS)
