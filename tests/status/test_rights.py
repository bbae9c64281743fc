"""What status looks at -> the rights that its printed role has."""

from dataclasses import replace
from pathlib import Path

import pytest

from meshpki.artifacts import obtain
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.istioctl import INSTALLED
from meshpki.install import Target, steps
from meshpki.rights import plural
from meshpki.settings import Approval, Settings, Workloads, defaults, read
from meshpki.status.rights import BUNDLE, NAME, rights
from meshpki.status.step import gather
from meshpki.workflow.step import Step
from tests.support.cluster import InMemoryCluster, config_map, namespace
from tests.support.releases import settings_file

POLICED = replace(defaults(), approval=Approval(policy=True))


def listed(settings: Settings) -> set[tuple[str, str]]:
    return {(one.group, one.resource) for one in rights(settings) if "list" in one.verbs and not one.namespace}


@pytest.mark.parametrize("settings", [defaults(), POLICED], ids=["default", "approval"])
def test_every_kind_that_a_mesh_is_made_of_is_listed_but_secrets(settings: Settings, tmp_path: Path) -> None:
    given = read([settings_file(tmp_path)])
    wish = replace(given, approval=settings.approval)
    manifests = [one for step in steps(wish, obtain(given), Target()) for one in step.objects]
    kinds = {*INSTALLED, *((one["apiVersion"], one["kind"]) for one in manifests)} - {("v1", "Secret")}
    assert {(version.rpartition("/")[0], plural(kind)) for version, kind in kinds} <= listed(wish)


def test_what_the_settings_leave_out_is_not_looked_at() -> None:
    policies = ("policy.cert-manager.io", "certificaterequestpolicies")
    assert [policies in listed(one) for one in (defaults(), POLICED)] == [False, True]
    bare = replace(defaults(), workloads=Workloads(enabled=False))
    assert [("networking.istio.io", "gateways") in listed(one) for one in (defaults(), bare)] == [True, False]


def test_nothing_is_changed_no_secret_is_read_and_logs_are_a_part_of_their_own() -> None:
    everything = rights(POLICED, bundle=True)
    assert {verb for one in everything for verb in one.verbs} == {"get", "list"}
    assert {"secrets", "pods/exec", "*"} & {one.resource for one in everything} == set()
    assert {one.role for one in everything if one.resource == "pods/log"} == {BUNDLE}
    assert {one.role for one in rights(POLICED)} == {NAME}


class NamedUnread(InMemoryCluster):
    """Somebody who may list, and get nothing by its name."""

    def get(self, ref: Ref) -> Object | None:
        raise AssertionError(ref)


def test_an_object_that_lost_our_label_is_found_by_who_may_list_alone() -> None:
    cluster = NamedUnread()
    cluster.put(namespace("default"), config_map("there"))
    found = gather(cluster, defaults(), [Step("a", "", (config_map("there"), config_map("gone")))]).live
    assert {ref.name: one is not None for ref, one in found.items()} == {"there": True, "gone": False}
