"""Have cert-manager issue a Certificate again, also where nothing about it changed, and see that it did."""

import threading
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from meshpki.cluster.client import Cluster, ClusterError, Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.cluster.readiness import condition
from meshpki.components.trust import issued
from meshpki.errors import StepError
from meshpki.pki.certificate import Certificate
from meshpki.rotate import MANAGER
from meshpki.settings.durations import moment
from meshpki.workflow.step import Program, Readiness, Waiting

# How long cert-manager is given to see by itself that a Certificate has changed.
PATIENCE = timedelta(seconds=10)
_LOOK = 0.25
_TRIES = 5


def revision(certificate: Object | None) -> int:
    """How often a Certificate was issued, as cert-manager counts; 0 before the first time."""
    return int((certificate or {}).get("status", {}).get("revision", 0))


def issuing(certificate: Object) -> bool:
    """Whether cert-manager is at it, for whatever generation."""
    return (condition(certificate, "Issuing") or {}).get("status") == "True"


def reissue(ref: Ref, before: int, patience: timedelta = PATIENCE) -> Program:
    """The program that has a Certificate issued beyond revision `before`: by itself, or by the trigger after a while.

    A change of `spec.duration` triggers by itself; the same value again, and one that had none before, does not
    (cert-manager pkg/util/pki/match.go and internal/controller/certificates/policies at v1.21).
    """

    def run(cluster: Cluster, stop: threading.Event) -> None:
        until = datetime.now(UTC) + patience
        while datetime.now(UTC) < until and not _begun(cluster, ref, before):
            if stop.wait(_LOOK):
                return
        trigger(cluster, ref, before)

    return Program(f"issue {ref.name} again", lambda reader: _begun(reader, ref, before), run)


def trigger(cluster: Cluster, ref: Ref, before: int) -> bool:
    """Have a Certificate issued again unless that is under way or done since `before`; whether it was asked for.

    What `cmctl renew` does: the condition Issuing, for reason ManuallyTriggered (cmctl pkg/renew/renew.go at v2.5.0).
    It also ends the wait after a failure. Raises ClusterError, StepError (MPK-406) where the object never holds still.
    """
    for _ in range(_TRIES):
        live = cluster.get(ref)
        if live is None:
            raise StepError("MPK-406", f"{ref} is not there", remedy="run `meshpki up`, which makes it")
        if issuing(live) or revision(live) > before:
            return False
        try:
            cluster.merge(ref, triggered(live, datetime.now(UTC)), MANAGER, "status")
        except ClusterError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
        else:
            return True
    raise StepError("MPK-406", f"{ref} was changed by somebody else at each of {_TRIES} tries", remedy="run it again")


def triggered(certificate: Object, at: datetime) -> Object:
    """The merge patch of the status: all conditions, since a patch replaces a list; for this resourceVersion alone."""
    metadata, conditions = certificate["metadata"], certificate.get("status", {}).get("conditions") or []
    asked = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": moment(at),
        "observedGeneration": metadata.get("generation", 0),
    }
    others = [one for one in conditions if one.get("type") != "Issuing"]
    return {
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "status": {"conditions": [*others, asked]},
    }


def reissued(reader: Reader, ref: Ref, before: int) -> tuple[Readiness, tuple[Certificate, ...]]:
    """Whether a Certificate is issued beyond revision `before`, and then the new chain, leaf first.

    Public sources alone: its status, and its CertificateRequest. A refusal of its request is final.
    """
    readiness, chain = issued(reader, ref)
    if not chain:
        return readiness, ()
    seen = revision(reader.get(ref))
    if seen <= before:
        return Waiting(f"{ref} is still at revision {seen}"), ()
    return readiness, chain


def _begun(reader: Reader, ref: Ref, before: int) -> bool:
    live = reader.get(ref)
    return live is not None and (issuing(live) or revision(live) > before)
