"""An installation as a whole: what it keeps of the wish, and when."""

from dataclasses import replace
from datetime import timedelta

import pytest

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Ref
from meshpki.components.istioctl import RECORD, was_installed
from meshpki.components.trust import PIN, pinned
from meshpki.errors import PRECONDITION, PreconditionError
from meshpki.install import WISH, generation, install, kept_wish
from meshpki.settings import Root, defaults
from meshpki.workflow.plan import Plan, Selection, narrowed
from meshpki.workflow.step import Gate, Readiness, Step, Waiting
from meshpki.workflow.work import Limits
from tests.support.certificates import mesh_root
from tests.support.certificates import root as made_root
from tests.support.cluster import FakeClock, InMemoryCluster, config_map, namespace
from tests.support.control_plane import root_request
from tests.support.mesh import pin


def never(_reader: Reader) -> Readiness:
    return Waiting("it is not there")


def plan(only: str) -> Plan:
    shut = Gate("shut", "it is there", never, hint="", every=timedelta(seconds=1))
    return narrowed(
        (Step("a", "a", gates=(shut,)), Step("b", "b", (config_map("b"),), needs=("a",))), Selection((only,))
    )


def test_settings_are_not_kept_where_a_step_that_was_left_out_is_not_in_place() -> None:
    cluster = InMemoryCluster()
    cluster.put(namespace("kube-system"), namespace("default"))
    with pytest.raises(PreconditionError, match="MPK-205"):
        list(install(plan("b"), defaults(), cluster, FakeClock(), Limits()))
    assert cluster.writes == []
    assert kept_wish(cluster) == ""


@pytest.mark.parametrize(
    "data", [None, {}, {"generation": "1"}, {"root.pem": "x"}, {"root.pem": "x", "generation": "1"}]
)
def test_a_damaged_pin_is_told_as_one(data: dict[str, str] | None) -> None:
    cluster = InMemoryCluster()
    cluster.put(namespace("kube-system"), _with_data(PIN, data))
    with pytest.raises(PreconditionError) as refused:
        pinned(cluster)
    assert (refused.value.code, refused.value.exit_code) == ("MPK-376", PRECONDITION)
    assert str(PIN) in refused.value.where


@pytest.mark.parametrize("data", [None, {}, {"meshpki.yaml": ""}])
def test_settings_that_were_taken_out_of_their_config_map_are_not_taken_for_the_defaults(
    data: dict[str, str] | None,
) -> None:
    cluster = InMemoryCluster()
    cluster.put(namespace("kube-system"), _with_data(WISH, data))
    with pytest.raises(PreconditionError, match="MPK-376"):
        kept_wish(cluster)


def _with_data(ref: Ref, data: dict[str, str] | None) -> dict[str, object]:
    made = config_map(ref.name, ref.namespace)
    return {**{key: one for key, one in made.items() if key != "data"}, **({} if data is None else {"data": data})}


def test_a_root_is_pinned_again_under_the_number_it_had() -> None:
    cluster, first, third = InMemoryCluster(), mesh_root(), made_root()
    cluster.put(namespace("kube-system"), root_request(first), root_request(third, 3))
    wish = replace(defaults(), root=Root(fingerprint=third.certificate.sha256))
    assert [generation(cluster, one) for one in (defaults(), wish)] == [1, 3]
    cluster.put(pin(first))
    assert generation(cluster, wish) == 1


@pytest.mark.parametrize(
    ("data", "ran"),
    [
        (None, False),
        ({"operator": "a", "objects": ""}, False),  # as others apply what is rendered
        ({"operator": "", "objects": ""}, True),
        ({"operator": "a", "objects": "b"}, True),
    ],
)
def test_a_mesh_that_others_applied_was_not_installed_by_istioctl(data: dict[str, str] | None, *, ran: bool) -> None:
    cluster = InMemoryCluster()
    cluster.put(namespace("kube-system"))
    if data is not None:
        cluster.put(_with_data(RECORD, data))
    assert was_installed(cluster) is ran
