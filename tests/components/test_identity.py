"""What a pod's Envoy holds, and since when spire-server has its data -> whether the gate on identities opens."""

from datetime import UTC, datetime, timedelta

import pytest

from meshpki.components.identity import data_since, unproven_pods
from meshpki.settings import defaults
from meshpki.workflow.step import Ready, Waiting
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster
from tests.support.mesh import dump, mesh, pin, pod

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
OWN = f"spiffe://{made.TRUST_DOMAIN}/ns/bookinfo/sa/client"


def around_now(shape: made.Shape) -> made.Shape:
    return shape.but(not_before=NOW - 60 * MINUTE, not_after=NOW + 60 * MINUTE)


def issued(ago: timedelta) -> InMemoryCluster:
    """A mesh with one pod, whose leaf was issued so long ago: it begins ten seconds before."""
    root = made.root(around_now(made.ROOT))
    ca = root.issue(around_now(made.SPIRE_CA))
    begins = NOW - ago - timedelta(seconds=10)
    leaf = ca.issue(made.SVID.but(uris=(OWN,), not_before=begins, not_after=NOW + 60 * MINUTE))
    return mesh(
        pin(root),
        pod("client-5d9-x", account="client"),
        client_5d9_x=dump(made.pem(leaf, ca), {made.TRUST_DOMAIN: root.pem}),
    )


def claim(name: str, ago: timedelta) -> dict[str, object]:
    made_at = f"{NOW - ago:%Y-%m-%dT%H:%M:%SZ}"
    metadata = {"name": name, "namespace": "spire-server", "creationTimestamp": made_at}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}


SERVER = "data-spire-server-0"
TABLE = {
    "issued since spire-server has its volume": ([claim(SERVER, 9 * MINUTE)], True),
    "in the same second": ([claim(SERVER, 3 * MINUTE)], True),
    "before it lost the one of then": ([claim(SERVER, 2 * MINUTE)], False),
    "before a second server came": ([claim(SERVER, 9 * MINUTE), claim("data-spire-server-1", MINUTE)], True),
    "while somebody else has a claim there": ([claim("data-other-0", MINUTE)], True),
    "without a volume": ([], True),
}


@pytest.mark.parametrize(("claims", "opens"), TABLE.values(), ids=TABLE)
def test_a_leaf_counts_if_the_spire_server_of_now_issued_it(claims: list[dict[str, object]], *, opens: bool) -> None:
    cluster, settings = issued(3 * MINUTE), defaults()
    cluster.put(*claims)
    pods = [pod("client-5d9-x", account="client")]
    found = unproven_pods(cluster, settings, pods, data_since(cluster, settings))
    assert isinstance(found, Ready if opens else Waiting), found
    assert opens or "before spire-server had the data of now" in found.why
    assert isinstance(unproven_pods(cluster, settings, pods), Ready)
