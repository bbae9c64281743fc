"""What a mesh comes back from: `status` names the state and the command, and that command carries it out."""

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Command
from tests.e2e import traffic
from tests.e2e.conftest import Mesh, Said, Verify

pytestmark = pytest.mark.lab

WITHIN = 90  # seconds, in which agents attest again and every Envoy has its new leaf


def status(mesh: Mesh, meshpki: Command) -> dict[str, Any]:
    return json.loads(meshpki("status", *mesh.as_a("status"), "-o", "json").stdout)  # type: ignore[no-any-return]


def advised(mesh: Mesh, meshpki: Command) -> list[str]:
    """The commands that `status` names."""
    return [one["command"] for one in status(mesh, meshpki)["next"]]


def signers(said: Said) -> set[str]:
    """The CAs of SPIRE's that signed the leaves which pods hold."""
    return {pod["path"][1]["sha256"] for pod in said.pods.values()}


def eventually(verify: Verify, true: Callable[[Said], bool]) -> Said:
    until = time.monotonic() + WITHIN
    while not true(said := verify("--authorities", "--strict")):
        assert time.monotonic() < until, said.stderr
        time.sleep(1)
    return said


def lose_spires_data(mesh: Mesh) -> None:
    """Its keys, its entries and whom it attested, with the volume that they lie on."""
    mesh.kubectl("-n", "spire-server", "scale", "statefulset/spire-server", "--replicas=0")
    mesh.kubectl("-n", "spire-server", "wait", "pod/spire-server-0", "--for=delete", "--timeout=60s")
    mesh.kubectl("-n", "spire-server", "delete", "pvc", "data-spire-server-0", "--timeout=60s")


def test_where_spires_data_are_lost_up_makes_other_cas_and_no_request_fails(
    mesh: Mesh, meshpki: Command, verify: Verify
) -> None:
    before = signers(eventually(verify, lambda said: said.code == 0))
    with traffic.single(mesh), traffic.flowing(mesh) as flow:
        lose_spires_data(mesh)
        assert "meshpki up" in advised(mesh, meshpki)
        done = meshpki("up", "--lab", "--yes")
        assert done.returncode == 0, done.stderr
        after = eventually(verify, lambda said: said.code == 0 and not signers(said) & before)
    assert (after.broken(), after.unknown(), after.broken_places()) == ({}, {}, {})
    assert status(mesh, meshpki)["next"] == []
    assert len(flow.answers) > 2 * len(traffic.PATHS)
    assert flow.refused() == []
    print(Counter(one.code for one in flow.answers))  # noqa: T201 - figures of a drill
