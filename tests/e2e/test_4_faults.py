"""Faults staged in the running mesh, found by `meshpki verify` with the right code, and healed.

All of them stand side by side, since each wait is for the cluster and not for verify.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import Command
from tests.e2e import staging
from tests.e2e.conftest import Mesh, Said, Verify, refusals
from tests.e2e.staging import NAMESPACE, OWN_ID, apply, envoy_pod, idle_pod
from tests.support.certificates import ROOT, root

pytestmark = pytest.mark.lab

OTHER_DOMAIN = "other.example"
MUTE = ("/bin/sh", "-c", "/bin/busybox nc -ll -p 15000 -e sleep 600 || /bin/busybox nc -lk -p 15000 -e sleep 600")

# what is wrong with each pod, and the codes for which it is broken
BROKEN = {
    "rogue": {"MPK-344"},
    "foreign": {"MPK-322", "MPK-342"},
    "stale": {"MPK-341"},
    "misnamed": {"MPK-340"},
    "short-lived": {"MPK-305"},
    "fallen-back": {"MPK-342"},
}
UNKNOWN = {"deaf": "MPK-350", "mute": "MPK-350", "without-sidecar": "it has no sidecar"}


@dataclass(frozen=True)
class Story:
    """What verify said: of all faults at once; without the rogue's request; of what is unknown alone; in the end."""

    all_at_once: Said
    request_deleted: Said
    unknown_alone: Said
    unknown_strictly: Said
    healed: Said


@pytest.fixture(scope="module")
def story(mesh: Mesh, verify: Verify) -> Story:
    try:
        stage(mesh)
        until_short(verify, "short-lived")
        staging.stop_agents(mesh)
        outlive(verify, "short-lived")
        all_at_once = verify()
        mesh.kubectl("-n", NAMESPACE, "delete", "certificaterequests", "rogue", "foreign")
        mesh.kubectl("-n", NAMESPACE, "delete", "pod", "mute", "--now")
        request_deleted = verify("--authorities")
        mesh.kubectl("-n", NAMESPACE, "delete", "pod", *BROKEN, "--now")
        staging.start_agents(mesh)
        unknown_alone, unknown_strictly = verify(), verify("--strict")
    finally:
        staging.start_agents(mesh)
        mesh.kubectl("delete", "--ignore-not-found", "-f", "-", given=identities())
        mesh.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    return Story(all_at_once, request_deleted, unknown_alone, unknown_strictly, verify("--strict"))


def identities() -> str:
    return (staging.MANIFESTS / "identities.yaml").read_text()


