"""approver-policy taken away again where the settings do not ask for it; its CRD stays, as others may use it."""

import threading

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import MANAGED_BY, Query, Ref, ours, ref_of, selector
from meshpki.components.approval import NAME, NOTHING_ELSE, POLICY, objects
from meshpki.components.rogue_request import APPROVER, rogue_ref
from meshpki.components.rollout import deployment
from meshpki.settings import Settings
from meshpki.workflow.step import Program

WITHDRAWAL = "withdraw approver-policy"


def withdrawal(settings: Settings, after: str) -> Program:
    """The program that removes it, once cert-manager approves again by itself; the Deployment goes last and tells."""
    ref = deployment(settings.namespaces.cert_manager, NAME)

    def run(cluster: Cluster, stop: threading.Event) -> None:
        for one in _leaving(cluster, settings):
            if stop.is_set():
                return
            cluster.delete(one)

    return Program(
        name=WITHDRAWAL,
        settled=lambda reader: not ours(reader.metadata(ref) or {"metadata": {}}),
        run=run,
        after=after,
        does="removes approver-policy and the policies of ours, which the settings do not ask for; the CRD stays",
    )


def _leaving(reader: Reader, settings: Settings) -> tuple[Ref, ...]:
    """All of it in the order of removal: what denies goes before what allows, its rights before what it made itself."""
    namespace = settings.namespaces.cert_manager
    hook, own = _apart(tuple(map(ref_of, objects(settings))), "ValidatingWebhookConfiguration")
    last, rest = _apart(own, "Deployment")
    policies = tuple(ref_of(one) for one in reader.list(Query(*POLICY, labels=selector(MANAGED_BY))))
    denying, allowing = (tuple(one for one in policies if (one.name == NOTHING_ELSE) is last) for last in (True, False))
    made = (
        rogue_ref(namespace),
        Ref("v1", "Secret", namespace, f"{NAME}-tls"),
        Ref("coordination.k8s.io/v1", "Lease", namespace, APPROVER),
    )
    bindings = tuple(ref for ref in rest if "Binding" in ref.kind)
    return (*hook, *denying, *allowing, *bindings, *(ref for ref in rest if ref not in bindings), *made, *last)


def _apart(refs: tuple[Ref, ...], kind: str) -> tuple[tuple[Ref, ...], tuple[Ref, ...]]:
    return tuple(ref for ref in refs if ref.kind == kind), tuple(ref for ref in refs if ref.kind != kind)
