"""The ways by which a root is replaced by hand, counted by the probe of `rotate root`: what each of them loses.

Each leaves a mesh that is pinned to a root it lives under no more, so each has a lab made for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from meshpki.cli.session import SystemClock
from meshpki.cluster.kubernetes import connect
from meshpki.cluster.manifest import Query
from meshpki.components.probe import probe
from meshpki.components.spire import schedulable
from meshpki.probing import Probe, Tally
from meshpki.settings import read_text
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.work import Limits
from tests.conftest import Command
from tests.e2e.by_hand import Hand, Watch
from tests.e2e.conftest import Mesh, fresh

pytestmark = [pytest.mark.lab, pytest.mark.acceptance]

CLOCK = SystemClock()
WELL_WITHIN = 180.0


@dataclass(frozen=True)
class Lost:
    """What a way cost: the probe's count, seconds in which a pod would have refused istiod, pods that were refused."""

    tally: Tally
    refused: float
    pods: int

    def __str__(self) -> str:
        return (
            f"{self.tally.failed} of {self.tally.requests} requests failed {dict(self.tally.errors)}; some pod refused "
            f"istiod for {self.refused:.0f} s; {self.pods} pods refused"
        )


def root_and_istiod(hand: Hand) -> None:
    hand.root_is_made_again()
    hand.cacerts_is_renewed()
    hand.restarted("istio-system", "deployment/istiod")


def and_then_spire(hand: Hand) -> None:
    root_and_istiod(hand)
    hand.kubectl("-n", "spire-server", "exec", "spire-server-0", "-c", "spire-server", "--",
                 "/opt/spire/bin/spire-server", "localauthority", "x509", "prepare")  # fmt: skip
    hand.spire_signs_with_what_it_prepared()
    hand.restarted("spire-system", "daemonset/spire-agent")


def spire_without_its_data(hand: Hand) -> None:
    hand.root_is_made_again()
    hand.kubectl("-n", "spire-server", "scale", "statefulset/spire-server", "--replicas=0")
    hand.kubectl("-n", "spire-server", "delete", "pvc", "--all", "--wait=true")
    hand.kubectl("-n", "spire-server", "scale", "statefulset/spire-server", "--replicas=1")
    hand.kubectl("-n", "spire-server", "rollout", "status", "statefulset/spire-server", "--timeout=120s")
    hand.restarted("spire-system", "daemonset/spire-agent")


def nothing_put_back(hand: Hand) -> None:
    """Both roots trusted in the right order, then `cacerts` renewed, and `ca.crt` left as cert-manager writes it."""
    hand.kubectl("-n", "istio-system", "scale", "deployment/istiod", "--replicas=2")
    hand.kubectl("-n", "istio-system", "rollout", "status", "deployment/istiod", "--timeout=120s")
    hand.rotated_until("trust")
    hand.cacerts_is_renewed()
    pods = hand.kubectl("-n", "istio-system", "get", "pods", "-l", "app=istiod", "-o", "name").split()
    hand.kubectl("-n", "istio-system", "annotate", pods[0], "hurried=now", "--overwrite")


@dataclass(frozen=True)
class Way:
    """One way, and whether it loses requests, istiod's trust, or the right to create pods."""

    name: str
    go: Callable[[Hand], None]
    loses: Callable[[Lost], bool]


WAYS = (
    Way("D: root, cacerts, istiod", root_and_istiod, lambda lost: lost.refused > 0),
    Way("E1: and then SPIRE", and_then_spire, lambda lost: lost.tally.failed > 0),
    Way("E2: root, SPIRE without its data", spire_without_its_data, lambda lost: lost.tally.failed > 0),
    Way("G: the right order, but nothing put back", nothing_put_back, lambda lost: lost.refused > 0 or lost.pods > 0),
)


def gone(mesh: Mesh, meshpki: Command, way: Way) -> Lost:
    cluster = connect(mesh.lab.context, mesh.lab.kubeconfig)
    where = mesh.lab.settings
    settings = read_text(where.read_text() if where else "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n", "lab")
    nodes = sorted(schedulable(cluster.list(Query("v1", "Node"))))
    list(run(Plan((probe(settings, nodes),)), cluster, CLOCK, Limits(timedelta(minutes=3))))
    with Probe(cluster, CLOCK, nodes) as counted, Watch(cluster) as watch:
        assert watch.until_well(30), "it is not well before anything was done"
        way.go(Hand(mesh, meshpki))
        watch.until_well(WELL_WITHIN)
        counted.poll()
        return Lost(counted.tally(), watch.refused, watch.pods)


@pytest.mark.parametrize("way", WAYS, ids=[way.name.partition(":")[0] for way in WAYS])
def test_a_naive_way_loses_what_rotate_root_does_not(
    way: Way, mesh: Mesh, meshpki: Command, say: Callable[[str], None]
) -> None:
    fresh(meshpki)
    assert meshpki("up", "--lab").returncode == 0
    lost = gone(mesh, meshpki, way)
    say(f"{way.name}: {lost}")
    assert way.loses(lost)