def stage(mesh: Mesh) -> None:
    mesh.kubectl("create", "namespace", NAMESPACE)
    mesh.kubectl("apply", "-f", "-", given=identities())
    apply(
        mesh,
        idle_pod("misnamed", "sidecar,spire"),
        idle_pod("short-lived", "sidecar,spire"),
        idle_pod("fallen-back", "sidecar"),
        idle_pod("without-sidecar", labels={staging.MANAGED: "true"}),
        idle_pod("deaf", container="istio-proxy"),
        idle_pod("mute", container="istio-proxy", command=MUTE),
    )
    # so that the identities of identities.yaml are the only ones of these two
    mesh.kubectl("-n", NAMESPACE, "label", "pod", "misnamed", "short-lived", f"{staging.MANAGED}-")
    apply(mesh, staging.envoy_config(), *intruders(mesh))
    mesh.kubectl("-n", NAMESPACE, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=110s")


def intruders(mesh: Mesh) -> Iterator[staging.Object]:
    """Pods with a chain from a stolen CA, with one from another trust domain, and with a bundle of yesterday."""
    pinned, now = staging.pinned_root(mesh), datetime.now(UTC)
    retired = root(ROOT.but(not_before=now - timedelta(days=9), not_after=now + timedelta(days=9))).pem.decode()
    stolen = staging.obtained_ca(mesh, "rogue")
    other = staging.obtained_ca(mesh, "foreign", OTHER_DOMAIN)
    others_id = OWN_ID.replace(staging.TRUST_DOMAIN, OTHER_DOMAIN)
    yield from envoy_pod("rogue", staging.issued_by(stolen, OWN_ID, pinned))
    yield from envoy_pod("foreign", staging.issued_by(other, others_id, pinned))
    yield from envoy_pod("stale", staging.minted(mesh, OWN_ID, retired))


def left(verify: Verify, pod: str) -> timedelta:
    """The time that the certificate which a pod holds has left."""
    ends = verify(pod, "-n", NAMESPACE).pods[f"{NAMESPACE}/{pod}"]["expires"]
    return datetime.fromisoformat(ends) - datetime.now(UTC)


def until_short(verify: Verify, pod: str) -> None:
    """Wait until SPIRE has taken the identity of an hour back and given the one of identities.yaml."""
    until = time.monotonic() + 90
    while (seen := left(verify, pod)) > timedelta(seconds=60):
        assert time.monotonic() < until, f"{pod} holds its certificate for {seen}"
        time.sleep(2)


def outlive(verify: Verify, pod: str) -> None:
    """Wait until the certificate that a pod holds has run out; nobody renews it any more."""
    time.sleep(max(left(verify, pod).total_seconds(), 0) + 1)


@pytest.mark.parametrize("pod", BROKEN)
def test_a_staged_fault_is_found_with_its_own_code(pod: str, story: Story) -> None:
    assert refusals(story.all_at_once.pods[f"{NAMESPACE}/{pod}"]) == BROKEN[pod], json.dumps(
        story.all_at_once.pods[f"{NAMESPACE}/{pod}"], indent=1
    )


def test_no_other_pod_is_called_broken(story: Story) -> None:
    assert story.all_at_once.code == 5
    assert set(story.all_at_once.broken()) == {f"{NAMESPACE}/{pod}" for pod in BROKEN}


@pytest.mark.parametrize("pod", UNKNOWN)
def test_a_pod_that_cannot_be_asked_is_unknown_and_listed_with_the_reason(pod: str, story: Story) -> None:
    assert UNKNOWN[pod] in story.all_at_once.unknown()[f"{NAMESPACE}/{pod}"]


def test_what_is_unknown_fails_only_strictly(story: Story) -> None:
    assert set(story.unknown_alone.unknown()) == {f"{NAMESPACE}/deaf", f"{NAMESPACE}/without-sidecar"}
    assert story.unknown_alone.broken() == {}
    assert (story.unknown_alone.code, story.unknown_strictly.code) == (0, 5)


def test_a_ca_that_somebody_obtained_is_found_by_the_request_alone(story: Story) -> None:
    found = {name: refusals(one) for name, one in story.all_at_once.places("request").items() if NAMESPACE in name}
    assert found == {f"{NAMESPACE}/rogue": {"MPK-358"}, f"{NAMESPACE}/foreign": {"MPK-358"}}


def test_a_rogue_ca_is_found_though_its_request_is_deleted(story: Story) -> None:
    assert story.request_deleted.places("request") == {}
    assert refusals(story.request_deleted.pods[f"{NAMESPACE}/rogue"]) == {"MPK-344"}


def test_whom_a_foreign_chain_and_a_stale_bundle_cut_off_is_told_pair_by_pair(story: Story) -> None:
    peers = story.all_at_once.report["peers"]
    pods = [{pod["name"] for pod in group["pods"]} for group in peers["groups"]]
    for pair in peers["pairs"]:
        cut_off = pods[pair["presenter"]] == {"foreign"} or pods[pair["verifier"]] == {"stale"}
        assert refusals(pair) == ({"MPK-345"} if cut_off else set()), pair


def test_a_report_full_of_faults_follows_its_schema(story: Story, meshpki: Command) -> None:
    schema = json.loads(meshpki("verify", "--schema").stdout)
    Draft202012Validator(schema).validate(story.all_at_once.report)


def test_everything_is_proven_again_once_the_faults_are_gone(story: Story) -> None:
    assert (story.healed.code, story.healed.broken(), story.healed.unknown()) == (0, {}, {})
