"""The roles that are printed are enough for a whole look, and none of their verbs is there for nothing."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache

import pytest

from meshpki.cli.session import settings_of
from meshpki.cluster.manifest import Object, Ref
from meshpki.errors import MeshpkiError
from meshpki.roles.role import Subject, manifests
from meshpki.settings import defaults
from meshpki.verify import verify
from meshpki.verify.control_plane import judge
from meshpki.verify.judge import Pinned
from meshpki.verify.rights import PURPOSES, rights
from meshpki.verify.survey import observe
from tests.support import certificates as made
from tests.support.certificates import AT, TRUST_DOMAIN
from tests.support.control_plane import ControlPlane
from tests.support.mesh import Mesh, pod, unready
from tests.support.rbac import Restricted

SLOT = {"expires_at": "1795608000", "upstream_authority_subject_key_id": "b2"}
LISTING = json.dumps({"active": {"authority_id": made.mesh_spire_ca().certificate.ski, **SLOT}})
GRANTED = rights(defaults(), authorities=True)
SILENT = "ratings-v1-77f-z"


def roles() -> tuple[Object, ...]:
    return tuple(one for one in manifests(GRANTED, [Subject("User", "auditor")], PURPOSES) if "rules" in one)


def verbs() -> list[tuple[int, int, str]]:
    """Every verb of every rule: its role's place, its rule's, and itself."""
    return [
        (place, number, verb)
        for place, role in enumerate(roles())
        for number, rule in enumerate(role["rules"])
        for verb in rule["verbs"]
    ]


def without(place: int, number: int, verb: str) -> tuple[Object, ...]:
    changed = deepcopy(roles())
    changed[place]["rules"][number]["verbs"].remove(verb)
    return changed


@cache
def healthy() -> Mesh:
    return ControlPlane(others=[pod(SILENT), pod("ratings-v1-77f-w", **unready())]).cluster()


def limited(granted: tuple[Object, ...]) -> Restricted:
    """A mesh with a pod whose proxy says nothing, and one that is not well, as only then its events are read."""
    plane = healthy()
    cluster = Restricted(objects=plane.objects, listeners=plane.listeners, server_date=AT, roles=granted)
    cluster.answers["exec"] = LISTING
    return cluster


def look(granted: tuple[Object, ...]) -> Iterator[str]:
    """Every word that a whole look says of what it could not do."""
    cluster = limited(granted)
    try:
        settings = settings_of(cluster, [])
        report = verify(cluster, settings, AT)
    except MeshpkiError as error:
        yield error.what
        return
    seen = observe(cluster, settings, AT, authorities=True)
    yield from (one.needs for one in seen.unseen)
    yield from (one.reason for one in report.pods if one.result != "proven")
    places = judge(seen, Pinned(report.roots, TRUST_DOMAIN, AT))
    yield from (one.reason for one in places if one.result == "unknown")
    assert "Secret" not in str(cluster.requests)


def test_the_printed_roles_are_enough_for_a_whole_look() -> None:
    told = list(look(roles()))
    assert [one for one in told if "cannot" in one or "right" in one] == []
    assert len([one for one in told if "HTTP 404" in one]) == 1


@pytest.mark.parametrize(("place", "number", "verb"), verbs())
def test_each_verb_that_is_taken_away_is_missed_by_name(place: int, number: int, verb: str) -> None:
    role = roles()[place]
    rule = role["rules"][number]
    (resource,) = rule["resources"]
    told = list(look(without(place, number, verb)))
    assert [
        one for one in told if f'cannot {verb} resource "{resource}"' in one or (f"`{verb}`" in one and resource in one)
    ]


def test_no_role_holds_a_secret_a_wildcard_or_a_verb_that_changes_anything() -> None:
    for role in roles():
        for rule in role["rules"]:
            assert not {"*", "secrets"} & {*rule["resources"], *rule["apiGroups"], *rule["verbs"]}
            streams = {"pods/portforward", "pods/exec"}
            assert set(rule["verbs"]) <= {"get", "list"} or set(rule["resources"]) <= streams


def test_commands_in_spires_pod_are_allowed_only_where_they_are_asked_for() -> None:
    assert [one for one in rights(defaults()) if one.resource == "pods/exec"] == []
    assert [(one.namespace, one.verbs) for one in GRANTED if one.resource == "pods/exec"] == [
        ("spire-server", ("get", "create"))
    ]


def test_each_role_is_bound_to_the_subjects_and_what_is_optional_has_a_role_of_its_own() -> None:
    subjects = [Subject("Group", "auditors"), Subject("ServiceAccount", "verifier", "ci")]
    printed = list(manifests(GRANTED, subjects, PURPOSES))
    for role, bound in zip(printed[::2], printed[1::2], strict=True):
        assert bound["kind"] == f"{role['kind']}Binding"
        assert bound["roleRef"] == {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": role["kind"],
            "name": role["metadata"]["name"],
        }
        assert bound["metadata"].get("namespace") == role["metadata"].get("namespace")
        assert [one["name"] for one in bound["subjects"]] == ["auditors", "verifier"]
    optional = [
        one for one in printed if one["metadata"]["annotations"]["kubernetes.io/description"].startswith("optional")
    ]
    assert {one["metadata"]["name"] for one in optional} == {"meshpki-verify-rbac"}


def test_a_pin_that_may_not_be_read_stops_with_the_right_that_is_missing() -> None:
    cluster = limited(())
    with pytest.raises(MeshpkiError, match='cannot get resource "configmaps"'):
        cluster.get(Ref("v1", "ConfigMap", "kube-system", "meshpki-trust"))
