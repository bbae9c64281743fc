"""What a killed run has left half done, and which command finishes it."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from meshpki.cluster.manifest import Object, owned
from meshpki.components.probe import NAMESPACE_REF as PROBE
from meshpki.components.spire_authorities import server_set
from meshpki.lease import record
from meshpki.lease.holder import Holder
from meshpki.rotate import leaf, mark
from meshpki.rotate.mark import Mark
from meshpki.rotate.spire_ca import mark_key
from meshpki.settings import defaults
from meshpki.status.unfinished import unfinished
from tests.support.certificates import AT
from tests.support.cluster import InMemoryCluster, namespace
from tests.support.control_plane import workload
from tests.support.istiod_ca import REF, certificate
from tests.support.mesh import mesh

START = Mark("ab12", AT)
MINUTE = timedelta(minutes=1)


def lease(renewed: timedelta) -> Object:
    return record.written(Holder("somebody", "meshpki rotate root"), AT - renewed, since=AT - renewed)


@dataclass(frozen=True)
class Case:
    name: str
    objects: tuple[Object, ...] = ()
    marks: tuple[str, ...] = ()
    istiod: bool = False
    commands: tuple[str, ...] = field(default=())


OURS = owned(namespace(PROBE.name), "probe")
LEAVING = {**OURS, "metadata": {**OURS["metadata"], "deletionTimestamp": f"{AT:%Y-%m-%dT%H:%M:%SZ}"}}
CASES = (
    Case("nothing is half done"),
    Case("a rotation of istiod's CA", istiod=True, commands=("meshpki rotate istiod-ca",)),
    Case(
        "one of SPIRE's on two servers",
        marks=("spire-server-0", "spire-server-1"),
        commands=("meshpki rotate spire-ca",),
    ),
    Case("the probe was left", (OURS,), commands=("kubectl delete namespace meshpki-probe",)),
    Case(
        "so was the throw-away pod, by a run that was killed with its Lease",
        (owned(namespace(leaf.NAMESPACE.name), "leaf"), lease(2 * MINUTE)),
        commands=("kubectl delete namespace meshpki-rotate",),
    ),
    Case("the probe is in use", (OURS, lease(MINUTE / 2))),
    Case("the probe is on its way out", (LEAVING,)),
    Case("a namespace of that name is somebody else's", (namespace(PROBE.name),)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_half_done_is_told_with_the_command_that_ends_it(case: Case) -> None:
    there = InMemoryCluster()
    there.put(namespace("kube-system"), certificate(), workload("StatefulSet", "spire-server"), *case.objects)
    if case.istiod:
        mark.write(there, REF, START)
    for server in case.marks:
        mark.write(there, server_set(defaults()), START, mark_key(server))
    found = unfinished(there, defaults(), AT)
    assert tuple(one.command for one in found) == case.commands
    assert all(server in one.state for one in found for server in case.marks)


@pytest.mark.parametrize("kinds", [{"Lease"}, {"Namespace", "Certificate", "StatefulSet"}], ids=", ".join)
def test_of_what_may_not_be_read_nothing_is_said(kinds: set[str]) -> None:
    there = mesh(OURS, certificate())
    mark.write(there, REF, START)
    there.hidden = frozenset(kinds | {"Certificate"})
    assert unfinished(there, defaults(), AT) == ()
