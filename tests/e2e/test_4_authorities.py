"""SPIRE's CA changed by hand: what verify says of it with the right to ask spire-server, and without."""

import time
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import Mesh, Said, Verify, refusals
from tests.e2e.staging import spire_server

pytestmark = pytest.mark.lab

LOCAL = ("localauthority", "x509")


@dataclass(frozen=True)
class Story:
    """A pod that has its certificate from the CA that was activated by hand, and what verify said of the mesh."""

    moved: str
    unasked: Said
    asked: Said
    healed: Said


@pytest.fixture(scope="module")
def story(mesh: Mesh, verify: Verify) -> Story:
    try:
        prepared = spire_server(mesh, *LOCAL, "prepare")["prepared_authority"]["authority_id"]
        spire_server(mesh, *LOCAL, "activate", "-authorityID", prepared)
        moved = restarted(mesh, "details")
        unasked, asked = verify(), verify("--authorities", "--strict")
    finally:
        settle(mesh)
    return Story(moved, unasked, asked, proven(verify))


def restarted(mesh: Mesh, app: str) -> str:
    mesh.kubectl("-n", "bookinfo", "delete", "pod", "-l", f"app={app}", "--now")
    mesh.kubectl("-n", "bookinfo", "rollout", "status", f"deployment/{app}-v1", "--timeout=90s")
    pods = mesh.json("-n", "bookinfo", "get", "pods", "-l", f"app={app}")["items"]
    return next(f"bookinfo/{one['metadata']['name']}" for one in pods if "deletionTimestamp" not in one["metadata"])


def settle(mesh: Mesh) -> None:
    """Move everything to the new CA: the server's own certificate first, then those that agents hold."""
    mesh.kubectl("-n", "spire-server", "delete", "pod", "spire-server-0")
    mesh.kubectl("-n", "spire-server", "rollout", "status", "statefulset/spire-server", "--timeout=90s")
    mesh.kubectl("-n", "spire-system", "delete", "pod", "-l", "app.kubernetes.io/name=spire-agent")
    mesh.kubectl("-n", "spire-system", "rollout", "status", "daemonset/spire-agent", "--timeout=90s")


def proven(verify: Verify) -> Said:
    """What verify says once every Envoy has its certificate from the new CA; the last word after a minute."""
    until = time.monotonic() + 60
    while True:
        said = verify("--strict")
        if said.code == 0 or time.monotonic() > until:
            return said
        time.sleep(1)


def test_a_ca_that_was_activated_by_hand_is_not_called_proven_without_asking_for_it(story: Story) -> None:
    moved = story.unasked.pods[story.moved]
    assert moved["result"] != "proven"
    assert refusals(moved) <= {"MPK-344", "MPK-371"}
    assert "--authorities" in str(moved["findings"])
    assert "--authorities" in str(story.unasked.report["unseen"])


def test_asked_by_exec_spire_server_names_all_of_its_cas(story: Story) -> None:
    assert (story.asked.code, story.asked.broken(), story.asked.unknown()) == (0, {}, {})
    issuers = {pod["path"][1]["sha256"] for pod in story.asked.pods.values()}
    assert len(issuers) == 2, "no pod was left on the CA of before, or none was moved"
    assert "--authorities" not in str(story.asked.report["unseen"])


def test_everything_is_proven_without_asking_once_everything_has_moved(story: Story) -> None:
    assert (story.healed.code, story.healed.broken(), story.healed.unknown()) == (0, {}, {})
