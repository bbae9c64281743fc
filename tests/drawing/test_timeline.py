from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.drawing.mark import Mark
from meshpki.drawing.timeline import endings, hidden, share, timeline
from meshpki.verify.workloads import grouped
from tests.support import certificates as made
from tests.support import reports
from tests.support.certificates import AT
from tests.support.reports import EVERY, drawn

YEAR = timedelta(days=365)


def bars(name: str) -> list[float]:
    found = [one for one in timeline(drawn(name)).iter("rect") if one.attrib["class"].startswith("bar")]
    return [float(one.attrib["width"].removesuffix("%")) for one in found]


def test_the_soonest_end_comes_first_and_leaves_are_summed_up_by_namespace() -> None:
    names = [ending.name for ending in endings(drawn("good"))]
    assert names[:2] == ["1 leaf in istio-system", "1 leaf of spire-server"]
    assert names[2] == "7 leaves in bookinfo"
    assert names[-1] == "root meshpki-root-g1"
    ends = [ending.ends for ending in endings(drawn("broken"))]
    assert ends == sorted(ends)


def test_what_has_expired_is_broken_and_says_so() -> None:
    gone = made.root(made.ROOT.but(not_before=AT - 2 * YEAR, not_after=AT - YEAR)).certificate
    found = replace(drawn("empty"), roots=(gone,))
    assert [ending.mark for ending in endings(found)] == [Mark.BROKEN]
    assert "expired" in [one.text for one in timeline(found).iter("text")]


def test_a_leaf_that_outlives_its_ca_ends_with_it() -> None:
    authority = made.mesh_root().issue(made.CACERTS)
    leaf = authority.issue(made.ISTIOD_SERVING.but(not_after=AT + 10 * YEAR))
    path = (leaf.certificate, authority.certificate, made.mesh_root().certificate)
    served = reports.place(reports.PlaceKind.ISTIOD, "istiod-7f-x", path=path)
    ends = {ending.name: ending.ends for ending in endings(replace(drawn("empty"), places=(served,)))}
    assert ends["1 leaf of istiod"] == ends["CA istiod.istio-system.svc"]


def test_a_ca_of_no_proven_chain_is_not_drawn_as_a_good_one() -> None:
    marks = sorted(ending.mark for ending in endings(drawn("broken")) if ending.name.startswith("CA SPIRE CA "))
    assert marks == [Mark.PROVEN, Mark.UNKNOWN, Mark.UNKNOWN]


@pytest.mark.parametrize(
    ("left", "where"),
    [(timedelta(-1), 0), (timedelta(minutes=1), 0), (YEAR, 1), (2 * YEAR, 1), (timedelta(hours=12), 0.5)],
)
def test_time_is_drawn_on_a_logarithmic_scale_from_a_minute_to_the_longest(left: timedelta, where: float) -> None:
    assert share(left, YEAR) == pytest.approx(where, abs=0.01)


@pytest.mark.parametrize("name", EVERY)
def test_bars_grow_with_the_time_left_and_stay_inside(name: str) -> None:
    assert bars(name) == sorted(bars(name))
    assert all(0 < width <= 100 for width in bars(name))


def test_a_large_mesh_has_a_few_bars_and_says_how_many_are_left_out() -> None:
    assert len(bars("large")) == 16
    assert hidden(drawn("large")) == len(endings(drawn("large"))) - 16


def test_a_leaf_that_is_not_proven_marks_its_bar() -> None:
    bad = reports.pod("stale", reports.workload_path(), "broken", namespace="bookinfo")
    found = endings(replace(drawn("empty"), workloads=grouped([bad])))
    assert [ending.mark for ending in found if "bookinfo" in ending.name] == [Mark.BROKEN]
