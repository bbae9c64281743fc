"""A CA asked for in SPIRE's manner by somebody who is not SPIRE, which has to be denied: the proof that policies judge.

It stays where it is, denied, as the record of that; its key was never kept.
"""

import threading
from functools import partial

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Ref, only, owned
from meshpki.cluster.readiness import condition, holds
from meshpki.components.root_probe import ca_request
from meshpki.components.trust import ALIAS, CERT_MANAGER
from meshpki.pki.request import throw_away
from meshpki.settings import Settings
from meshpki.workflow.apply import apply
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Waiting

NAME = "meshpki-rogue"
# What approver-policy writes as the reason of each of its decisions.
APPROVER = "policy.cert-manager.io"


def rogue_ref(namespace: str) -> Ref:
    """The request, in cert-manager's namespace."""
    return Ref(CERT_MANAGER, "CertificateRequest", namespace, NAME)


def rogue_request(settings: Settings, after: str) -> Program:
    """The program that asks, once gate `after` is open; one that was answered otherwise is asked again."""
    ref = rogue_ref(settings.namespaces.cert_manager)

    def run(cluster: Cluster, _stop: threading.Event) -> None:
        cluster.delete(ref)
        request = throw_away(NAME, f"spiffe://{settings.trust_domain}", f"istiod.{settings.namespaces.istio}.svc")
        apply(cluster, owned(ca_request(ref, request, ALIAS), "approval"))

    return Program(
        name="ask for a rogue CA",
        settled=lambda reader: was_denied(reader.get(ref)),
        run=run,
        after=after,
        does=f"asks for a CA as {ref}, which has to be denied",
        resumes=True,
    )


def was_denied(live: Object | None) -> bool:
    """Whether approver-policy denied it."""
    return live is not None and holds(live, "Denied") and (condition(live, "Denied") or {}).get("reason") == APPROVER


def denied(namespace: str) -> Gate:
    """The gate that opens when the rogue request is denied; nothing is issued before."""
    ref = rogue_ref(namespace)
    return Gate(
        name="denied",
        proves="a CA that somebody else asks for is denied",
        check=partial(judge_denied, ref=ref),
        hint=f"look at `kubectl -n {namespace} describe certificaterequest {NAME}`, and at who else approves",
        code="MPK-292",
        watches=(only(ref),),
    )


def judge_denied(reader: Reader, ref: Ref) -> Readiness:
    """Whether the rogue request was denied; one that is approved is final, whoever did it."""
    live = reader.get(ref)
    if live is None:
        return Waiting(f"{ref} is not there yet")
    if was_denied(live):
        return Ready("a rogue CA is denied")
    if holds(live, "Approved"):
        return Failed(f"{ref} was approved: {(condition(live, 'Approved') or {}).get('message', '')}")
    return Waiting(f"{ref} is neither approved nor denied")
