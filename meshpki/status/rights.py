"""The rights with which status sees every step and CA, besides what verify reads: no Secret, nor more than is used.

While a root rotation is under way its stage is read from `cacerts` itself: that takes the roles of `operate`.
"""

from collections.abc import Iterator

from meshpki.artifacts import NONE
from meshpki.components.istioctl import INSTALLED, RECORD
from meshpki.install import Target, steps
from meshpki.lease.record import LEASE
from meshpki.rights import plural
from meshpki.roles.role import Right
from meshpki.settings import Settings
from meshpki.status.unfinished import LEFT_BEHIND

NAME = "meshpki-status"
BUNDLE = f"{NAME}-support-bundle"
PURPOSES = {
    NAME: "what meshpki status and step status read besides what verify does; no Secret is among it",
    BUNDLE: "for meshpki support-bundle alone: reads the logs of pods, and what else goes into a bundle",
}
# What gates look at by name; whoever may list a kind sees as much of it.
_NAMED = {
    *("customresourcedefinitions", "deployments", "daemonsets"),
    *("certificates", "clusterissuers", "certificaterequestpolicies"),
}


def rights(settings: Settings, *, bundle: bool = False) -> tuple[Right, ...]:
    """Every right of `status` and `step status` besides verify's; `bundle` adds what `support-bundle` takes."""
    return (*_listed(settings), *_gates(settings), *(_bundle() if bundle else ()))


def _listed(settings: Settings) -> Iterator[Right]:
    """The kinds of what a mesh is made of, which are listed by our labels or by Istio's."""
    made = {(one["apiVersion"], one["kind"]) for step in steps(settings, NONE, Target()) for one in step.objects}
    for api_version, kind in sorted({*made, *INSTALLED} - {("v1", "Secret")}):
        group, resource = api_version.rpartition("/")[0], plural(kind)
        yield Right(NAME, "", group, resource, ("get", "list") if resource in _NAMED else ("list",))


def _gates(settings: Settings) -> Iterator[Right]:
    """What else is looked at: SPIRE's parts on every node, its volume, Istio as it was recorded, and who runs."""
    yield Right(NAME, "", "", "nodes", ("list",))
    yield Right(NAME, "", "storage.k8s.io", "csinodes", ("list",))
    yield Right(NAME, settings.namespaces.spire_server, "", "persistentvolumeclaims", ("list",))
    yield Right(NAME, RECORD.namespace, "", "configmaps", ("get",), (RECORD.name,))
    yield Right(NAME, "", "", "namespaces", ("get",), tuple(sorted(ref.name for ref in LEFT_BEHIND)))
    yield Right(NAME, LEASE.namespace, "coordination.k8s.io", "leases", ("get",), (LEASE.name,))


def _bundle() -> Iterator[Right]:
    yield Right(BUNDLE, "", "", "pods/log", ("get",))
    yield Right(BUNDLE, "", "", "persistentvolumeclaims", ("list",))
