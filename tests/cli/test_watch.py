import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.cli import verdicts
from meshpki.cli.counting import Beats, counting
from meshpki.cli.verdicts.situation import situation, watched
from meshpki.cli.watch import changes, watch
from meshpki.cluster.client import ClusterError
from meshpki.errors import MeshpkiError
from meshpki.verify.assessment import Assessment
from meshpki.verify.workloads import PodVerdict, grouped
from tests.support import reports
from tests.support.cluster import FakeClock


def seen(*pods: PodVerdict) -> Assessment:
    return Assessment(replace(reports.drawn("empty"), workloads=grouped(pods)))


PROVEN = reports.pod("app", reports.workload_path())
BROKEN = reports.pod("app", reports.workload_path(), "broken", reports.finding())
SILENT = reports.pod("other", (), "unknown", reason="no answer")
DOWN = ClusterError("MPK-102", "the API server \x1b does not answer")


def looks(*answers: Assessment | MeshpkiError) -> Callable[[], Assessment]:
    """Each answer in turn, then Ctrl-C."""
    left = iter(answers)

    def look() -> Assessment:
        answer = next(left, None)
        if answer is None:
            raise KeyboardInterrupt
        if isinstance(answer, MeshpkiError):
            raise answer
        return answer

    return look


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, {"a": "proven", "b": "broken"}, [("b", "new", "broken")]),
        ({}, {"a": "proven"}, [("a", "new", "proven")]),
        ({"a": "proven"}, {"a": "proven"}, []),
        ({"a": "proven"}, {"a": "broken MPK-341"}, [("a", "proven", "broken MPK-341")]),
        ({"a": "broken MPK-341"}, {"a": "broken MPK-305"}, [("a", "broken MPK-341", "broken MPK-305")]),
        ({"a": "proven"}, {}, [("a", "proven", "gone")]),
    ],
)
def test_only_what_changed_is_told(
    before: dict[str, str] | None, after: dict[str, str], told: list[tuple[str, str, str]]
) -> None:
    assert list(changes(before, after, "proven")) == told


def test_the_situation_is_of_pods_places_and_all_peers() -> None:
    states = situation(reports.drawn("broken"))
    assert states["pod bookinfo/newborn-5d9-0"] == "broken MPK-343"
    assert states["webhook ConfigMap istio-system/istio-sidecar-injector"] == "broken MPK-341"
    assert states["peers"] == "broken"
    assert "peers" not in situation(reports.drawn("empty"))


def test_off_a_terminal_a_watch_is_a_line_a_change_until_it_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    look = looks(seen(PROVEN, SILENT), seen(PROVEN, SILENT), DOWN, seen(BROKEN), seen(PROVEN))
    with pytest.raises(KeyboardInterrupt):
        watch(look, watched(lambda one: verdicts.table(one.report)), timedelta(seconds=5), FakeClock())
    written = capsys.readouterr()
    assert written.out.splitlines() == [
        "2026-11-24T12:00:00Z 1 of 2 pods proven, 0 broken, 1 unknown",
        "2026-11-24T12:00:00Z pod bookinfo/other-5d9-0: new -> unknown",
        "2026-11-24T12:00:15Z pod bookinfo/app-5d9-0: proven -> broken MPK-341",
        "2026-11-24T12:00:15Z pod bookinfo/other-5d9-0: unknown -> gone",
        "2026-11-24T12:00:20Z pod bookinfo/app-5d9-0: broken MPK-341 -> proven",
    ]
    assert written.err == "2026-11-24T12:00:10Z look failed: MPK-102 the API server \\u{1b} does not answer\n"


def test_a_watch_whose_first_look_fails_is_a_command_that_fails() -> None:
    with pytest.raises(ClusterError):
        watch(looks(DOWN), watched(lambda one: verdicts.table(one.report)), timedelta(seconds=5), FakeClock())


def test_off_a_terminal_a_long_look_says_how_far_it_is_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    beats = Beats(clock.now)
    for done in range(1, 31):
        clock.wait(threading.Event(), timedelta(milliseconds=400))
        beats(done, 30)
    assert capsys.readouterr().err.splitlines() == [
        "12:00:05 verify 13 of 30 checked",
        "12:00:10 verify 26 of 30 checked",
    ]


def test_a_quick_look_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with counting() as progress:
        progress(1, 2)
        progress(2, 2)
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", "")
